package main

import (
	"context"
	"io"
	"net"
	"sync"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/inspect"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// service answers unary calls and reads nothing of streams.
type service struct {
	testpb.UnimplementedTestServiceServer
}

func (service) UnaryCall(_ context.Context, in *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	return &testpb.SimpleResponse{Payload: in.GetPayload()}, nil
}

func (service) FullDuplexCall(s testpb.TestService_FullDuplexCallServer) error {
	<-s.Context().Done()
	return io.ErrUnexpectedEOF
}

// window is what a client may send on a stream that the service does not read.
const window = 64 << 10

// work has a server and a client with a stream that stalls and calls now and
// then, in r, until stop is called.
func work(ctx context.Context, r *inspect.Registry) (stop func(), err error) {
	srv := weir.NewServer(weir.InspectRegistry(r), weir.StaticStreamWindowSize(window))
	testpb.RegisterTestServiceServer(srv, service{})
	lis, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	var running sync.WaitGroup
	running.Go(func() { _ = srv.Serve(lis) }) // until Stop
	c, err := weir.NewClient("passthrough:///"+lis.Addr().String(), weir.WithTransportCredentials(insecure.NewCredentials()), weir.WithInspectRegistry(r))
	if err != nil {
		srv.Stop()
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	stop = func() {
		cancel()
		c.Close()
		srv.Stop()
		running.Wait()
	}
	stub := testpb.NewTestServiceClient(c)
	s, err := stub.FullDuplexCall(ctx)
	for sent := 0; err == nil && sent < window+window/2; sent += 8 << 10 {
		err = s.Send(&testpb.StreamingOutputCallRequest{Payload: &testpb.Payload{Body: make([]byte, 8<<10)}})
	}
	if err != nil {
		stop()
		return nil, err
	}
	running.Go(func() {
		pace := time.NewTicker(20 * time.Millisecond)
		defer pace.Stop()
		for ctx.Err() == nil {
			_, _ = stub.UnaryCall(ctx, &testpb.SimpleRequest{Payload: &testpb.Payload{Body: make([]byte, 1000)}})
			select {
			case <-pace.C:
			case <-ctx.Done():
			}
		}
	})
	return stop, nil
}

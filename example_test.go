package weir_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// greeter is a service as any other: its stubs are of protoc-gen-go-grpc.
type greeter struct {
	testpb.UnimplementedTestServiceServer
}

func (greeter) UnaryCall(_ context.Context, req *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	return &testpb.SimpleResponse{Username: "hello, " + string(req.GetPayload().GetBody())}, nil
}

// FullDuplexCall does not read what it is sent.
func (greeter) FullDuplexCall(s grpc.BidiStreamingServer[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]) error {
	<-s.Context().Done()
	return nil
}

// A Server and a Client take the places of grpc.NewServer and grpc.NewClient.
func Example() {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	srv := weir.NewServer()
	testpb.RegisterTestServiceServer(srv, greeter{})
	go func() { _ = srv.Serve(lis) }()
	defer srv.GracefulStop()

	client, err := weir.NewClient(lis.Addr().String(), weir.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		panic(err)
	}
	defer client.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	stub := testpb.NewTestServiceClient(client)
	out, err := stub.UnaryCall(ctx, &testpb.SimpleRequest{Payload: &testpb.Payload{Body: []byte("river")}})
	fmt.Println(out.GetUsername(), err)
	// Output: hello, river <nil>
}

// untold is a context whose deadline the server is not told: else either side may
// be the first to end the call.
type untold struct{ context.Context }

func (untold) Deadline() (time.Time, bool) { return time.Time{}, false }

// The error of a call that ran out of time says what it waited for: here for a
// handler that does not read.
func Example_whoStalls() {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	srv := weir.NewServer()
	testpb.RegisterTestServiceServer(srv, greeter{})
	go func() { _ = srv.Serve(lis) }()
	defer srv.Stop()

	client, err := weir.NewClient(lis.Addr().String(), weir.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		panic(err)
	}
	defer client.Close()

	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	s, err := testpb.NewTestServiceClient(client).FullDuplexCall(untold{ctx})
	if err != nil {
		panic(err)
	}
	for err == nil {
		err = s.Send(&testpb.StreamingOutputCallRequest{Payload: &testpb.Payload{Body: make([]byte, 16<<10)}})
	}
	_, err = s.Recv()
	fmt.Println(strings.ReplaceAll(err.Error(), lis.Addr().String(), "10.0.0.7:50051"))
	// Output: rpc error: code = DeadlineExceeded desc = context deadline exceeded: messages wait for the stream's window: the server at 10.0.0.7:50051 does not read this stream
}

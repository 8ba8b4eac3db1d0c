package weir_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
)

// joined makes the connections of a Client to srv by hand.
func joined(srv *weir.Server) weir.TransportFunc {
	return func(ctx context.Context, _ string, cfg transport.ClientConfig) (transport.ClientTransport, error) {
		lis, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = lis.Close() }()
		go func() {
			nc, err := lis.Accept()
			if err != nil {
				return
			}
			tr, err := transport.NewServerTransport(nc, srv.TransportConfig())
			if err == nil {
				_ = srv.ServeTransport(tr)
			}
		}()
		nc, err := new(net.Dialer).DialContext(ctx, "tcp", lis.Addr().String())
		if err != nil {
			return nil, err
		}
		return transport.NewHTTP2Client(ctx, nc, cfg)
	}
}

// Connections that are made by hand are a Client's and a Server's as others
// are: the Server's limits count, and its end is theirs.
//
// Feature: custom transports.
func TestWithTransport(t *testing.T) {
	srv := weir.NewServer(weir.MaxRecvMsgSize(1000))
	testpb.RegisterTestServiceServer(srv, mirror{})
	c, err := weir.NewClient("passthrough:///by-hand", weir.WithTransport(joined(srv)), weir.WithUserAgent("hand"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	stub := testpb.NewTestServiceClient(c)
	if _, err := stub.UnaryCall(t.Context(), payload(32)); err != nil {
		t.Fatal(err)
	}
	if _, err := stub.UnaryCall(t.Context(), payload(2000)); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a message over the limit: %v", err)
	}
	srv.GracefulStop()
	_, err = stub.UnaryCall(t.Context(), payload(32), grpc.WaitForReady(false))
	if status.Code(err) != codes.Unavailable {
		t.Errorf("after the server has stopped: %v", err)
	}
	defer func() {
		if recover() == nil {
			t.Error("RegisterService after ServeTransport does not panic")
		}
	}()
	testpb.RegisterTestServiceServer(weirServing(t), mirror{})
}

// weirServing is a Server that serves a connection that has ended.
func weirServing(t *testing.T) *weir.Server {
	t.Helper()
	srv := weir.NewServer()
	if err := srv.ServeTransport(endedTransport{}); err != nil {
		t.Fatal(err)
	}
	return srv
}

// endedTransport is a ServerTransport that has ended before it was served.
type endedTransport struct{ transport.ServerTransport }

func (endedTransport) StartStreams(_ context.Context, _ func(transport.ServerStream), ended func()) {
	go ended()
}
func (endedTransport) Close(string) {}
func (endedTransport) Err() error   { return nil }

func TestServeTransportAfterStop(t *testing.T) {
	srv := weirServing(t)
	srv.Stop()
	if err := srv.ServeTransport(endedTransport{}); !errors.Is(err, weir.ErrServerStopped) {
		t.Errorf("got %v", err)
	}
	if err := srv.ServeTransport(nil); err == nil {
		t.Error("nil is served")
	}
}

// What the function of WithTransport says is the error of calls, and what it
// does not say, too.
func TestWithTransportFails(t *testing.T) {
	for want, f := range map[string]weir.TransportFunc{
		"no such place": func(context.Context, string, transport.ClientConfig) (transport.ClientTransport, error) {
			return nil, errors.New("no such place")
		},
		"WithTransport gave neither": func(context.Context, string, transport.ClientConfig) (transport.ClientTransport, error) {
			return nil, nil
		},
	} {
		c, err := weir.NewClient("passthrough:///nowhere", weir.WithTransport(f))
		if err != nil {
			t.Fatal(err)
		}
		_, err = testpb.NewTestServiceClient(c).EmptyCall(t.Context(), new(testpb.Empty))
		if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
		_ = c.Close()
	}
}

package inproc_test

import (
	"context"
	"testing"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/inproc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// token is a credential that wants a secure connection.
type token struct{}

func (token) GetRequestMetadata(_ context.Context, uri ...string) (map[string]string, error) {
	return map[string]string{"authorization": "secret", "x-uri": uri[0]}, nil
}
func (token) RequireTransportSecurity() bool { return true }

// asked keeps what a call brought.
type asked struct {
	testpb.UnimplementedTestServiceServer
	md   chan metadata.MD
	peer chan *peer.Peer
}

func (a asked) EmptyCall(ctx context.Context, in *testpb.Empty) (*testpb.Empty, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	p, _ := peer.FromContext(ctx)
	a.md <- md
	a.peer <- p
	return in, nil
}

// Nobody is between the two ends: credentials for calls are sent, and a call may
// go by any name.
func TestNewClient_Credentials(t *testing.T) {
	srv := weir.NewServer()
	a := asked{md: make(chan metadata.MD, 1), peer: make(chan *peer.Peer, 1)}
	testpb.RegisterTestServiceServer(srv, a)
	defer srv.Stop()
	c, err := inproc.NewClient(srv, weir.WithPerRPCCredentials(token{}), weir.WithUserAgent("test"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	var p peer.Peer
	if _, err := testpb.NewTestServiceClient(c).EmptyCall(t.Context(), new(testpb.Empty), grpc.CallAuthority("other.example"), grpc.Peer(&p)); err != nil {
		t.Fatal(err)
	}
	md := <-a.md
	for k, want := range map[string]string{
		"authorization": "secret", "x-uri": "https://other.example/grpc.testing.TestService", ":authority": "other.example",
	} {
		if got := md.Get(k); len(got) != 1 || got[0] != want {
			t.Errorf("%s is %q, want %q", k, got, want)
		}
	}
	if agent := md.Get("user-agent"); len(agent) != 1 || agent[0][:4] != "test" {
		t.Errorf("the user-agent is %q", agent)
	}
	if who := <-a.peer; who.AuthInfo.AuthType() != "inproc" || p.AuthInfo.AuthType() != "inproc" || p.Addr.String() != "inproc" {
		t.Errorf("the server knows %v, the client %v", who, &p)
	}
	if c.Target() != "passthrough:///inproc" {
		t.Errorf("the target is %q", c.Target())
	}
}

// When the Server stops, its Clients are told, and Clients that are made later.
func TestNewClient_AfterStop(t *testing.T) {
	srv := weir.NewServer()
	testpb.RegisterTestServiceServer(srv, echo{})
	early, err := inproc.NewClient(srv)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := testpb.NewTestServiceClient(early).UnaryCall(t.Context(), new(testpb.SimpleRequest)); err != nil {
		t.Fatal(err)
	}
	srv.GracefulStop()
	late, err := inproc.NewClient(srv)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*weir.Client{early, late} {
		if _, err := testpb.NewTestServiceClient(c).UnaryCall(t.Context(), new(testpb.SimpleRequest)); status.Code(err) != codes.Unavailable {
			t.Errorf("got %v", err)
		}
		_ = c.Close()
	}
}

package weir_test

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// A client and a server of either kind, behind what generated code needs.
type (
	anyClient interface {
		grpc.ClientConnInterface
		Close() error
	}
	anyServer interface {
		grpc.ServiceRegistrar
		Serve(net.Listener) error
		Stop()
		GracefulStop()
	}
)

var (
	_ anyClient = (*weir.Client)(nil)
	_ anyClient = (*grpc.ClientConn)(nil)
	_ anyServer = (*weir.Server)(nil)
	_ anyServer = (*grpc.Server)(nil)
)

// pairing is who calls whom.
type pairing struct {
	name                   string
	weirClient, weirServer bool
}

var pairings = []pairing{
	{"weir to weir", true, true},
	{"weir to grpc-go", true, false},
	{"grpc-go to weir", false, true},
}

const maxMessage = 32 << 20

func (p pairing) newServer() anyServer {
	if p.weirServer {
		return weir.NewServer(weir.MaxRecvMsgSize(maxMessage))
	}
	return grpc.NewServer(grpc.MaxRecvMsgSize(maxMessage))
}

func (p pairing) dial(tb testing.TB, address string) anyClient {
	tb.Helper()
	creds := insecure.NewCredentials()
	size := grpc.MaxCallRecvMsgSize(maxMessage)
	var (
		c   anyClient
		err error
	)
	if p.weirClient {
		c, err = weir.NewClient("passthrough:///"+address, weir.WithTransportCredentials(creds), weir.WithDefaultCallOptions(size))
	} else {
		c, err = grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(creds), grpc.WithDefaultCallOptions(size))
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

// start serves impl on loopback and gives a client.
func (p pairing) start(tb testing.TB, impl testpb.TestServiceServer) (testpb.TestServiceClient, anyServer) {
	tb.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	srv := p.newServer()
	testpb.RegisterTestServiceServer(srv, impl)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	tb.Cleanup(func() {
		srv.Stop()
		if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			tb.Errorf("Serve: %v", err)
		}
	})
	return testpb.NewTestServiceClient(p.dial(tb, lis.Addr().String())), srv
}

// testPairings runs a test once for each pairing.
func testPairings(t *testing.T, impl testpb.TestServiceServer, f func(ctx context.Context, t *testing.T, c testpb.TestServiceClient)) {
	t.Helper()
	for _, p := range pairings {
		t.Run(p.name, func(t *testing.T) {
			c, _ := p.start(t, impl)
			f(t.Context(), t, c)
		})
	}
}

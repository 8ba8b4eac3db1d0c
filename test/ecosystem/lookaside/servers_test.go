package lookaside

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

type service struct {
	testpb.UnimplementedTestServiceServer
}

func (service) EmptyCall(context.Context, *testpb.Empty) (*testpb.Empty, error) {
	return &testpb.Empty{}, nil
}

// serve serves until the test is over, and gives the address.
func serve(t *testing.T, srv interface {
	Serve(lis net.Listener) error
	Stop()
}) string {
	t.Helper()
	lis, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	t.Cleanup(func() {
		srv.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return lis.Addr().String()
}

// backends are servers of weir that answer.
func backends(t *testing.T, n int) (addresses []string) {
	t.Helper()
	for range n {
		srv := weir.NewServer()
		testpb.RegisterTestServiceServer(srv, service{})
		addresses = append(addresses, serve(t, srv))
	}
	return addresses
}

// client has what a resolver says, and a service config.
func client(t *testing.T, s resolver.State, config string) testpb.TestServiceClient {
	t.Helper()
	r := manual.NewBuilderWithScheme("lookaside")
	r.InitialState(s)
	c, err := weir.NewClient("lookaside:///shop", weir.WithTransportCredentials(insecure.NewCredentials()),
		weir.WithResolvers(r), weir.WithDefaultServiceConfig(config))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return testpb.NewTestServiceClient(c)
}

// whom calls, and says who has answered.
func whom(ctx context.Context, t *testing.T, c testpb.TestServiceClient) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	var at peer.Peer
	if _, err := c.EmptyCall(ctx, &testpb.Empty{}, grpc.Peer(&at), grpc.WaitForReady(true)); err != nil {
		t.Fatal(err)
	}
	return at.Addr.String()
}

// await calls until, of so many calls for each of the servers, each has answered as
// many and nobody else any.
func await(ctx context.Context, t *testing.T, c testpb.TestServiceClient, n int, servers ...string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; {
		if time.Now().After(end) {
			t.Fatalf("calls did not go to %v alone within 20 s", servers)
		}
		got := make(map[string]int)
		for range n * len(servers) {
			got[whom(ctx, t, c)]++
		}
		even := len(got) == len(servers)
		for _, s := range servers {
			even = even && got[s] == n
		}
		if even {
			return
		}
	}
}

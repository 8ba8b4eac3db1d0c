package ecosystem

import (
	"fmt"
	"testing"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/balancer/leastrequest"
	_ "google.golang.org/grpc/balancer/randomsubsetting"
	_ "google.golang.org/grpc/balancer/ringhash"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
)

// several serves on so many addresses and gives a resolver that knows them.
func several(t *testing.T, n int) *manual.Resolver {
	t.Helper()
	r := manual.NewBuilderWithScheme("several")
	var s resolver.State
	for range n {
		srv := weir.NewServer()
		testgrpc.RegisterTestServiceServer(srv, service{})
		lis := listen(t)
		serveServer(t, srv, lis)
		s.Addresses = append(s.Addresses, resolver.Address{Addr: lis.Addr().String()})
	}
	r.InitialState(s)
	return r
}

// spread makes n calls and counts where they go.
func spread(t *testing.T, cc *weir.Client, n int, key func(i int) string) map[string]int {
	t.Helper()
	got := make(map[string]int)
	for i := range n {
		var at peer.Peer
		ctx := metadata.AppendToOutgoingContext(t.Context(), "session", key(i))
		if _, err := testgrpc.NewTestServiceClient(cc).UnaryCall(ctx, &testgrpc.SimpleRequest{}, grpc.Peer(&at), grpc.WaitForReady(true)); err != nil {
			t.Fatal(err)
		}
		got[at.Addr.String()]++
	}
	return got
}

// Feature: least_request, ring_hash and random_subsetting
//
// Balancers of grpc-go that a program imports work over weir's connections.
func TestBalancers_OfGRPCGo(t *testing.T) {
	for _, tt := range []struct {
		name, config string
		key          func(i int) string
		servers      func(n int) bool
	}{
		{
			name: "least_request_experimental", config: `{"choiceCount": 2}`,
			key:     func(int) string { return "" },
			servers: func(n int) bool { return n == 4 },
		},
		{
			name: "ring_hash_experimental", config: `{"requestHashHeader": "session"}`,
			key:     func(int) string { return "one" },
			servers: func(n int) bool { return n == 1 },
		},
		{
			name: "ring_hash_experimental", config: `{"requestHashHeader": "session"}`,
			key:     func(i int) string { return fmt.Sprint("session ", i) },
			servers: func(n int) bool { return n > 1 },
		},
		{
			name: "random_subsetting_experimental", config: `{"subsetSize": 2, "childPolicy": [{"round_robin": {}}]}`,
			key:     func(int) string { return "" },
			servers: func(n int) bool { return n == 2 },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cc, err := weir.NewClient("several:///svc", weir.WithResolvers(several(t, 4)), weir.WithTransportCredentials(insecure.NewCredentials()),
				weir.WithDefaultServiceConfig(fmt.Sprintf(`{"loadBalancingConfig": [{%q: %s}]}`, tt.name, tt.config)))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = cc.Close() }()
			if got := spread(t, cc, 400, tt.key); !tt.servers(len(got)) {
				t.Errorf("calls went to %v", got)
			}
		})
	}
}

package orca_test

import (
	"context"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/orca"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/balancer/weightedroundrobin"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	theirs "google.golang.org/grpc/orca"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
)

// Feature: calls by the load that servers report (weighted_round_robin), with
// each call and out of band
//
// A server that is nine times as busy as another gets few of the calls.
func TestWeightedRoundRobin(t *testing.T) {
	for _, tt := range []struct {
		name, config string
		size         int32 // of answers: those that have one come with a report
	}{
		{"with calls", `{"blackoutPeriod": "0s", "weightUpdatePeriod": "0.1s"}`, 1},
		{"out of band", `{"blackoutPeriod": "0s", "weightUpdatePeriod": "0.1s", "enableOobLoadReport": true}`, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := manual.NewBuilderWithScheme("loaded")
			var targets []string
			var state resolver.State
			for _, busy := range []float64{0.9, 0.1} {
				all := theirs.NewServerMetricsRecorder()
				all.SetQPS(100)
				all.SetApplicationUtilization(busy)
				srv := weir.NewServer(weir.ChainUnaryInterceptor(orca.UnaryServerInterceptor(all)))
				testpb.RegisterTestServiceServer(srv, loaded{recorder: orca.CallMetricsRecorderFromContext})
				if err := theirs.Register(srv, theirs.ServiceOptions{ServerMetricsProvider: all}); err != nil {
					t.Fatal(err)
				}
				targets = append(targets, start(t, srv))
				state.Addresses = append(state.Addresses, resolver.Address{Addr: targets[len(targets)-1]})
			}
			r.InitialState(state)
			c := dial(t, "loaded:///svc", weir.WithResolvers(r),
				weir.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"weighted_round_robin": `+tt.config+`}]}`))
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			for {
				got := make(map[string]int)
				for range 100 {
					var at peer.Peer
					if _, err := c.UnaryCall(ctx, &testpb.SimpleRequest{ResponseSize: tt.size}, grpc.Peer(&at)); err != nil {
						t.Fatalf("the last 100 calls went to %v: %v", got, err)
					}
					got[at.Addr.String()]++
				}
				if busy := got[targets[0]]; busy >= 5 && busy <= 15 {
					return
				}
			}
		})
	}
}

package orca_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/orca"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/balancer/weightedroundrobin"
	estats "google.golang.org/grpc/experimental/stats"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	theirs "google.golang.org/grpc/orca"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/stats"
)

// Feature: calls by the load that servers report (weighted_round_robin), with
// each call and out of band
//
// A server that is nine times as busy as another gets few of the calls, until it is
// the other that is busy. What the balancer measures tells the weights.
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
			var recorders []theirs.ServerMetricsRecorder
			var measured weights
			for _, busy := range []float64{0.9, 0.1} {
				all := theirs.NewServerMetricsRecorder()
				all.SetQPS(100)
				all.SetApplicationUtilization(busy)
				recorders = append(recorders, all)
				srv := weir.NewServer(weir.ChainUnaryInterceptor(orca.UnaryServerInterceptor(all)))
				testpb.RegisterTestServiceServer(srv, loaded{recorder: orca.CallMetricsRecorderFromContext})
				if err := theirs.Register(srv, theirs.ServiceOptions{ServerMetricsProvider: all}); err != nil {
					t.Fatal(err)
				}
				targets = append(targets, start(t, srv))
				state.Addresses = append(state.Addresses, resolver.Address{Addr: targets[len(targets)-1]})
			}
			r.InitialState(state)
			c := dial(t, "loaded:///svc", weir.WithResolvers(r), weir.WithStatsHandler(&measured),
				weir.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"weighted_round_robin": `+tt.config+`}]}`))
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			// spared calls until a server gets few calls.
			spared := func(target string) {
				t.Helper()
				for {
					got := make(map[string]int)
					for range 100 {
						var at peer.Peer
						if _, err := c.UnaryCall(ctx, &testpb.SimpleRequest{ResponseSize: tt.size}, grpc.Peer(&at)); err != nil {
							t.Fatalf("the last 100 calls went to %v: %v", got, err)
						}
						got[at.Addr.String()]++
					}
					if busy := got[target]; busy >= 5 && busy <= 15 {
						return
					}
				}
			}
			spared(targets[0])
			if tt.size == 0 {
				return // a server of grpc-go's reports every 30 s at most
			}
			recorders[0].SetApplicationUtilization(0.1)
			recorders[1].SetApplicationUtilization(0.9)
			spared(targets[1])
			if n := measured.n.Load(); n < 4 {
				t.Errorf("%d weights were measured, want those of two servers, and others later", n)
			}
		})
	}
}

// weights is a stats handler that counts the weights that the balancer measures.
type weights struct {
	estats.UnimplementedMetricsRecorder
	n atomic.Int64
}

func (w *weights) RecordFloat64Histo(h *estats.Float64HistoHandle, _ float64, _ ...string) {
	if h.Descriptor().Name == "grpc.lb.wrr.endpoint_weights" {
		w.n.Add(1)
	}
}

func (*weights) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (*weights) HandleRPC(context.Context, stats.RPCStats)                         {}
func (*weights) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (*weights) HandleConn(context.Context, stats.ConnStats)                       {}

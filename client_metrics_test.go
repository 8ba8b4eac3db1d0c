package weir_test

import (
	"context"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/balancer/base"
	estats "google.golang.org/grpc/experimental/stats"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/stats"
)

// counts is a stats handler that counts what balancers measure.
type counts struct {
	estats.UnimplementedMetricsRecorder

	mu  sync.Mutex
	got map[string]int64
}

func (c *counts) RecordInt64Count(h *estats.Int64CountHandle, n int64, labels ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.got == nil {
		c.got = make(map[string]int64)
	}
	c.got[strings.Join(slices.Concat([]string{h.Descriptor().Name}, labels), " ")] += n
}

func (c *counts) RecordInt64UpDownCount(h *estats.Int64UpDownCountHandle, n int64, labels ...string) {
	c.RecordInt64Count((*estats.Int64CountHandle)(h), n, labels...)
}

func (*counts) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (*counts) HandleRPC(context.Context, stats.RPCStats)                         {}
func (*counts) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (*counts) HandleConn(context.Context, stats.ConnStats)                       {}

var builtMetric = estats.RegisterInt64Count(estats.MetricDescriptor{
	Name: "weir.test.balancers_built", Description: "Balancers that were made", Unit: "{balancer}", Labels: []string{"grpc.target"},
})

// measured is a builder whose balancers measure that they are made.
type measured struct{ balancer.Builder }

func (m measured) Build(cc balancer.ClientConn, o balancer.BuildOptions) balancer.Balancer {
	builtMetric.Record(cc.MetricsRecorder(), 1, o.Target.String())
	return m.Builder.Build(cc, o)
}

// Feature: metrics of balancers, for stats handlers that are an
// experimental/stats.MetricsRecorder
//
// What a balancer measures reaches them as with grpc-go.
func TestBalancerMetrics(t *testing.T) {
	balancer.Register(measured{base.NewBalancerBuilder("weir_test_measured", turns{}, base.Config{})})
	js := policyOf("weir_test_measured")
	for name, client := range map[string]func(t *testing.T, h stats.Handler, target string) anyClient{
		"weir": func(t *testing.T, h stats.Handler, target string) anyClient {
			return newWeirClient(t, target, weir.WithStatsHandler(h), weir.WithDefaultServiceConfig(js))
		},
		"grpc-go": func(t *testing.T, h stats.Handler, target string) anyClient {
			return newGRPCClient(t, target, grpc.WithStatsHandler(h), grpc.WithDefaultServiceConfig(js))
		},
	} {
		t.Run(name, func(t *testing.T) {
			lis, _ := serveAt(t, "tcp", "127.0.0.1:0")
			var c counts
			target := "passthrough:///" + lis.Addr().String()
			whom(t, testpb.NewTestServiceClient(client(t, &c, target)), lis.Addr().String())
			c.mu.Lock()
			defer c.mu.Unlock()
			if n := c.got["weir.test.balancers_built "+target]; n != 1 {
				t.Errorf("the handler counted %v", c.got)
			}
		})
	}
}

// Feature: metrics of connections (gRFC A94)
//
// Attempts, connections and how they end are counted as grpc-go counts them.
func TestConnectionMetrics(t *testing.T) {
	for _, tt := range []struct {
		name   string
		end    func(srv *weir.Server, c anyClient)
		reason string
	}{
		{"the client closes", func(_ *weir.Server, c anyClient) { _ = c.Close() }, "subchannel shutdown"},
		{"the server drains", func(srv *weir.Server, _ anyClient) { srv.GracefulStop() }, "GOAWAY NO_ERROR"},
	} {
		for name, client := range map[string]func(t *testing.T, h stats.Handler, target string) anyClient{
			"weir": func(t *testing.T, h stats.Handler, target string) anyClient {
				return newWeirClient(t, target, weir.WithStatsHandler(h))
			},
			"weir with round_robin": func(t *testing.T, h stats.Handler, target string) anyClient {
				return newWeirClient(t, target, weir.WithStatsHandler(h), weir.WithDefaultServiceConfig(policyOf("round_robin")))
			},
			"grpc-go": func(t *testing.T, h stats.Handler, target string) anyClient {
				return newGRPCClient(t, target, grpc.WithStatsHandler(h))
			},
		} {
			t.Run(tt.name+"/"+name, func(t *testing.T) {
				lis, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				srv := weir.NewServer()
				testpb.RegisterTestServiceServer(srv, echo{})
				background(t, srv, lis)
				var c counts
				target := "passthrough:///" + lis.Addr().String()
				cc := client(t, &c, target)
				whom(t, testpb.NewTestServiceClient(cc), lis.Addr().String())
				c.wait(t, "grpc.subchannel.connection_attempts_succeeded "+target+"  ", 1)
				c.wait(t, "grpc.subchannel.open_connections "+target+"  NoSecurity ", 1)
				tt.end(srv, cc)
				c.wait(t, "grpc.subchannel.disconnections "+target+"   "+tt.reason, 1)
				c.wait(t, "grpc.subchannel.open_connections "+target+"  NoSecurity ", 0)
				if tt.reason == "subchannel shutdown" {
					return
				}
				srv.Stop()
				go func() { _, _ = testpb.NewTestServiceClient(cc).EmptyCall(t.Context(), new(testpb.Empty)) }()
				c.wait(t, "grpc.subchannel.connection_attempts_failed "+target+"  ", 1)
			})
		}
	}
}

// wait waits until so much was counted, or more if that rises.
func (c *counts) wait(t *testing.T, what string, want int64) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		c.mu.Lock()
		got := c.got[what]
		c.mu.Unlock()
		if got == want || got > want && want > 0 {
			return
		}
		if time.Now().After(deadline) {
			c.mu.Lock()
			defer c.mu.Unlock()
			t.Fatalf("%q is counted %d times, want %d; of all %v", what, got, want, c.got)
		}
		runtime.Gosched()
	}
}

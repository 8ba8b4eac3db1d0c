package weir_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/balancer/base"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// serveWith serves what register says until the test is over.
func serveWith(t *testing.T, register func(*weir.Server)) net.Listener {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := weir.NewServer()
	register(srv)
	served := make(chan struct{})
	go func() {
		defer close(served)
		srv.Serve(lis)
	}()
	t.Cleanup(func() {
		srv.Stop()
		<-served
	})
	return lis
}

// Feature: health checks by the client
//
// A server that says NOT_SERVING of the service gets no calls until it says
// otherwise; one that has no health service gets some. round_robin asks by way of
// listeners to health, a balancer of the user's by its configuration.
func TestHealthCheckConfig(t *testing.T) {
	balancer.Register(base.NewBalancerBuilder("weir_test_health", turns{}, base.Config{HealthCheck: true}))
	for _, name := range []string{"round_robin", "weir_test_health"} {
		js := `{"loadBalancingConfig": [{"` + name + `": {}}], "healthCheckConfig": {"serviceName": "shelf"}}`
		t.Run(name, func(t *testing.T) {
			states := health.NewServer()
			a := serveWith(t, func(srv *weir.Server) {
				testpb.RegisterTestServiceServer(srv, echo{})
				healthpb.RegisterHealthServer(srv, states)
			})
			b, _ := serveAt(t, "tcp", "127.0.0.1:0")
			states.SetServingStatus("shelf", healthpb.HealthCheckResponse_NOT_SERVING)
			c := newWeirClient(t, "whatever:///svc", weir.WithResolvers(balanced(a, b)), weir.WithDefaultServiceConfig(js))
			s := testpb.NewTestServiceClient(c)
			whom(t, s, b.Addr().String())
			for range 20 {
				var at peer.Peer
				if _, err := s.EmptyCall(t.Context(), &testpb.Empty{}, grpc.Peer(&at)); err != nil || at.Addr.String() != b.Addr().String() {
					t.Fatalf("a call goes to %v, %v", at.Addr, err)
				}
			}
			states.SetServingStatus("shelf", healthpb.HealthCheckResponse_SERVING)
			whom(t, s, a.Addr().String())
			states.SetServingStatus("shelf", healthpb.HealthCheckResponse_NOT_SERVING)
			for only := 0; only < 20; {
				var at peer.Peer
				if _, err := s.EmptyCall(t.Context(), &testpb.Empty{}, grpc.Peer(&at)); err != nil {
					t.Fatal(err)
				}
				if only++; at.Addr.String() == a.Addr().String() {
					only = 0
				}
			}

			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			alone := newWeirClient(t, "whatever:///svc", weir.WithResolvers(balanced(a)), weir.WithDefaultServiceConfig(js))
			if _, err := testpb.NewTestServiceClient(alone).EmptyCall(ctx, &testpb.Empty{}); err == nil {
				t.Error("a call goes to a server that is not well")
			} else if name == "round_robin" {
				wantWords(t, err, []string{"shelf", "NOT_SERVING"})
			}
			careless := newWeirClient(t, "whatever:///svc", weir.WithResolvers(balanced(a)), weir.WithDefaultServiceConfig(js), weir.WithDisableHealthCheck())
			whom(t, testpb.NewTestServiceClient(careless), a.Addr().String())
		})
	}
	_, err := weir.NewClient("x", weir.WithTransport(nil), weir.WithDefaultServiceConfig(`{"healthCheckConfig": 1}`))
	wantWords(t, err, []string{"healthCheckConfig"})
}

// turns are pickers that take the servers in turns.
type turns struct{}

func (turns) Build(info base.PickerBuildInfo) balancer.Picker {
	if len(info.ReadySCs) == 0 {
		return base.NewErrPicker(balancer.ErrNoSubConnAvailable)
	}
	all := make(chan balancer.SubConn, len(info.ReadySCs))
	for sc := range info.ReadySCs {
		all <- sc
	}
	return turnPicker(all)
}

type turnPicker chan balancer.SubConn

func (p turnPicker) Pick(balancer.PickInfo) (balancer.PickResult, error) {
	sc := <-p
	p <- sc
	return balancer.PickResult{SubConn: sc}, nil
}

package weir_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/simnet"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
)

// watches is a health service that does as the test says, watch by watch.
type watches struct {
	healthpb.UnimplementedHealthServer
	t     *testing.T
	came  []time.Time
	steps []func(st healthpb.Health_WatchServer) error
}

func (w *watches) Watch(in *healthpb.HealthCheckRequest, st healthpb.Health_WatchServer) error {
	if in.GetService() != "shelf" {
		w.t.Errorf("the health of %q is asked for", in.GetService())
	}
	w.came = append(w.came, time.Now())
	if len(w.came) > len(w.steps) {
		<-st.Context().Done()
		return nil
	}
	return w.steps[len(w.came)-1](st)
}

func says(st healthpb.Health_WatchServer, s healthpb.HealthCheckResponse_ServingStatus) {
	_ = st.Send(&healthpb.HealthCheckResponse{Status: s})
}

// inHealth runs f in a bubble, with a client of a server whose health is w's.
func inHealth(t *testing.T, w *watches, balancer string, f func(t *testing.T, c *weir.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w.t = t
		var net simnet.Network
		lis, err := net.Listen("svc:80")
		if err != nil {
			t.Fatal(err)
		}
		srv := weir.NewServer()
		testpb.RegisterTestServiceServer(srv, echo{})
		healthpb.RegisterHealthServer(srv, w)
		served := make(chan error, 1)
		go func() { served <- srv.Serve(lis) }()
		synctest.Wait()
		c, err := weir.NewClient("passthrough:///svc:80", weir.WithTransportCredentials(insecure.NewCredentials()), weir.WithContextDialer(net.Dial),
			weir.WithDefaultServiceConfig(fmt.Sprintf(`{"loadBalancingConfig": [%s], "healthCheckConfig": {"serviceName": "shelf"}}`, balancer)))
		if err != nil {
			t.Fatal(err)
		}
		f(t, c)
		_ = c.Close()
		srv.Stop()
		<-served
	})
}

// wantHealth wants a state, and calls to fare accordingly.
func wantHealth(t *testing.T, c *weir.Client, want connectivity.State, words ...string) {
	t.Helper()
	synctest.Wait()
	if got := c.GetState(); got != want {
		t.Fatalf("the state is %v, want %v", got, want)
	}
	_, err := testpb.NewTestServiceClient(c).EmptyCall(t.Context(), new(testpb.Empty))
	if want == connectivity.Ready {
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	wantText(t, err, codes.Unavailable, words...)
}

// A watch that ends makes the server count as ill until another tells otherwise,
// after the backoff of connections; the connection stays. One that the server does
// not know makes it well for ever.
func TestHealthCheck_WatchEnds(t *testing.T) {
	refuse := func(code codes.Code) func(healthpb.Health_WatchServer) error {
		return func(healthpb.Health_WatchServer) error { return status.Error(code, "no more") }
	}
	w := &watches{steps: []func(healthpb.Health_WatchServer) error{
		func(st healthpb.Health_WatchServer) error {
			says(st, healthpb.HealthCheckResponse_SERVING)
			<-time.After(time.Minute)
			says(st, healthpb.HealthCheckResponse_SERVICE_UNKNOWN)
			<-time.After(time.Minute)
			says(st, healthpb.HealthCheckResponse_SERVING)
			<-time.After(time.Minute)
			return status.Error(codes.Unavailable, "no more")
		},
		refuse(codes.Internal), refuse(codes.Internal), refuse(codes.Unimplemented),
	}}
	inHealth(t, w, `{"round_robin": {}}`, func(t *testing.T, c *weir.Client) {
		c.Connect()
		wantHealth(t, c, connectivity.Ready)
		start := w.came[0]
		at := func(d time.Duration) { simnet.Advance(time.Until(start.Add(d))) }
		at(90 * time.Second)
		wantHealth(t, c, connectivity.TransientFailure, "shelf", "SERVICE_UNKNOWN")
		at(150 * time.Second)
		wantHealth(t, c, connectivity.Ready)
		at(180*time.Second + 100*time.Millisecond)
		wantHealth(t, c, connectivity.TransientFailure, "shelf", "no more")
		simnet.Advance(time.Minute)
		wantHealth(t, c, connectivity.Ready)
		if len(w.came) != 4 {
			t.Fatalf("%d watches, want 4", len(w.came))
		}
		from := start.Add(3 * time.Minute)
		for i, base := range []time.Duration{time.Second, 1600 * time.Millisecond, 2560 * time.Millisecond} {
			if d := w.came[i+1].Sub(from); d < base*8/10 || d > base*12/10 {
				t.Errorf("watch %d comes after %v, want %v ± 20 %%", i+2, d, base)
			}
			from = w.came[i+1]
		}
		simnet.Advance(time.Minute)
		wantHealth(t, c, connectivity.Ready)
		if s := c.InspectConnections(); len(w.came) != 4 || len(s) != 1 {
			t.Errorf("%d watches and %d connections in the end", len(w.came), len(s))
		}
	})
}

// pick_first does not ask for the health of a server, whatever the config says, as
// in grpc-go.
func TestHealthCheck_PickFirst(t *testing.T) {
	for _, balancer := range []string{`{"pick_first": {}}`, `{"pick_first": {"shuffleAddressList": true}}`} {
		t.Run(balancer, func(t *testing.T) {
			var w watches
			inHealth(t, &w, balancer, func(t *testing.T, c *weir.Client) {
				s := testpb.NewTestServiceClient(c)
				if _, err := s.EmptyCall(t.Context(), new(testpb.Empty), grpc.WaitForReady(true)); err != nil {
					t.Fatal(err)
				}
				simnet.Advance(time.Minute)
				if len(w.came) != 0 {
					t.Errorf("%d watches", len(w.came))
				}
			})
		})
	}
}

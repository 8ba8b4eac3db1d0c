package weir_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/simnet"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/status"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// Who watches a server's health does not keep it from stopping: the watch ends
// with UNAVAILABLE when the server begins to, and other streams finish.
func TestGracefulStop_EndsHealthWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network simnet.Network
		lis, err := network.Listen("svc:80")
		if err != nil {
			t.Fatal(err)
		}
		s := weir.NewServer()
		says := health.NewServer()
		healthpb.RegisterHealthServer(s, says)
		testpb.RegisterTestServiceServer(s, newStreamer())
		go func() { _ = s.Serve(lis) }()
		c := newWeirClient(t, "passthrough:///svc:80", weir.WithContextDialer(network.Dial))
		watch, err := healthpb.NewHealthClient(c).Watch(t.Context(), &healthpb.HealthCheckRequest{})
		if err != nil {
			t.Fatal(err)
		}
		open, err := testpb.NewTestServiceClient(c).FullDuplexCall(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		exchange(t, open)
		next := func() healthpb.HealthCheckResponse_ServingStatus {
			t.Helper()
			got, err := watch.Recv()
			if err != nil {
				t.Fatal(err)
			}
			return got.GetStatus()
		}
		if got := next(); got != healthpb.HealthCheckResponse_SERVING {
			t.Errorf("health: %v", got)
		}
		says.Shutdown()
		if got := next(); got != healthpb.HealthCheckResponse_NOT_SERVING {
			t.Errorf("health after Shutdown: %v", got)
		}
		took := during(s.GracefulStop, func() {
			if _, err := watch.Recv(); status.Code(err) != codes.Unavailable {
				t.Errorf("the watch ends with %v", err)
			}
			simnet.Advance(3 * time.Second)
			exchange(t, open)
			if err := open.CloseSend(); err != nil {
				t.Error(err)
			}
		})
		if took < 3*time.Second || took > 3*time.Second+500*time.Millisecond {
			t.Errorf("GracefulStop took %v, the call 3 s and the watch the moment that it has for what it still has to say", took)
		}
	})
}

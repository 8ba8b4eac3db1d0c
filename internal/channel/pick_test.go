package channel

import (
	"context"
	"testing"

	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/balancer/base"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"
)

// A balancer that drops a call is not asked once more: one that drops every second
// call would drop none.
func TestPick_DropsOnce(t *testing.T) {
	asked := 0
	balancer.Register(base.NewBalancerBuilder("channel_test_drops", &custom{pick: func(ready []balancer.SubConn, _ balancer.PickInfo) (balancer.PickResult, error) {
		if asked++; asked%2 == 1 {
			return balancer.PickResult{}, status.Error(codes.Unavailable, "dropped")
		}
		return balancer.PickResult{SubConn: ready[0]}, nil
	}}, base.Config{}))
	n := &naming{first: says("a")}
	withNaming(t, n, spreading("channel_test_drops"), func(t *testing.T, w *world) {
		w.serve("a")
		w.ch.Connect()
		w.wantState(connectivity.Ready)
		for want := 1; want <= 8; want++ {
			_, err := w.ch.Pick(t.Context(), want%4 < 2, new(Pick))
			if dropped := want%2 == 1; Dropped(err) != dropped || asked != want {
				t.Errorf("call %d: %v, and the picker was asked %d times", want, err, asked)
			}
		}
	})
}

// A call of a balancer, over one connection, may have ended before it begins.
func TestOver_DeadCall(t *testing.T) {
	inWorld(t, "passthrough:///a", nil, func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		over := Over(func() transport.ClientTransport { return nil }, w.ch)
		_, err := over.Pick(ctx, false, new(Pick))
		wantStatus(t, err, codes.Unavailable, "not ready")
	})
}

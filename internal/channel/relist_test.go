package channel

import (
	"testing"
	"time"

	"github.com/weir-rpc/weir/internal/simnet"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/connectivity"
)

// A Client that has lost its connection and makes no more calls has no resolver
// after the idle timeout either.
func TestHosted_IdleAfterLoss(t *testing.T) {
	n := &naming{first: says("a")}
	withNaming(t, n, idleAfter(8*time.Second), func(t *testing.T, w *world) {
		a := w.serve("a")
		for range 2 { // it counts from the latest loss
			w.mustConnect()
			simnet.Advance(5 * time.Second)
			a.each(func(sv transport.ServerTransport) { sv.Drain("moved") })
			w.wantState(connectivity.Idle)
		}
		n.wantCounts(t, 1, 3, 0)
		simnet.Advance(8*time.Second - ms)
		n.wantCounts(t, 1, 3, 0)
		simnet.Advance(2 * ms)
		n.wantCounts(t, 1, 3, 1)
		w.mustConnect()
		n.wantCounts(t, 2, 3, 1)
	})
}

// What was tried, and was gone from the list since, is tried at once when it is back,
// whether the list was empty or had others.
func TestHosted_AddressComesBack(t *testing.T) {
	for name, between := range map[string][]string{"empty": nil, "others": {"d"}} {
		t.Run(name, func(t *testing.T) {
			n := &naming{first: says("b", "c")}
			withNaming(t, n, nil, func(t *testing.T, w *world) {
				w.ch.Connect()
				simnet.Advance(30 * time.Second) // rounds at 0, 1, 2.6, 5.2, 9.3, 15.8, 26.3 s
				_ = n.conn().UpdateState(flat(between...))
				simnet.Advance(5 * time.Second)
				w.serve("c")
				if err := n.conn().UpdateState(flat("c")); err != nil {
					t.Error(err)
				}
				w.wantState(connectivity.Ready)
			})
		})
	}
}

// It rests too if an attempt to replace the connection, which nobody has waited for,
// outlasts the idle timeout and fails.
func TestHosted_IdleAfterLoss_WhileReplacing(t *testing.T) {
	n := &naming{first: says("a")}
	withNaming(t, n, idleAfter(5*time.Second), func(t *testing.T, w *world) {
		h := w.serve("a")
		stream(t, w.mustConnect())
		h.lis.Close()
		w.accept("a", silent)
		h.each(drain)
		simnet.Advance(10 * time.Second)
		w.wantState(connectivity.Idle)
		n.wantCounts(t, 1, 2, 0) // an attempt goes on
		simnet.Advance(20 * time.Second)
		w.wantState(connectivity.Idle)
		n.wantCounts(t, 1, 2, 1)
	})
}

package channel

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/connectivity"
)

// Lists and balancers that change all the time, calls, idleness and lost
// connections do not get in each other's way, and Close is the end of all.
func TestBalancerStorm(t *testing.T) {
	for range 20 {
		n := &naming{first: says("a", "b")}
		withNaming(t, n, func(w *world, cfg *Config) {
			spreading("round_robin")(w, cfg)
			cfg.Transport.IdleTimeout = 300 * ms
		}, func(t *testing.T, w *world) {
			lists := [][]string{{"a"}, {"a", "b"}, {"c", "b"}, {"nobody"}, {"c", "nobody"}, {}}
			for _, name := range []string{"a", "b", "c"} {
				w.serve(name)
			}
			rest := func() { <-time.After(rand.N(100 * ms)) }
			var work sync.WaitGroup
			for range 4 {
				work.Go(func() {
					for range 50 {
						if tr, err := w.within(rand.N(500*ms), rand.IntN(2) == 0); err == nil && rand.IntN(4) == 0 {
							tr.GracefulClose()
						}
						rest()
					}
				})
			}
			work.Go(func() {
				for range 50 {
					rest()
					if _, _, cc := n.counts(); cc != nil {
						s := flat(lists[rand.IntN(len(lists))]...)
						s.ServiceConfig = cc.ParseServiceConfig([]string{"round_robin", "pick_first"}[rand.IntN(2)])
						_ = cc.UpdateState(s)
						if rand.IntN(5) == 0 {
							cc.ReportError(errBroken)
						}
					}
					w.ch.ResetConnectBackoff()
				}
			})
			work.Wait()
			if rand.IntN(2) == 0 {
				if _, _, cc := n.counts(); cc != nil {
					_ = cc.UpdateState(flat("a", "b"))
				}
				w.ch.ResetConnectBackoff()
				if _, err := w.within(time.Minute, true); err != nil {
					t.Error(err)
				}
				w.wantState(connectivity.Ready)
			}
			w.ch.Close()
			if n.builds != n.closed {
				t.Errorf("%d resolvers were built, and %d closed", n.builds, n.closed)
			}
			if left := len(w.ch.InspectConnections()); left != 0 {
				t.Errorf("%d connections are left", left)
			}
		})
	}
}

package channel

import (
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-rpc/weir/internal/simnet"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
)

func three(w *world, _ *Config) {
	w.names(resolvesTo("10.0.0.1", "10.0.0.2", "10.0.0.3"))
}

// Each address is tried once in a round, in order, and the error has them all.
func TestRoundNamesEachAddress(t *testing.T) {
	inWorld(t, "dns:///svc:80", three, func(t *testing.T, w *world) {
		w.net.Link.RTT = 10 * ms
		_, err := w.within(time.Minute, false)
		wantStatus(t, err, codes.Unavailable, "dns:///svc:80", "cannot connect to 10.0.0.1:80", "cannot connect to 10.0.0.2:80", "cannot connect to 10.0.0.3:80", "refused")
		simnet.Advance(time.Second)
		w.wantDials("0s 10.0.0.1:80", "10ms 10.0.0.2:80", "20ms 10.0.0.3:80", "1s 10.0.0.1:80", "1.01s 10.0.0.2:80", "1.02s 10.0.0.3:80")
	})
}

// An address that hangs delays the next by 250 ms and no more.
func TestRoundDoesNotWaitForASlowAddress(t *testing.T) {
	inWorld(t, "dns:///svc:80", three, func(t *testing.T, w *world) {
		var left atomic.Int32
		w.accept("10.0.0.1:80", func(h *host, c net.Conn) { silent(h, c); left.Add(1) })
		w.accept("10.0.0.2:80", func(h *host, c net.Conn) { silent(h, c); left.Add(1) })
		w.serve("10.0.0.3:80")
		elapsed(t, 500*ms, func() { w.mustConnect() })
		w.wantDials("0s 10.0.0.1:80", "250ms 10.0.0.2:80", "500ms 10.0.0.3:80")
		w.wantState(connectivity.Ready)
		if n := left.Load(); n != 2 {
			t.Errorf("%d of the 2 slower attempts have been given up", n)
		}
	})
}

// All that answer but one are closed again.
func TestRoundKeepsOneConnection(t *testing.T) {
	inWorld(t, "dns:///svc:80", three, func(t *testing.T, w *world) {
		w.net.Link.RTT = 400 * ms // dial 400, SETTINGS 400: all three are under way
		hosts := []*host{w.serve("10.0.0.1:80"), w.serve("10.0.0.2:80"), w.serve("10.0.0.3:80")}
		tr := w.mustConnect()
		if got := tr.Peer().Addr.String(); got != "10.0.0.1:80" {
			t.Errorf("connected to %s, want the first address", got)
		}
		simnet.Advance(5 * time.Second)
		for i, h := range hosts {
			open := 0
			for _, sv := range h.all {
				if sv.Err() == nil {
					open++
				}
			}
			if want := map[int]int{0: 1}[i]; open != want {
				t.Errorf("server %d has %d connections, want %d", i+1, open, want)
			}
		}
	})
}

// A round ends when its last address has had its time, and not before.
func TestRoundOfSilentAddresses(t *testing.T) {
	inWorld(t, "dns:///svc:80", three, func(t *testing.T, w *world) {
		for _, a := range []string{"10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"} {
			w.accept(a, silent)
		}
		elapsed(t, 20*time.Second+500*ms, func() {
			_, err := w.within(time.Hour, false)
			wantStatus(t, err, codes.Unavailable, "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "connect timeout of 20s")
		})
	})
}

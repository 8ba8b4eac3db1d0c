package channel

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/weir-rpc/weir/internal/simnet"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
)

// The whole life: lazy, lost, lazy again, closed.
func TestLifeOfAChannel(t *testing.T) {
	inWorld(t, "passthrough:///a", nil, func(t *testing.T, w *world) {
		h := w.serve("a")
		simnet.Advance(time.Hour)
		w.wantState(connectivity.Idle)
		w.wantDials()

		first := w.mustConnect()
		w.wantMoves("IDLE>CONNECTING", "CONNECTING>READY")
		w.wantDials("1h0m0s a")
		if again := w.mustConnect(); again != first {
			t.Error("the second call has another connection")
		}

		h.each(func(sv transport.ServerTransport) { sv.Close("maintenance") })
		errs := w.wantMoves("READY>IDLE")
		wantWords(t, errs[0], "maintenance")
		simnet.Advance(time.Hour)
		w.wantState(connectivity.Idle) // nobody asked
		w.wantDials()

		if again := w.mustConnect(); again == first {
			t.Error("a dead connection is used")
		}
		w.wantMoves("IDLE>CONNECTING", "CONNECTING>READY")
		if err := w.ch.Close(); err != nil {
			t.Error(err)
		}
		errs = w.wantMoves("READY>SHUTDOWN")
		if errs[0] != nil {
			t.Errorf("the end comes with %v", errs[0])
		}
		wantStatus(t, w.ch.Close(), codes.Canceled, "closed")
	})
}

// Row A114: connecting goes on by itself after a failure, holds no lock and
// makes one connection, and the state says what there is.
func TestFailureStaysUntilReady(t *testing.T) {
	inWorld(t, "passthrough:///a", nil, func(t *testing.T, w *world) {
		w.ch.Connect()
		errs := w.wantMoves("IDLE>CONNECTING", "CONNECTING>TRANSIENT_FAILURE")
		if !errors.Is(errs[1], syscall.ECONNREFUSED) {
			t.Errorf("the observer was told %v", errs[1])
		}
		simnet.Advance(10 * time.Second)
		w.wantMoves() // the attempts since then show no CONNECTING
		h := w.serve("a")
		simnet.Advance(10 * time.Second)
		w.wantMoves("TRANSIENT_FAILURE>READY")
		w.mustConnect()
		if n := len(h.all); n != 1 {
			t.Errorf("%d connections, want 1", n)
		}
	})
}

// Row A115: 1 s x 1.6 from the start of a round to the start of the next.
func TestRoundsKeepTheirDistance(t *testing.T) {
	inWorld(t, "passthrough:///a", nil, func(t *testing.T, w *world) {
		w.ch.Connect()
		simnet.Advance(11 * time.Second)
		w.wantDials("0s a", "1s a", "2.6s a", "5.16s a", "9.256s a")
	})
}

// Row A115: the delays begin anew only when the server's SETTINGS have come.
func TestBackoffIsResetBySettings(t *testing.T) {
	inWorld(t, "passthrough:///a", nil, func(t *testing.T, w *world) {
		h := w.accept("a", func(_ *host, nc net.Conn) { nc.Close() })
		w.ch.Connect()
		simnet.Advance(5 * time.Second)
		w.wantDials("0s a", "1s a", "2.6s a")
		w.wantMoves("IDLE>CONNECTING", "CONNECTING>TRANSIENT_FAILURE")
		h.stop()

		h = w.serve("a")
		simnet.Advance(time.Second)
		w.wantDials("5.16s a")
		w.wantState(connectivity.Ready)
		h.stop()
		w.wantState(connectivity.Idle)
		w.ch.Connect()
		simnet.Advance(3 * time.Second)
		w.wantDials("6s a", "7s a", "8.6s a")
	})
}

func TestResetConnectBackoff(t *testing.T) {
	inWorld(t, "passthrough:///a", nil, func(t *testing.T, w *world) {
		w.ch.ResetConnectBackoff() // nothing waits
		w.ch.Connect()
		simnet.Advance(6 * time.Second)
		w.wantDials("0s a", "1s a", "2.6s a", "5.16s a")
		w.ch.ResetConnectBackoff() // 9.256 s would be the next
		w.ch.ResetConnectBackoff()
		simnet.Advance(4 * time.Second)
		w.wantDials("6s a", "7s a", "8.6s a")
	})
}

// Row A24: a server that accepts and says nothing costs the connect timeout,
// which grows with the backoff.
func TestSilentServer(t *testing.T) {
	inWorld(t, "passthrough:///a", nil, func(t *testing.T, w *world) {
		w.accept("a", silent)
		elapsed(t, 20*time.Second, func() {
			_, err := w.within(time.Hour, false)
			wantStatus(t, err, codes.Unavailable, "passthrough:///a", "SETTINGS", "connect timeout of 20s", "MinConnectTimeout")
		})
		simnet.Advance(10 * time.Minute)
		w.mu.Lock()
		defer w.mu.Unlock()
		// 20 s each until the delay is longer; 1.6^7 s is 26.8 s.
		want := []string{"0s a", "20s a", "40s a", "1m0s a", "1m20s a", "1m40s a", "2m0s a", "2m20s a"}
		for i, d := range want {
			if w.dials[i] != d {
				t.Errorf("dial %d: %q, want %q", i, w.dials[i], d)
			}
		}
		if len(w.dials) > 16 {
			t.Errorf("%d dials in ten minutes", len(w.dials))
		}
	})
}

// A connection that has just ended is not given to a call, whoever notices
// first.
func TestLostConnectionIsNotPicked(t *testing.T) {
	inWorld(t, "passthrough:///a", nil, func(t *testing.T, w *world) {
		w.serve("a")
		for range 50 {
			tr := w.mustConnect()
			tr.GracefulClose()
			next, err := w.within(time.Second, false)
			if err != nil {
				t.Fatal(err)
			}
			if next == tr {
				t.Fatal("a call got the connection that drains")
			}
		}
	})
}

func TestDNSFailsOverToTheNextAddress(t *testing.T) {
	inWorld(t, "dns:///svc:80", nil, func(t *testing.T, w *world) {
		w.names(resolvesTo("10.0.0.1", "10.0.0.2"))
		w.serve("10.0.0.2:80")
		w.mustConnect()
		w.wantDials("0s 10.0.0.1:80", "0s 10.0.0.2:80")
	})
}

func TestUnresolvedName(t *testing.T) {
	inWorld(t, "dns:///svc:80", nil, func(t *testing.T, w *world) {
		_, err := w.within(time.Minute, false)
		wantStatus(t, err, codes.Unavailable, "dns:///svc:80", "cannot resolve svc", "no such host")
		w.names(resolvesTo("10.0.0.1"))
		w.serve("10.0.0.1:80")
		elapsed(t, time.Second, func() { w.mustConnect() })
	})
}

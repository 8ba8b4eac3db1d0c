package channel

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/internal/simnet"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
)

func idleAfter(d time.Duration) func(*world, *Config) {
	return func(_ *world, cfg *Config) { cfg.Transport.IdleTimeout = d }
}

// A connection without calls ends, and the next call makes one. An open stream
// keeps it.
func TestIdleTimeout(t *testing.T) {
	inWorld(t, "passthrough:///a", idleAfter(8*time.Second), func(t *testing.T, w *world) {
		w.serve("a")
		w.mustConnect()
		w.wantMoves("IDLE>CONNECTING", "CONNECTING>READY")
		simnet.Advance(8*time.Second - 1)
		w.wantState(connectivity.Ready)
		simnet.Advance(1)
		errs := w.wantMoves("READY>IDLE")
		if !errors.Is(errs[0], transport.ErrIdle) {
			t.Errorf("the observer was told %v", errs[0])
		}
		ctx, cancel := context.WithCancel(context.Background())
		st, err := w.mustConnect().NewStream(ctx, &transport.Call{Method: "/s/m"})
		if err != nil {
			t.Fatal(err)
		}
		w.wantDials("0s a", "8s a")
		simnet.Advance(time.Hour)
		w.wantState(connectivity.Ready)
		cancel()
		if _, err := st.Recv(); err == nil {
			t.Error("the stream goes on")
		}
		simnet.Advance(9 * time.Second)
		w.wantState(connectivity.Idle)
		simnet.Advance(time.Hour)
		w.wantDials() // nobody asked
	})
}

// A channel that cannot connect stops trying when nobody has called for the
// timeout, and begins anew with the next call. A call that waits keeps it.
func TestIdleTimeout_WhileConnecting(t *testing.T) {
	inWorld(t, "passthrough:///a", idleAfter(10*time.Second), func(t *testing.T, w *world) {
		w.ch.Connect()
		simnet.Advance(10*time.Second - 1)
		w.wantState(connectivity.TransientFailure)
		simnet.Advance(1)
		errs := w.wantMoves("IDLE>CONNECTING", "CONNECTING>TRANSIENT_FAILURE", "TRANSIENT_FAILURE>IDLE")
		if !errors.Is(errs[2], transport.ErrIdle) {
			t.Errorf("the observer was told %v", errs[2])
		}
		w.wantDials("0s a", "1s a", "2.6s a", "5.16s a", "9.256s a")
		simnet.Advance(time.Hour)
		w.wantDials()

		_, err := w.within(time.Minute, false)
		wantStatus(t, err, codes.Unavailable, "refused")
		w.wantMoves("IDLE>CONNECTING", "CONNECTING>TRANSIENT_FAILURE")
		w.wantDials("1h0m10s a") // the backoff begins anew
		_, err = w.within(time.Minute, true)
		wantStatus(t, err, codes.DeadlineExceeded)
		w.wantState(connectivity.TransientFailure)
		simnet.Advance(10*time.Second - 1)
		w.wantState(connectivity.TransientFailure)
		simnet.Advance(1)
		w.wantState(connectivity.Idle)

		done := make(chan error)
		go func() { _, err := w.within(time.Hour, true); done <- err }()
		synctest.Wait()
		simnet.Advance(30 * time.Minute)
		w.serve("a")
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

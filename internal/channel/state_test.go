package channel

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/internal/simnet"
	"google.golang.org/grpc/connectivity"
)

func TestWaitForStateChange(t *testing.T) {
	inWorld(t, "passthrough:///a", nil, func(t *testing.T, w *world) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		elapsed(t, 0, func() {
			if !w.ch.WaitForStateChange(ctx, connectivity.Ready) {
				t.Error("IDLE is not another state than READY")
			}
		})
		elapsed(t, time.Second, func() {
			if w.ch.WaitForStateChange(ctx, connectivity.Idle) {
				t.Error("an IDLE channel changed by itself")
			}
		})
		if !w.ch.WaitForStateChange(ctx, connectivity.Ready) {
			t.Error("the end of the context hides that the state is another")
		}
		changed := make(chan bool)
		go func() { changed <- w.ch.WaitForStateChange(context.Background(), connectivity.Idle) }()
		synctest.Wait()
		w.ch.Connect()
		if !<-changed {
			t.Error("CONNECTING went unnoticed")
		}
	})
}

// Repeated failures are no change of state, but the last error is news.
func TestFailureAgainIsNoChange(t *testing.T) {
	n := 0
	inWorld(t, "dns:///svc:80", func(w *world, _ *Config) {
		w.names(func(asked int) ([]string, error) { return nil, fmt.Errorf("failure %d", asked) })
	}, func(t *testing.T, w *world) {
		w.ch.Connect()
		w.wantState(connectivity.TransientFailure)
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if w.ch.WaitForStateChange(ctx, connectivity.TransientFailure) {
			t.Errorf("the state is %v", w.ch.State())
		}
		w.mu.Lock()
		n = w.asked
		w.mu.Unlock()
		_, err := w.within(time.Second, false)
		wantWords(t, err, fmt.Sprintf("failure %d", n))
	})
	if n != 3 {
		t.Errorf("%d rounds in 5 s, want 3", n)
	}
}

// A state that was left and entered again while nobody looked has changed.
func TestWaitSeesWhatIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s states
		s.begin(without{errNotYet})
		saw := make(chan bool, 2)
		for range cap(saw) {
			go func() { saw <- s.wait(context.Background(), connectivity.Idle) }()
		}
		synctest.Wait()
		s.set(connectivity.Idle, without{errClosed}, nil)
		synctest.Wait()
		if len(saw) > 0 {
			t.Error("IDLE with another picker counts as another state")
		}
		s.set(connectivity.Connecting, without{errNotYet}, nil)
		s.set(connectivity.Idle, without{errNotYet}, nil)
		synctest.Wait()
		if len(saw) != cap(saw) {
			t.Error("IDLE was left and entered again unnoticed")
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if s.wait(ctx, connectivity.Idle) {
			t.Error("the present state counts as left")
		}
	})
}

// Who asks for the view that follows one of the past need not wait.
func TestNextViewIsThere(t *testing.T) {
	var s states
	s.begin(without{errNotYet})
	v := s.current.Load()
	next := s.next(v)
	s.set(connectivity.Connecting, without{errNotYet}, nil)
	select {
	case <-next:
	default:
		t.Error("nobody says that there is a next view")
	}
	if s.next(v) != nil {
		t.Error("there is a next view, and one is to wait for it")
	}
	if s.next(s.current.Load()) == nil {
		t.Error("there is no next view, and nothing to wait for it with")
	}
}

func TestNothingFollowsShutdown(t *testing.T) {
	var s states
	s.begin(without{errNotYet})
	s.set(connectivity.Shutdown, without{errClosed}, nil)
	s.set(connectivity.Idle, without{errNotYet}, nil)
	if got := s.current.Load(); got.state != connectivity.Shutdown || got.picker != (without{errClosed}) {
		t.Errorf("the state is %v", got.state)
	}
}

// Row A114: an observer runs without locks, one change at a time and in order,
// and nothing waits for it.
// Row A17: who is told of connections is called without a lock.
func TestObserverMayDoAnything(t *testing.T) {
	var (
		moves []string
		busy  bool
	)
	inWorld(t, "passthrough:///a", func(w *world, cfg *Config) {
		cfg.Observer = func(from, to connectivity.State, _ error) {
			if busy {
				t.Error("two calls of the observer at a time")
			}
			busy = true
			defer func() { busy = false }()
			moves = append(moves, from.String()+">"+to.String())
			w.ch.State()
			w.ch.ResetConnectBackoff()
			w.ch.Connect()
			if to == connectivity.Ready {
				if _, err := w.within(time.Second, false); err != nil {
					t.Error(err)
				}
				<-time.After(time.Minute) // it takes its time
				w.ch.Close()
			}
		}
	}, func(t *testing.T, w *world) {
		h := w.serve("a")
		elapsed(t, 0, func() {
			w.mustConnect()
			w.wantState(connectivity.Ready) // the observer has its call
			h.stop()
			w.wantState(connectivity.Idle)
		})
		simnet.Advance(2 * time.Minute)
		w.wantState(connectivity.Shutdown)
		// What happened while it was busy comes afterwards, in order.
		want := []string{"IDLE>CONNECTING", "CONNECTING>READY", "READY>IDLE", "IDLE>SHUTDOWN"}
		if !slices.Equal(moves, want) {
			t.Errorf("told %q, want %q", moves, want)
		}
	})
}

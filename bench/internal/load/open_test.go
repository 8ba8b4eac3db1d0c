package load

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-rpc/weir/bench/internal/benchpb"
	"github.com/weir-rpc/weir/bench/internal/peers"
	"github.com/weir-rpc/weir/bench/internal/scenario"
)

// stalled answers nothing for some time after its first call, and then at once.
type stalled struct {
	peers.Client

	stall time.Duration
	until time.Time // of one goroutine
	calls atomic.Int64
}

func (s *stalled) Echo(ctx context.Context, m *benchpb.Message) (*benchpb.Message, error) {
	if s.calls.Add(1) == 1 {
		s.until = time.Now().Add(s.stall)
	}
	if wait := time.Until(s.until); wait > 0 {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return &benchpb.Message{Sequence: m.Sequence, Payload: m.Payload}, nil
}

// TestLatencyIsFromWhenACallWasDue: with one call outstanding at most, the
// others of a stall wait in the schedule, and that is part of their latency.
func TestLatencyIsFromWhenACallWasDue(t *testing.T) {
	const (
		rate  = 10_000
		d     = 100 * time.Millisecond
		stall = 80 * time.Millisecond
	)
	s := scenario.Scenario{Shape: scenario.Open, Payload: 32, Outstanding: 1, Connections: 1, Rate: rate}
	client := &stalled{stall: stall}
	w, err := NewCaller(s, []peers.Client{client}, nil).Run(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	if want := int(rate * d.Seconds()); w.Calls != want || client.calls.Load() != int64(want) {
		t.Errorf("%d calls were made and %d counted, want %d", client.calls.Load(), w.Calls, want)
	}
	// The calls of the stall were due evenly over it.
	if w.Latency.P50 < 20*time.Millisecond || w.Latency.P99 < stall*8/10 {
		t.Errorf("latency %+v of a stall of %v", w.Latency, stall)
	}
}

// TestScheduleIsKept: the calls of a server that answers at once come spread
// over the time, and not all at its end.
func TestScheduleIsKept(t *testing.T) {
	sched, err := newSchedule(1000, 50*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	kept := make(chan error, 1)
	go func() { kept <- sched.keep(t.Context(), nil) }()
	n := 0
	for at := range sched.due {
		if now := time.Now(); at.After(now) {
			t.Fatalf("call %d came %v before it was due", n, at.Sub(now))
		}
		if want := time.Duration(n) * time.Millisecond; at.Sub(started) < want {
			t.Fatalf("call %d was due %v after the start, want %v", n, at.Sub(started), want)
		}
		n++
	}
	if err := <-kept; err != nil || n != 50 {
		t.Errorf("%d calls and %v, want 50", n, err)
	}
}

func TestScheduleEndsWithItsContext(t *testing.T) {
	sched, err := newSchedule(10, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the input has ended")
	time.AfterFunc(5*time.Millisecond, func() { cancel(gone) })
	if err := sched.keep(ctx, nil); !errors.Is(err, gone) {
		t.Errorf("error %v, want %v", err, gone)
	}
}

func TestRates(t *testing.T) {
	for _, rate := range []float64{0, -1, 2 * maxRate} {
		s := scenario.Scenario{Shape: scenario.Open, Payload: 32, Outstanding: 1, Connections: 1, Rate: rate}
		_, err := NewCaller(s, []peers.Client{hanging{}}, nil).Run(t.Context(), time.Second)
		if err == nil || !strings.Contains(err.Error(), "expected a rate of calls") {
			t.Errorf("%v calls a second: error %v", rate, err)
		}
	}
}

func TestPacer(t *testing.T) {
	p, err := newPacer()
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	const steps = 5
	started := time.Now()
	for range steps {
		if err := p.wait(); err != nil {
			t.Fatal(err)
		}
	}
	// Steps that are over when wait is called are one.
	if took := time.Since(started); took < step {
		t.Errorf("%d steps of %v took %v", steps, step, took)
	}
}

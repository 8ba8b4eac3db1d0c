package rolling

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A call that takes long takes the time of no other, and each takes the time that
// it took from when it was due.
func TestLoad_IsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		broken := errors.New("broken")
		run := Load{Rate: 500, Timeout: time.Second, Call: func(ctx context.Context) error {
			switch n.Add(1) {
			case 10: // for as long as it may
				<-ctx.Done()
				return ctx.Err()
			case 20, 30:
				return broken
			}
			<-time.After(5 * time.Millisecond)
			return nil
		}}.Start()
		<-time.After(2*time.Second - time.Millisecond)
		if since := run.Since(); since != 2*time.Second-time.Millisecond {
			t.Errorf("it goes on for %v", since)
		}
		r := run.Stop()
		if len(r.Calls) != 1000 || len(r.Failed) != 3 {
			t.Fatalf("%v, want 1000 calls and 3 failed", r)
		}
		if r.P50 != 5*time.Millisecond || r.P99 != 5*time.Millisecond || r.Longest != time.Second {
			t.Errorf("%v, want 5 ms, 5 ms and 1 s", r)
		}
		if at := r.Failed[0].At; at != 18*time.Millisecond {
			t.Errorf("the tenth call was due at %v, want 18 ms", at)
		}
		for _, want := range []string{"1000 calls, 3 failed; p50 5ms, p99 5ms, longest 1s", "1 times, first at 18ms after 1s: " + context.DeadlineExceeded.Error(), "2 times, first at 38ms after 0s: broken"} {
			if !strings.Contains(r.String(), want) {
				t.Errorf("%q is not in:\n%v", want, r)
			}
		}
		if r := r.Between(10*time.Millisecond, 40*time.Millisecond); len(r.Calls) != 15 || len(r.Failed) != 2 {
			t.Errorf("from 10 to 40 ms: %v, want 15 calls and 2 failed", r)
		}
	})
}

// A server that answers nothing does not get more than four seconds of calls.
func TestLoad_IsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var open, most atomic.Int64
		run := Load{Rate: 10, Timeout: time.Minute, Call: func(ctx context.Context) error {
			most.Store(max(most.Load(), open.Add(1)))
			defer open.Add(-1)
			<-ctx.Done()
			return nil
		}}.Start()
		<-time.After(70*time.Second - time.Millisecond)
		if r := run.Stop(); most.Load() != 40 || len(r.Calls) != 80 {
			t.Errorf("%d calls under way at a time, and %d in all, want 40 and 80", most.Load(), len(r.Calls))
		}
	})
}

// What waits while the control waits is left out, and the rest is not.
func TestReport_Beside(t *testing.T) {
	const s = time.Second
	control := newReport([]Call{{At: 1 * s, Took: 1}, {At: 5 * s, Took: 3 * s}})
	all := newReport([]Call{{At: 1 * s, Took: 3 * s}, {At: 2 * s, Took: 4 * s}, {At: 6 * s, Took: 1}, {At: 7 * s, Took: 5 * s}, {At: 10 * s, Took: 1}, {At: 12 * s, Took: 1}})
	if r := all.Beside(control, s); len(r.Calls) != 2 || r.Calls[0].At != 1*s || r.Calls[1].At != 12*s || r.Longest != 3*s {
		t.Errorf("%v: %v", r, r.Calls)
	}
	if r := all.Beside(control, 3*s); len(r.Calls) != len(all.Calls) {
		t.Errorf("beside a control that did not wait: %v", r)
	}
}

func TestReport_OfNothing(t *testing.T) {
	if r := newReport(nil); r.String() != "0 calls, 0 failed; p50 0s, p99 0s, longest 0s" {
		t.Errorf("%v", r)
	}
}

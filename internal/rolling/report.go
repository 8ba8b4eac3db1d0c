package rolling

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Report is about the calls of a load.
type Report struct {
	Calls   []Call        // all, as their times came
	Failed  []Call        // those with an error
	P50     time.Duration // of all calls, from when their time had come
	P99     time.Duration
	Longest time.Duration
}

func newReport(calls []Call) Report {
	slices.SortFunc(calls, func(a, b Call) int { return int(a.At - b.At) })
	r := Report{Calls: calls}
	if len(calls) == 0 {
		return r
	}
	took := make([]time.Duration, 0, len(calls))
	for _, c := range calls {
		took = append(took, c.Took)
		if c.Err != nil {
			r.Failed = append(r.Failed, c)
		}
	}
	slices.Sort(took)
	r.P50, r.P99, r.Longest = took[len(took)/2], took[len(took)*99/100], took[len(took)-1]
	return r
}

// Between is about the calls whose time came from the one time to before the
// other, since the load began.
func (r Report) Between(from, to time.Duration) Report {
	var calls []Call
	for _, c := range r.Calls {
		if c.At >= from && c.At < to {
			calls = append(calls, c)
		}
	}
	return newReport(calls)
}

// Beside is about the calls during which no call of the control took more than
// limit. The control calls at the same time what is not tested: when that has to
// wait, the machine has no time for it, and the wait of others says nothing; nor
// does it for as long again, when what was held up is made up for. Both loads have
// to have begun at the same time.
func (r Report) Beside(control Report, limit time.Duration) Report {
	var busy []Call
	for _, c := range control.Calls {
		if c.Took > limit {
			busy = append(busy, c)
		}
	}
	var calls []Call
	for _, c := range r.Calls {
		if !slices.ContainsFunc(busy, func(b Call) bool { return b.At <= c.At+c.Took && c.At <= b.At+2*b.Took }) {
			calls = append(calls, c)
		}
	}
	return newReport(calls)
}

// mostShown is how many kinds of errors are shown.
const mostShown = 10

// String has the figures in one line, and one more for each error, with how often
// it came and when first.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d calls, %d failed; p50 %v, p99 %v, longest %v",
		len(r.Calls), len(r.Failed), round(r.P50), round(r.P99), round(r.Longest))
	times := make(map[string]int)
	var kinds []Call
	for _, c := range r.Failed {
		if times[c.Err.Error()]++; times[c.Err.Error()] == 1 {
			kinds = append(kinds, c)
		}
	}
	for i, c := range kinds {
		if i == mostShown {
			fmt.Fprintf(&b, "\n  and %d others", len(kinds)-i)
			break
		}
		fmt.Fprintf(&b, "\n  %d times, first at %v after %v: %v", times[c.Err.Error()], round(c.At), round(c.Took), c.Err)
	}
	return b.String()
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

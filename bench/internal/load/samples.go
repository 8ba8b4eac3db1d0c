package load

import (
	"math"
	"slices"
	"time"
)

// samples are times in units of tick. They are small, so that they change the
// size of the measured heap little, and are kept to be filled again.
type samples []uint32

const tick = 100 * time.Nanosecond

// smallest is how much room there is at first.
const smallest = 1 << 10

// reset forgets the times and makes room for twice as many as there were, so
// that a run after a warm-up does not allocate for them.
func (s *samples) reset() {
	if want := max(smallest, 2*len(*s)); cap(*s) < want {
		*s = make(samples, 0, want)
	}
	*s = (*s)[:0]
}

// add keeps the time since started, and gives the present one.
func (s *samples) add(started time.Time) time.Time {
	now := time.Now()
	*s = append(*s, uint32(min(now.Sub(started)/tick, math.MaxUint32)))
	return now
}

// Latency is what 50, 99 and 99.9 of 100 calls did not exceed. It is zero where
// there were too few calls to tell: 100 for the second, 1000 for the third.
type Latency struct {
	P50  time.Duration `json:"p50_ns"`
	P99  time.Duration `json:"p99_ns"`
	P999 time.Duration `json:"p999_ns"`
}

func spread(some []samples) Latency {
	all := slices.Concat(some...)
	slices.Sort(all)
	rank := func(perMille int) time.Duration {
		if len(all)*(1000-perMille) < 1000 {
			return 0
		}
		return time.Duration(all[(len(all)*perMille+999)/1000-1]) * tick
	}
	return Latency{P50: rank(500), P99: rank(990), P999: rank(999)}
}

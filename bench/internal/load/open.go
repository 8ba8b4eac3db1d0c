package load

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// schedule has calls begin at times that are fixed before: a server that is
// slow does not get fewer of them. Latency is counted from when a call was due,
// so that the calls that had to wait for others tell of it too.
type schedule struct {
	rate float64 // calls a second
	due  chan time.Time
	n    int
}

// maxRate is more than a machine can do, and bounds the room for what is due.
const maxRate = 1e8

func newSchedule(rate float64, d time.Duration) (*schedule, error) {
	if rate <= 0 || rate > maxRate {
		return nil, fmt.Errorf("expected a rate of calls for a schedule, %g a second at most; came %g", maxRate, rate)
	}
	n := max(1, int(rate*d.Seconds()))
	return &schedule{rate: rate, n: n, due: make(chan time.Time, n)}, nil
}

// keep gives out each call when it is due. Calls that are due within the same
// step of the clock begin together.
func (s *schedule) keep(ctx context.Context, _ *atomic.Bool) (err error) {
	defer close(s.due)
	p, err := newPacer()
	if err != nil {
		return err
	}
	defer p.close()
	started := time.Now()
	for i := 0; i < s.n; {
		for now := time.Now(); i < s.n; i++ {
			at := started.Add(time.Duration(float64(i) / s.rate * float64(time.Second)))
			if at.After(now) {
				break
			}
			s.due <- at // there is room for all
		}
		if err := p.wait(); err != nil {
			return err
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
	}
	return nil
}

// calls makes one call after the other, when they are due.
func (s *schedule) calls(ctx context.Context, l *lane) error {
	for at := range s.due {
		if err := l.echo(ctx); err != nil {
			return err
		}
		l.timed.add(at)
	}
	return nil
}

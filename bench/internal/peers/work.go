package peers

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// work is what the handler of a slow scenario does before it answers.
func (s *service) work(ctx context.Context) error {
	if s.cfg.Turns > 0 {
		Spin(s.cfg.Turns)
	}
	if s.cfg.Sleep == 0 {
		return nil
	}
	slept := time.NewTimer(s.cfg.Sleep)
	defer slept.Stop()
	select {
	case <-slept.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Spin computes something for as many turns. No two processors take the same
// time for it, but all peers on one do the same work.
func Spin(turns int) {
	x := uint64(turns) | 1
	for range turns {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	spun.Store(x)
}

var spun atomic.Uint64 // so that the turns are not left out

// Turns finds how many turns of Spin take that long here, when nobody else
// wants the processor: the fastest of some tries.
func Turns(d time.Duration) (int, error) {
	const tries, turns = 32, 1 << 17
	fastest := time.Duration(1<<63 - 1)
	for range tries {
		started := time.Now()
		Spin(turns)
		fastest = min(fastest, time.Since(started))
	}
	if fastest <= 0 {
		return 0, errors.New("expected a clock that sees a loop take time; came none")
	}
	return int(float64(turns) * float64(d) / float64(fastest)), nil
}

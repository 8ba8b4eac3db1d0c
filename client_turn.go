package weir

import (
	"context"
	"sync"
)

// turn is a lock that is held for as long as it takes: while a call waits for
// credit, or for its next attempt. Who waits for it does so as one waits for a
// channel, so that fake time (testing/synctest) passes meanwhile. The zero value
// is free. It may be given back by another goroutine than took it.
type turn struct {
	mu    sync.Mutex
	freed *sync.Cond // made by the first who waits; guarded by mu
	taken bool       // guarded by mu
}

func (t *turn) expectLocked() {
	if t.freed == nil {
		t.freed = sync.NewCond(&t.mu)
	}
}

func (t *turn) Lock() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.taken {
		t.expectLocked()
		t.freed.Wait()
	}
	t.taken = true
}

// lockWithin reports whether the turn could be taken until ctx ended.
func (t *turn) lockWithin(ctx context.Context) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.taken && ctx.Err() == nil {
		t.expectLocked()
		stop := context.AfterFunc(ctx, func() {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.freed.Broadcast()
		})
		defer stop()
		for t.taken && ctx.Err() == nil {
			t.freed.Wait()
		}
	}
	if t.taken {
		return false
	}
	t.taken = true
	return true
}

func (t *turn) Unlock() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.taken = false
	if t.freed != nil {
		t.freed.Signal()
	}
}

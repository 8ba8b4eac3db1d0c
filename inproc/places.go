package inproc

import (
	"context"
	"math"

	"github.com/weir-rpc/weir/internal/sched"
	"github.com/weir-rpc/weir/internal/wait"
)

// places are those in MaxConcurrentStreams. A stream holds one until it has
// ended and its handler has returned or sent the status. Guarded by pipe.mu.
type places struct {
	limit uint32
	taken uint32
	line  sched.Line[waiter]
}

// waiter waits for a place.
type waiter struct {
	granted bool // guarded by pipe.mu
	called  chan struct{}
}

// take takes a place if there is one and nobody waits for it.
func (l *places) take() bool {
	if l.limit != math.MaxUint32 && l.taken >= l.limit || l.line.Len() > 0 {
		return false
	}
	l.taken++
	return true
}

// wait stands in line.
func (l *places) wait() *sched.Place[waiter] {
	return l.line.Join(waiter{called: make(chan struct{})})
}

// wait waits until it is the waiter's turn, or there will be none.
func (w *waiter) wait(ctx context.Context) error {
	return wait.For(ctx, wait.StreamSlot, wait.Holder{}, w.called)
}

// leave is the end of a wait that makes no use of its place.
func (l *places) leave(w *sched.Place[waiter]) {
	l.line.Leave(w)
	if w.Who.granted {
		w.Who.granted = false
		l.free()
	}
}

// free gives a place to who is first in line.
func (l *places) free() {
	if l.line.Len() == 0 {
		l.taken--
		return
	}
	w := l.line.Next()
	w.granted = true
	close(w.called)
}

// refuse calls everybody: there are no places any more.
func (l *places) refuse() {
	for l.line.Len() > 0 {
		close(l.line.Next().called)
	}
}

package transport

import (
	"errors"
	"fmt"
	"time"
)

// ErrIdle is the cause of the end of a connection by ClientConfig.IdleTimeout.
var ErrIdle = errors.New("no call was open (option WithIdleTimeout)")

// idleLooks is how often a connection's timer looks in an idle timeout. What is
// over is noticed at the next look: after an eighth of the timeout more.
const idleLooks = 8

// idleness ends a connection that has no calls. They do not pay for it: a timer
// looks whether there are some, and by their ids whether there were some since it
// looked before. Guarded by conn.mu.
type idleness struct {
	timer *time.Timer // nil without a timeout
	next  uint32      // the id of the next stream, as it was
	quiet uint32      // looks without a call, in a row
}

// expectCalls begins to look whether there are calls.
func (t *http2Client) expectCalls() {
	d := t.cfg.IdleTimeout
	if d <= 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.life != lifeClosed {
		t.idleness.next = t.nextID
		t.idleness.timer = time.AfterFunc(lookEvery(d), t.lookForCalls)
	}
}

func lookEvery(timeout time.Duration) time.Duration { return max(timeout/idleLooks, 1) }

// lookForCalls is the timer's.
func (t *http2Client) lookForCalls() {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := &t.idleness
	if t.life == lifeClosed {
		return
	}
	if t.ready != nil || t.streams.len() > 0 || t.slots.waiting.Len() > 0 || i.next != t.nextID {
		i.next, i.quiet = t.nextID, 0
	} else if i.quiet++; i.quiet >= idleLooks {
		t.failLocked(&ConnError{By: ByLocal, Reason: fmt.Sprintf("idle for %v", t.cfg.IdleTimeout), Cause: ErrIdle})
		return
	}
	i.timer.Reset(lookEvery(t.cfg.IdleTimeout))
}

func (i *idleness) stop() {
	if i.timer != nil {
		i.timer.Stop()
	}
}

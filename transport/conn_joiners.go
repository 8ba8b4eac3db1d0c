package transport

import "sync/atomic"

// joiners are the callers that the reader has woken and that have not run since.
// Most of them make another call as soon as they do, so that what somebody sends
// meanwhile can wait and leave with theirs: the last of them writes, or sees to
// it. They stand in the scheduler's queues already, and wait for nothing else.
type joiners struct {
	woken atomic.Int32
	held  atomic.Bool // output waits for them; set with conn.mu
	holds uint8       // flushes since the last write that left it to them; guarded by conn.mu
}

// What waits for joiners is bounded: it is written when it has come to so many
// octets, or to so many calls.
const (
	holdOctets = chunkSize
	holdCalls  = 64
)

// holdLocked reports whether what is pending can be left to callers that are
// about to run. They look whether something was left after they have said that
// they run, and this looks whether there are any after it has said that there
// is: one of them sees the other.
func (c *conn) holdLocked() bool {
	j := &c.joiners
	if j.woken.Load() == 0 || c.out.size >= holdOctets || j.holds >= holdCalls {
		return false
	}
	j.holds++
	j.held.Store(true)
	return j.woken.Load() > 0
}

// wakingAll says that a client's reader is about to wake callers: until wokenAll
// it is one of them itself, so that the first does not take itself for the last.
func (j *joiners) wakingAll(client bool) {
	if client {
		j.woken.Add(1)
	}
}

// wokenAll reports whether all of them have run already, and left something to
// the reader.
func (j *joiners) wokenAll(client bool) bool {
	return client && j.woken.Add(-1) == 0 && j.held.Load()
}

// wakes says that cs is about to be woken, if it waits.
func (j *joiners) wakes(cs *http2ClientStream) {
	if cs.waits.CompareAndSwap(true, false) {
		j.woken.Add(1)
	}
}

// runs says that the caller of cs waits no more. If it was the last that was
// woken, what was left to it is written soon: by itself, should it make another
// call at once.
func (c *conn) runs(cs *http2ClientStream) {
	if cs.waits.CompareAndSwap(true, false) {
		return // by something else than the reader
	}
	if c.joiners.woken.Add(-1) == 0 && c.joiners.held.Load() {
		go c.flushHeld()
	}
}

func (c *conn) flushHeld() {
	c.mu.Lock()
	c.flush(flushNow)
}

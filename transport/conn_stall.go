package transport

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// ErrWriteTimeout is the cause of a *ConnError when the peer has taken no
// octet for WriteTimeout though some were waiting for it.
var ErrWriteTimeout = errors.New("the peer does not read")

// stallWatch finds writes that do not get on. Its timer runs while the writer
// waits for the socket, and is not stopped when the wait is over: then it
// finds nothing and rests. So a connection pays for at most one timer each
// WriteTimeout, however often it writes.
type stallWatch struct {
	// taken changes with each write that begins and each part of it that the
	// socket takes.
	taken atomic.Uint32

	// Guarded by conn.mu.
	timer   *time.Timer
	armed   bool
	waiting bool   // a write that may wait is under way
	behind  bool   // the latest write waited, or waits, and there is more to write
	seen    uint32 // taken, when the timer was set
}

// waitLocked says that a write begins that may wait for the socket.
func (w *stallWatch) waitLocked(c *conn) {
	w.waiting, w.behind = true, true
	w.taken.Add(1)
	d := c.cfg.writeTimeout()
	if w.armed || d <= 0 || c.life == lifeClosed {
		return
	}
	w.armed, w.seen = true, w.taken.Load()
	if w.timer == nil {
		w.timer = time.AfterFunc(d, c.lookForStall)
		return
	}
	w.timer.Reset(d)
}

func (w *stallWatch) stop() {
	if w.timer != nil {
		w.timer.Stop()
	}
}

// lookForStall ends the connection if the writer has waited since the timer
// was set.
func (c *conn) lookForStall() {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := &c.stall
	w.armed = false
	taken := w.taken.Load()
	switch {
	case !w.waiting || c.life == lifeClosed:
	case taken != w.seen:
		w.armed, w.seen = true, taken
		w.timer.Reset(c.cfg.writeTimeout())
	default:
		c.failLocked(&ConnError{By: ByLocal, Cause: ErrWriteTimeout, Reason: fmt.Sprintf(
			"the peer has taken none of the octets that wait for it in %v (option %s)", c.cfg.writeTimeout(), c.option("WriteTimeout"))})
	}
}

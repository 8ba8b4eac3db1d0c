package transport

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/weir-rpc/weir/internal/frame"
	"github.com/weir-rpc/weir/internal/liveness"
)

// livenessState is what a connection does about time, on one timer. The timer
// runs watch, and nothing else acts: whoever makes something due before the
// timer fires has it fire now.
type livenessState struct {
	// Set by the reader, with conn.mu held, when the connection is ready; read
	// by it without, and by others with it.
	reads bool // the time of each read is noted
	// counts says that the schedule wants to know of streams as they come and
	// go, not only when a PING comes.
	counts bool

	read atomic.Int64 // when the latest octets were read, in nanoseconds after record.begun

	// Guarded by conn.mu. The schedule of a server is never nil, that of a client
	// is if it has no keepalive.
	schedule *liveness.Schedule
	sent     bool        // HEADERS or DATA, since the peer's latest PING
	timer    *time.Timer // nil as long as nothing had to be waited for
}

// keepalivePing is the payload of the PING frames that ask whether the peer
// lives. Nobody waits for their acknowledgement: any octet will do.
var keepalivePing = [8]byte{'w', 'e', 'i', 'r', 'l', 'i', 'v', 'e'}

// startLivenessLocked begins the schedule: the connection is ready. On the
// reader.
func (c *conn) startLivenessLocked() {
	if c.life == lifeClosed {
		return
	}
	l := &c.live
	now := time.Now()
	l.schedule = c.role.schedule(now)
	if l.schedule == nil || l.schedule.Off() {
		return
	}
	l.reads = l.schedule.Time() > 0
	l.read.Store(int64(now.Sub(c.record.begun)))
	l.counts = c.client || l.schedule.CountsIdle()
	l.schedule.Streams(c.streams.len(), now) // calls that were early
	c.watchNowLocked()
}

// noteRead notes that octets were read now. On the reader.
func (c *conn) noteRead() {
	c.rest.awake = c.rest.can
	if c.live.reads {
		c.live.read.Store(int64(c.readAt))
	}
}

// streamsChangedLocked says that a stream came, behind its HEADERS, or went.
func (c *conn) streamsChangedLocked() {
	l, n := &c.live, c.streams.len()
	if !l.counts || n > 1 {
		return // only some or none matters
	}
	var now time.Time
	if l.schedule.CountsIdle() {
		now = time.Now()
	}
	if l.schedule.Streams(n, now) {
		c.watchNowLocked()
	}
}

// watchNowLocked has the timer fire at once.
func (c *conn) watchNowLocked() {
	switch {
	case c.life == lifeClosed:
	case c.live.timer == nil:
		c.live.timer = time.AfterFunc(0, c.watch)
	default:
		c.live.timer.Reset(0)
	}
}

func (l *livenessState) stop() {
	if l.timer != nil {
		l.timer.Stop()
	}
}

// watch does what is due and sets the timer.
func (c *conn) watch() {
	c.mu.Lock()
	if c.life == lifeClosed {
		c.mu.Unlock()
		return
	}
	l := &c.live
	now := time.Now()
	l.schedule.Activity(c.record.begun.Add(time.Duration(l.read.Load())))
	action, pause := l.schedule.Next(now)
	if pause != liveness.Never {
		l.timer.Reset(pause)
	}
	switch action {
	case liveness.ActionPing:
		c.hbuf = frame.AppendPing(c.hbuf[:0], false, keepalivePing)
		c.tally.pingOutLocked()
		c.tally.keepalives++
		c.out.copy(c.hbuf)
		c.flush(flushAsync)
		return
	case liveness.ActionDrainIdle, liveness.ActionDrainAge:
		c.drainServerLocked(action.Debug())
		c.flush(flushAsync)
		return
	case liveness.ActionCloseGrace:
		c.failLocked(c.graceError())
	case liveness.ActionCloseDead:
		c.failLocked(c.deadError())
	}
	c.mu.Unlock()
}

// deadError is the end of a connection whose peer does not answer.
func (c *conn) deadError() *ConnError {
	who, option, timeout := c.role.keepalive()
	return &ConnError{By: ByNetwork, Reason: fmt.Sprintf(
		"the %s is not answering: nothing came from it for %v (Time), nor for %v (Timeout) after the keepalive PING that followed (option %s)",
		who, c.live.schedule.Time(), keepaliveTimeout(timeout), option)}
}

// keepaliveTimeout turns the option's value into the one in effect.
func keepaliveTimeout(d time.Duration) time.Duration {
	if d <= 0 {
		return liveness.DefaultTimeout
	}
	return d
}

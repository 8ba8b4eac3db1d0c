package transport

import (
	"time"

	"github.com/weir-rpc/weir/internal/frame"
)

// drainState is the graceful end of a server's connection. Guarded by
// conn.mu.
//
//	GOAWAY(2^31-1), PING ──► ACK of the PING, or too late ──► GOAWAY(last id) ──► no stream left, all written: close
//
// "A server that is attempting to gracefully shut down a connection SHOULD send
// an initial GOAWAY frame with the last stream identifier set to 2^31-1 and a
// NO_ERROR code. [...] After allowing time for any in-flight stream creation (at
// least one round-trip time), the server MAY send another GOAWAY frame with an
// updated last stream identifier."
// https://www.rfc-editor.org/rfc/rfc9113#section-6.8
type drainState struct {
	reason   string
	timer    *time.Timer
	lastID   uint32
	begun    bool // the first GOAWAY is queued
	last     bool // the second GOAWAY is queued: streams above lastID are ignored
	peerGone bool // the client has sent GOAWAY: a server that has not begun needs no second step
}

func (d *drainState) stop() {
	if d.timer != nil {
		d.timer.Stop()
	}
}

// drainPing is the payload of the PING between the two GOAWAY frames.
var drainPing = [8]byte{'w', 'e', 'i', 'r', 'g', 'o', 'n', 'e'}

// goAwayLocked queues a GOAWAY frame.
func (c *conn) goAwayLocked(last uint32, code ErrCode, debug string) {
	const most = 1 << 10
	if len(debug) > most {
		debug = debug[:most]
	}
	c.hbuf = frame.AppendGoAway(c.hbuf[:0], last, code, debug)
	c.tally.goAwayOutLocked(code)
	c.out.copy(c.hbuf)
	c.owed = true
}

// drainServer begins the graceful end of a server's connection.
func (c *conn) drainServer(reason string) {
	c.mu.Lock()
	c.drainServerLocked(reason)
	c.flush(flushAsync)
}

func (c *conn) drainServerLocked(reason string) {
	if c.life == lifeClosed || c.drain.begun {
		return
	}
	c.role.(*http2Server).drainsLocked()
	c.drain.begun, c.drain.reason = true, reason
	c.goAwayLocked(1<<31-1, CodeNoError, reason)
	c.hbuf = frame.AppendPing(c.hbuf[:0], false, drainPing)
	c.tally.pingOutLocked()
	c.out.copy(c.hbuf)
	c.drain.timer = time.AfterFunc(DefaultDrainTimeout, func() {
		c.mu.Lock()
		c.drainAckedLocked()
		c.flush(flushAsync)
	})
	c.goAwaySentLocked(false)
}

// drainAckedLocked is the second step: the client has seen the first GOAWAY,
// or had time enough.
func (c *conn) drainAckedLocked() {
	if c.life != lifeDraining || !c.drain.begun || c.drain.last {
		return
	}
	c.drain.stop()
	c.drain.last, c.drain.lastID = true, c.maxID
	c.goAwayLocked(c.maxID, CodeNoError, c.drain.reason)
	c.goAwaySentLocked(true)
	c.drainedLocked()
}

// drainClient lets the streams of a client finish, opens no new one and then
// closes.
func (c *conn) drainClient() {
	c.mu.Lock()
	if c.life == lifeOpen {
		c.life = lifeDraining
		c.role.settingsLocked() // those who wait for a slot will not get one
	}
	c.drainedLocked()
	c.flush(flushAsync) // an acknowledgement may have waited for this
}

// drainedLocked closes a connection that drains, when no stream is left and
// all that they had to say is written: whoever writes asks again afterwards.
func (c *conn) drainedLocked() {
	if !c.idleForeverLocked() || c.writeErr != nil || c.writing || !c.out.empty() || !c.ctl.Empty() {
		return
	}
	c.linger = !c.client
	c.failLocked(c.drainedError())
	if c.linger {
		// Written is not received. A socket that is closed resets the connection
		// when it hears anything more, such as credit for the last answer, and that
		// destroys what is still on its way: so the client is to close first.
		c.closeWithinLocked(lingerTimeout)
	}
}

// lingerTimeout is how long a server that has drained waits for its client to
// close the connection. Clients do when they have read the last answer.
const lingerTimeout = DefaultDrainTimeout

// idleForeverLocked reports whether the connection drains and no stream is or
// will be open.
func (c *conn) idleForeverLocked() bool {
	d := &c.drain
	return c.life == lifeDraining && c.streams.len() == 0 && !c.coming && (c.client || d.last || d.peerGone && !d.begun)
}

func (c *conn) drainReason() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.drain.reason
}

func (c *conn) drainedError() *ConnError {
	reason := c.drain.reason
	if reason == "" {
		reason = "drained"
	}
	return &ConnError{Code: CodeNoError, By: ByLocal, Reason: reason}
}

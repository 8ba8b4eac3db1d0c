package transport

import (
	"time"

	"github.com/weir-rpc/weir/internal/frame"
)

// Replaceable is a ClientTransport that knows of its end before it comes, while it
// still takes calls. Those of NewHTTP2Client are.
type Replaceable interface {
	// BeforeDraining has replace called, once at most and on a goroutine of its own,
	// when the connection is about to go and calls would miss it: why says so in
	// words. It takes calls meanwhile. replace returns true when another connection
	// has its place, so that this one is to drain, or false when none can have it.
	// It must return when Draining is closed, which it may be before.
	//
	// It may be called once. Without it, and for a connection that has had no calls
	// for seconds, the first word of an end is the end: Draining is closed.
	BeforeDraining(replace func(why string) bool)
}

var _ Replaceable = (*http2Client)(nil)

const (
	// recentCalls is how long after its latest call a connection without any is
	// worth to be replaced: a channel that nobody uses is not to connect.
	recentCalls = 5 * time.Second
	// holdGoAway is how long the server's first GOAWAY is held back while the
	// connection is being replaced. Servers wait longer for the acknowledgement of
	// the PING behind it: grpc-go and weir 5 s, others 10 and 20 s.
	holdGoAway = 2 * time.Second
	// fewIDs is where a client's stream ids begin to run out: half a million calls
	// before lastClientID.
	fewIDs = lastClientID - 1<<20
)

// ending is what the owner of a connection does about its end, and the end that is
// about to come. Guarded by conn.mu.
//
// A server ends a connection in two steps, and calls that are on their way at the
// first are not lost: it takes streams until the acknowledgement of the PING behind
// its first GOAWAY says that the client knows. While there is no other connection
// the client does as if the two frames were still on their way, which the server
// has to reckon with anyway:
//
//	GOAWAY(2^31-1), PING ──► replaced, or cannot be, or holdGoAway over ──► ACK: drains
//
// An end in one step leaves nothing to hold.
//
// https://www.rfc-editor.org/rfc/rfc9113#section-6.8
type ending struct {
	leave   func()                // of AfterDraining, until it is called
	replace func(why string) bool // of BeforeDraining, until it is called

	why       string      // the connection is about to go; empty if it is not
	replacing bool        // replace runs
	held      *time.Timer // of holdGoAway; nil unless a GOAWAY was held back
	ping      [8]byte     // the PING behind it
	owes      bool        // no acknowledgement of ping has gone yet

	answers *answerWatch // nil as long as there is nothing to remember
}

func (e *ending) stop() {
	if e != nil && e.answers != nil {
		e.answers.timer.Stop()
	}
}

func (t *http2Client) endingLocked() *ending {
	if t.ending == nil {
		t.ending = new(ending)
	}
	return t.ending
}

func (t *http2Client) BeforeDraining(replace func(why string) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.life == lifeOpen {
		t.endingLocked().replace = replace
	}
}

// noticeLocked says that the connection is about to go, and reports whether its
// owner replaces it.
func (t *http2Client) noticeLocked(why string) bool {
	e := t.ending
	if t.life != lifeOpen || e == nil || e.replace == nil || !t.inUseLocked() {
		return false
	}
	replace := e.replace
	e.replace, e.why, e.replacing = nil, why, true
	go func() {
		replaced := replace(why)
		t.mu.Lock()
		e.replacing = false
		if replaced || e.held != nil {
			t.leaveOpenLocked(e.why)
		}
		t.flush(flushAsync)
	}()
	return true
}

// inUseLocked reports whether there are calls, or were of late.
func (t *http2Client) inUseLocked() bool {
	return t.streams.len() > 0 || t.slots.waiting.Len() > 0 ||
		t.tally.opened > 0 && t.record.age()-t.tally.latest < recentCalls
}

// leaveOpenLocked makes the connection drain if it does not yet.
func (t *http2Client) leaveOpenLocked(why string) {
	if t.life != lifeOpen {
		return
	}
	t.life = lifeDraining
	t.drain.reason = why
	t.settingsLocked()
	t.drainedLocked()
}

// holdsGoAwayLocked reports whether a GOAWAY of the server waits until the
// connection is replaced. One that has no use for calls ends for want of them.
//
// "max_idle" is the debug data of weir and grpc-go for MaxConnectionIdle.
func (t *http2Client) holdsGoAwayLocked(last uint32, code ErrCode, debug []byte, text string) bool {
	if last != 1<<31-1 || code != CodeNoError || string(debug) == "max_idle" {
		return false
	}
	e := t.ending
	if e == nil || t.life != lifeOpen || e.held != nil || !e.replacing && !t.noticeLocked(text) {
		return false
	}
	e.why = text
	e.held = time.AfterFunc(holdGoAway, func() {
		t.mu.Lock()
		t.leaveOpenLocked(text)
		t.flush(flushAsync)
	})
	return true
}

// holdsPingLocked reports whether the acknowledgement of a PING waits: it is the
// first behind a GOAWAY that does.
func (t *http2Client) holdsPingLocked(data [8]byte) bool {
	e := t.ending
	if e == nil || e.held == nil || t.life != lifeOpen || e.owes {
		return false
	}
	e.ping, e.owes = data, true
	return true
}

// endNoticeLocked gives the acknowledgement that was held back, behind the HEADERS
// of all streams that were opened meanwhile: the server knows of them when it
// learns that there will be no more.
func (t *http2Client) endNoticeLocked() {
	e := t.ending
	if e == nil {
		return
	}
	e.replace = nil
	if e.held != nil {
		e.held.Stop()
	}
	if e.owes && t.life == lifeDraining {
		t.hbuf = frame.AppendPing(t.hbuf[:0], true, e.ping)
		t.tally.framesOut++
		t.out.copy(t.hbuf)
		t.owed = true
	}
	e.owes = false
}

// fewIDsLocked is where stream ids run out, and before.
func (t *http2Client) fewIDsLocked() {
	const why = "the connection is running out of stream ids"
	if t.nextID > lastClientID && t.life == lifeOpen {
		t.life = lifeDraining
		t.drain.reason = why
		t.settingsLocked()
		return
	}
	t.noticeLocked(why)
}

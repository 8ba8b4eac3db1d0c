package transport

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/weir-rpc/weir/internal/frame"
)

// record is what a connection remembers for the error of its end.
type record struct {
	begun time.Time // immutable

	// Owned by the reader.
	fresh         int    // octets read since the last batchEnd
	freshFrames   uint32 // the same of frames
	freshMessages uint32 // and of messages that became complete

	// Guarded by conn.mu.
	sent, received uint64        // octets
	heard          time.Duration // when the latest frame was, after begun
	last           frame.Type    // of it
	some           bool          // there was one
}

// heardLocked notes the end of a read.
func (c *conn) heardLocked() {
	r := &c.record
	r.received += uint64(r.fresh)
	c.tally.framesIn += uint64(r.freshFrames)
	c.tally.messagesIn += uint64(r.freshMessages)
	r.fresh, r.freshFrames, r.freshMessages = 0, 0, 0
	if !c.gotSetting {
		return
	}
	r.last, r.some, r.heard = c.frame.Type, true, c.readAt
}

// age is how old the connection is.
func (r *record) age() time.Duration { return time.Since(r.begun) }

// noteGoAway notes what a GOAWAY frame of the peer says.
func (c *conn) noteGoAway(code ErrCode, debug []byte) {
	text := goAwayText(code, debug)
	c.mu.Lock()
	c.tally.goAwayInLocked(code, text)
	c.heardLocked()
	c.mu.Unlock()
}

// goAwayText gives a GOAWAY frame in words.
func goAwayText(code ErrCode, debug []byte) string {
	const most = 1 << 10
	text := "GOAWAY " + code.String()
	if len(debug) > most {
		debug = debug[:most]
	}
	if len(debug) > 0 {
		text += fmt.Sprintf(" %q", debug)
	}
	return text
}

// completeLocked completes an error with what the connection remembers.
func (c *conn) completeLocked(e *ConnError) *ConnError {
	r := &c.record
	e.Addr, e.Age = c.peer.Addr, r.age()
	e.Sent, e.Received = r.sent, r.received
	if r.some {
		e.LastFrame, e.LastFrameAge = r.last.String(), e.Age-r.heard
	}
	if ends := c.tally.ends; ends != nil {
		e.GoAway = ends.goAway
		if e.Code == CodeNoError && e.By != ByLocal {
			e.Code = ends.goAwayCode
		}
	}
	return e
}

// A ConnError says why a connection ended. It unwraps to net.ErrClosed and,
// if there is one, to its cause. errors.As finds it in the error of each call
// that ended with the connection.
type ConnError struct {
	Code   ErrCode // of the GOAWAY frame that was sent or received
	By     By      // who ended the connection
	Reason string  // why, in words
	Cause  error   // what the network or the context said; may be nil

	// GoAway is what the peer's GOAWAY frame said, its code and the text that
	// came with it. Empty if none came.
	GoAway string
	// Addr is the address of the peer. It is nil if the network has none.
	Addr net.Addr
	// Age is how long the connection lasted, its security handshake not included.
	Age time.Duration
	// Sent and Received are octets, those of TLS not included. What was sent was
	// given to the operating system; the peer may not have received it.
	Sent, Received uint64
	// LastFrame is the type of the last frame that came from the peer, "DATA" for
	// example, and LastFrameAge how long before the end that was. It is empty if
	// none came.
	LastFrame    string
	LastFrameAge time.Duration
}

// Error tells who ended the connection, with what code and why, and what there
// was of it, in one line.
func (e *ConnError) Error() string { return e.text("") }

// text is Error with more behind it.
func (e *ConnError) text(more string) string {
	var b strings.Builder
	who := "the connection" + at(" to ", e.Addr)
	switch e.By {
	case ByLocal:
		b.WriteString("this side ended " + who)
	case ByNetwork:
		b.WriteString(who + " broke")
	default:
		b.WriteString(who + " ended")
	}
	b.WriteString(": " + e.Reason)
	if e.Code != CodeNoError && !strings.Contains(e.Reason+e.GoAway, e.Code.String()) {
		b.WriteString(" (" + e.Code.String() + ")")
	}
	if e.Cause != nil && e.Cause != io.EOF && e.Cause != errForeignProtocol { // the reason says so
		b.WriteString(": " + e.Cause.Error())
	}
	if e.GoAway != "" && !strings.Contains(e.Reason, e.GoAway) {
		b.WriteString(", after " + e.GoAway)
	}
	story := e.story()
	if story != "" && more != "" {
		story += "; "
	}
	if story += more; story != "" {
		b.WriteString(" (" + story + ")")
	}
	return b.String()
}

// at gives an address behind a word, or nothing if there is none.
func at(word string, addr net.Addr) string {
	if addr == nil || addr.String() == "" {
		return ""
	}
	return word + addr.String()
}

// story tells what there was of the connection.
func (e *ConnError) story() string {
	if e.Age == 0 && e.Sent == 0 && e.Received == 0 {
		return "" // not of a connection
	}
	s := fmt.Sprintf("it lasted %v, %s octets sent, %s received", rounded(e.Age), thousands(e.Sent), thousands(e.Received))
	if e.LastFrame != "" {
		s += fmt.Sprintf(", last frame %s %v ago", e.LastFrame, rounded(e.LastFrameAge))
	}
	return s
}

// rounded leaves out what nobody reads.
func rounded(d time.Duration) time.Duration {
	switch {
	case d >= time.Minute:
		return d.Round(time.Second)
	case d >= time.Second:
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(10 * time.Microsecond)
}

// thousands gives n with commas.
func thousands(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Unwrap gives net.ErrClosed and the cause.
func (e *ConnError) Unwrap() []error {
	if e.Cause == nil {
		return []error{net.ErrClosed}
	}
	return []error{net.ErrClosed, e.Cause}
}

// What a client knows of a call that did not end as the server would have it.
const (
	notActed = "the server has not acted on the call"
	mayActed = "the server may have acted on the call"
)

// actedText says whether the server can have acted on a call.
func actedText(unprocessed bool) string {
	if unprocessed {
		return notActed
	}
	return mayActed
}

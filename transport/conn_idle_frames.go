package transport

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/weir-rpc/weir/internal/frame"
)

// ErrFlood is the cause of a *ConnError when the peer sent too many frames that
// did no work for a call. The Reason names the kind that was most frequent.
var ErrFlood = errors.New("the peer floods the connection")

// An idleFrame is a kind of frame that does no work for a call by itself.
type idleFrame uint8

const (
	idleReset        idleFrame = iota // RST_STREAM: the call was for nothing
	idleProvoked                      // frames for which we have to reset their stream
	idleRefused                       // requests that get no handler
	idlePing                          // PING, and its acknowledgement
	idleSettings                      // SETTINGS, and its acknowledgement
	idlePriority                      // PRIORITY
	idleWindow                        // WINDOW_UPDATE
	idleGoAway                        // GOAWAY
	idleData                          // DATA of next to nothing
	idleLate                          // HEADERS and DATA of streams that are closed
	idleContinuation                  // CONTINUATION
	idleUnknown                       // frames of unknown types
	idleKinds
)

var idleNames = [idleKinds]string{
	"resets", "resets provoked", "requests refused", "PING frames", "SETTINGS frames", "PRIORITY frames", "WINDOW_UPDATE frames",
	"GOAWAY frames", "DATA frames of next to nothing", "frames for closed streams", "CONTINUATION frames", "frames of unknown types",
}

// idleBudget is how many idle frames the peer may still send. It pays one for
// each; what it does for calls earns it some, and so does time. Thus a peer
// that keeps a core busy and has no calls worth it is cut off soon, and one
// with calls cannot send so many for them as to notice the budget.
//
// The fields are the reader's but for those that conn.mu guards. The clock is
// asked only when the budget is used up.
type idleBudget struct {
	left  int
	sent  [idleKinds]uint32 // since the last refill
	since time.Duration     // of it, after record.begun

	// Guarded by conn.mu.
	earned int64
	late   int // octets that streams which are closed may still get: they were on their way
}

const (
	// idleBurst is the budget at first, and the most that time makes of it,
	// unless an option says otherwise.
	idleBurst = 20_000
	// idleRate is what a second earns.
	idleRate = 5_000
	// earnedMost is what calls can earn in advance: a window full of messages may
	// be sent before the peer gives credit for each of them.
	earnedMost = 200_000
	// earnedCall is what a call earns that was answered, on the client one that
	// was opened: a reset and the late frames that it crosses.
	earnedCall = 4
	// earnedFrame is what a DATA frame earns that we send: a WINDOW_UPDATE for
	// the stream and one for the connection.
	earnedFrame = 2
	// earnedOctets is for how much DATA, either way, there is one more.
	earnedOctets = 1 << 10
	// tinyData is the least that a message takes: DATA of less is a piece of one.
	tinyData = 5
)

// idleFrame notes an idle frame. On the reader.
func (c *conn) idleFrame(kind idleFrame, cost int) {
	c.budget.left -= cost
	c.budget.sent[kind] += uint32(cost)
}

func (f IdleFrames) burst() int {
	switch {
	case f.Burst == 0:
		return idleBurst
	case f.Burst < 0:
		return math.MaxInt / 2 // and room for what calls earn
	}
	return f.Burst
}

func (f IdleFrames) rate() int {
	if f.PerSecond == 0 {
		return idleRate
	}
	return max(f.PerSecond, 0)
}

// earnedData is what DATA of n octets earns that we send. With mu held.
func (b *idleBudget) earnedData(n int) { b.earned += int64(earnedFrame + n/earnedOctets) }

// idleData notes a DATA frame that is hardly worth its header: gRPC has no use
// for such frames, other than to end a stream or as the rest of a message, or
// because windows as small as this are what we allow.
func (c *conn) idleData(f *frame.Frame) {
	if f.First && !f.Flags.Has(frame.FlagEndStream) && (f.Length < tinyData || f.Flags.Has(frame.FlagPadded)) &&
		min(c.cfg.initialWindowSize(), c.cfg.initialConnWindowSize()) >= earnedOctets {
		c.idleFrame(idleData, 1)
	}
}

// lateDataLocked notes DATA of a stream that is closed, and reports whether it is
// to be expected: what was on its way is nobody's fault, however many frames and
// streams it is of, and however it is read. Frames of next to nothing have their
// price all the same.
func (c *conn) lateDataLocked(f *frame.Frame) (expected bool) {
	late := &c.budget.late
	expected = *late > 0 && f.FlowLen <= *late
	switch {
	case expected && f.Length >= tinyData:
		*late -= f.FlowLen
	case f.First && f.FlowLen < earnedOctets:
		c.idleFrame(idleLate, 1)
	}
	return expected
}

// leftOpenLocked says that a stream left the table on which the peer may be
// sending.
func (b *idleBudget) leftOpenLocked(window uint32) {
	const most = earnedMost * earnedOctets
	b.late += min(int(min(window, most)), most-b.late)
}

// spend is the end of a read's frames: it gives an error if the peer has used
// up its budget. On the reader.
func (c *conn) spend() error {
	if n := c.rd.Passed(); n > 0 {
		c.idleFrame(idleUnknown, n)
	}
	b := &c.budget
	if b.left >= 0 {
		return nil
	}
	now, bound := c.record.age(), c.cfg.rare().IdleFrames
	b.left = min(b.left+int(min((now-b.since).Seconds()*float64(bound.rate()), math.MaxInt32)), bound.burst())
	b.since = now
	c.mu.Lock()
	b.left += int(min(b.earned, earnedMost))
	b.earned = 0
	c.mu.Unlock()
	if b.left >= 0 || bound.Burst < 0 {
		b.left = max(b.left, 0)
		b.sent = [idleKinds]uint32{}
		return nil
	}
	most := idleReset
	for kind := range idleKinds {
		if b.sent[kind] > b.sent[most] {
			most = kind
		}
	}
	return &ConnError{Code: CodeEnhanceYourCalm, By: ByLocal, Cause: ErrFlood, Reason: fmt.Sprintf(
		"too many %s: more than %d frames that do no work for a call, and than %d of them a second (option %s)", idleNames[most], bound.burst(), bound.rate(), c.option("IdleFrameLimit"))}
}

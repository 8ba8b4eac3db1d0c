package transport

import (
	"math/bits"
	"time"

	"github.com/weir-rpc/weir/internal/flow"
	"github.com/weir-rpc/weir/internal/frame"
)

// bdpState fits the windows that we give to the path that octets take. Owned by
// the reader.
//
//	DATA, a WINDOW_UPDATE is due ──► PING behind it ──► its ACK ends the sample ──► SETTINGS and WINDOW_UPDATE, or nothing
//
// There is at most one PING of ours and one SETTINGS frame under way at a time.
// A peer that acknowledges neither keeps the windows that it has.
type bdpState struct {
	est     *flow.BDPEstimator // nil until credit is due for the first time, and if the windows are static
	due     bool               // the connection's credit is to be returned at the end of this read
	sampled bool               // a sample has ended in this read
	seq     byte               // of the last PING
	applied uint32             // the window that the connection has; 0 if it is static
}

// receiveBudget is what the streams that are open when windows grow may hold
// together, in octets, as far as their windows are above the initial size.
const receiveBudget = 64 << 20

// ping is the payload of the present sample's PING. The last octet tells a late
// or repeated acknowledgement from its own.
func (b *bdpState) ping() [8]byte {
	return [8]byte{'w', 'e', 'i', 'r', 'b', 'd', 'p', b.seq}
}

// init starts with the configured windows, which stay if they are static.
func (b *bdpState) init(cfg *ConnConfig) {
	if !cfg.staticWindows() {
		b.applied = cfg.initialWindowSize()
	}
}

// tuneLocked is the turn of the windows at the end of a read in which credit
// was returned or a sample ended. It reports whether it said anything.
func (c *conn) tuneLocked() (said bool) {
	b := &c.bdp
	due := b.due
	b.due, b.sampled = false, false
	if b.applied == 0 || !c.acked || c.life == lifeClosed || b.est == nil && !due {
		return false
	}
	if b.est == nil {
		b.est = new(flow.BDPEstimator)
		b.est.Init(c.cfg.initialWindowSize(), flow.MaxAutoWindow)
	}
	// What the peer has provoked leaves with the PING, and a peer may acknowledge it
	// unread: so no more than that may be waiting already.
	ping := due && b.applied == b.est.Window() && c.out.size < refusalLimit && b.est.Due(time.Now())
	if b.applied != b.est.Window() || c.crowdedLocked() {
		said = c.resizeLocked(b.est.Window())
	}
	if ping {
		// Behind the credit: some peers count PING frames between other frames.
		b.seq++
		c.hbuf = frame.AppendPing(c.takeControlLocked(c.hbuf[:0]), false, b.ping())
		c.tally.pingOutLocked()
		c.out.copy(c.hbuf)
		c.shrinkScratchLocked()
	}
	return said || ping
}

// allowWindowLocked is asked before the streams' window becomes n octets, and
// gives how much it may be.
func (c *conn) allowWindowLocked(n uint32) uint32 {
	share := uint32(receiveBudget)
	if streams := c.streams.len(); streams > 1 {
		share >>= bits.Len(uint(streams - 1)) // powers of two: not every stream that comes or goes is a change
	}
	return max(min(n, share), c.cfg.initialWindowSize())
}

// crowdedLocked reports whether so many streams were opened since the windows
// grew that they could hold twice what they may.
func (c *conn) crowdedLocked() bool {
	return c.recvWindow > c.cfg.initialWindowSize() && int64(c.streams.len())*int64(c.recvWindow) > 2*receiveBudget
}

// resizeLocked tells the peer of windows of n octets: those of streams by
// SETTINGS, which move the windows of all that are open, and the connection's
// by credit that is granted now or withheld later.
func (c *conn) resizeLocked(n uint32) (said bool) {
	window := c.allowWindowLocked(n)
	if window != c.recvWindow && !c.resizeStreamsLocked(window) {
		return false
	}
	c.bdp.applied = n
	if credit := c.recvFlow.SetLimit(max(n, c.cfg.initialConnWindowSize())); credit > 0 {
		c.ctl.Credit(0, credit)
		said = true
	}
	if window == c.recvWindow {
		return said
	}
	// Until the acknowledgement the peer may count with the one or the other.
	c.recvWindow, c.recvWindowMax = window, max(window, c.recvWindow)
	c.acked = false
	c.hbuf = frame.AppendSettings(c.hbuf[:0], frame.Setting{ID: frame.SettingInitialWindowSize, Value: window})
	c.tally.framesOut++
	c.out.copy(c.hbuf)
	return true
}

// resizeStreamsLocked moves the windows of the open streams. It reports false,
// and leaves them as they are, if one would exceed what HTTP/2 allows: a stream
// that has room for a message of about 2 GiB.
func (c *conn) resizeStreamsLocked(window uint32) bool {
	open := c.streamsLocked()
	for i, st := range open {
		if !c.resizeStreamLocked(st, window) {
			for _, st := range open[:i] {
				c.resizeStreamLocked(st, c.recvWindow)
				st.in.acked() // the peer will never hear of the other
			}
			return false
		}
	}
	return true
}

func (c *conn) resizeStreamLocked(st *stream, window uint32) bool {
	update, ok := st.in.setWindow(window)
	if update > 0 && st.state.canRecv() {
		c.ctl.Credit(st.id, update)
	}
	return ok
}

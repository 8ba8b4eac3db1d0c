package transport

import (
	"time"

	"github.com/weir-rpc/weir/inspect"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// tally is what a connection counts for those who look at it: see Inspect. It is
// written where the lock is held anyway. What the reader counts of a read comes
// in at its end, from conn.record.
type tally struct {
	id int64 // immutable

	// Guarded by conn.mu.
	framesIn, framesOut     uint64
	messagesIn, messagesOut uint64
	opened                  uint64 // streams, those among them that were refused by a status
	finished                uint64 // of them, that the server ended with END_STREAM
	succeeded               uint64 // of them, with status OK
	windowsIn, windowsOut   inspect.WindowUpdates
	pingsIn, pingsOut       uint32
	keepalives              uint32        // of pingsOut
	latest                  time.Duration // when the latest stream was opened, after record.begun
	ends                    *endsTally
}

// endsTally counts what ends streams and connections. Most have none of it.
type endsTally struct {
	resetsIn, resetsOut, goAwaysIn, goAwaysOut inspect.ByCode

	goAway     string // what the peer's latest GOAWAY said; empty if there was none
	goAwayCode ErrCode
}

func (t *tally) ending() *endsTally {
	if t.ends == nil {
		t.ends = new(endsTally)
	}
	return t.ends
}

// openedLocked counts a stream that was opened so long after record.begun.
func (t *tally) openedLocked(at time.Duration) {
	t.opened++
	t.latest = at
}

// endedLocked counts a stream that its server has ended.
func (t *tally) endedLocked(ok bool) {
	t.finished++
	if ok {
		t.succeeded++
	}
}

func (t *tally) resetInLocked(code ErrCode) { t.ending().resetsIn.Count(uint32(code)) }

func (t *tally) resetOutLocked(code ErrCode) { t.ending().resetsOut.Count(uint32(code)) }

func (t *tally) goAwayInLocked(code ErrCode, text string) {
	e := t.ending()
	e.goAwaysIn.Count(uint32(code))
	e.goAway, e.goAwayCode = text, code
}

func (t *tally) goAwayOutLocked(code ErrCode) {
	t.framesOut++
	t.ending().goAwaysOut.Count(uint32(code))
}

func (t *tally) pingOutLocked() {
	t.framesOut++
	t.pingsOut++
}

// takeControlLocked gives what waits in the controlBuffer, behind dst.
func (c *conn) takeControlLocked(dst []byte) []byte {
	conn, streams, others := c.ctl.Frames()
	c.tally.framesOut += uint64(conn + streams + others)
	c.tally.windowsOut.Connection += uint64(conn)
	c.tally.windowsOut.Stream += uint64(streams)
	return c.ctl.AppendTo(dst)
}

// isOK reports whether a status, which may be nil, is OK.
func isOK(s *status.Status) bool { return s == nil || s.Code() == codes.OK }

// isOK reports whether trailers say that the call succeeded.
func (r *response) isOK() bool { return r.grpcStatus == "0" && r.fault == "" }

// countersLocked gives what is counted.
func (c *conn) countersLocked() inspect.Counters {
	t := c.tally
	n := inspect.Counters{
		StreamsFinished: t.finished,
		OctetsIn:        c.record.received, OctetsOut: c.record.sent,
		FramesIn: t.framesIn, FramesOut: t.framesOut,
		MessagesIn: t.messagesIn, MessagesOut: t.messagesOut,
		WindowUpdatesIn: t.windowsIn, WindowUpdatesOut: t.windowsOut,
		PingsIn: uint64(t.pingsIn), PingsOut: uint64(t.pingsOut), Keepalives: uint64(t.keepalives),
	}
	// What has left the table and did not succeed has failed.
	n.Calls.Started, n.Calls.Succeeded = t.opened, t.succeeded
	n.Calls.Failed = t.opened - t.succeeded - uint64(c.streams.len())
	if t.ends != nil {
		n.ResetsIn, n.ResetsOut = t.ends.resetsIn, t.ends.resetsOut
		n.GoAwaysIn, n.GoAwaysOut = t.ends.goAwaysIn, t.ends.goAwaysOut
	}
	return n
}

package transport

import (
	"runtime"
	"time"

	"github.com/weir-rpc/weir/internal/frame"
	"github.com/weir-rpc/weir/internal/wait"
)

const (
	// quantum is what a stream in the round sends in a turn, frame headers
	// included: a chunk, so that a frame is a record of its own over TLS, and no
	// batch ends with a record of a few octets.
	quantum = chunkSize
	// inlineWrites is how often a caller writes, its own octets and what others
	// add meanwhile, before it hands the writer's turn to a goroutine.
	inlineWrites = 3
	// copyLimit is the largest message that is copied behind its frame header.
	// A larger one goes by reference.
	copyLimit = 16 << 10
)

// flushMode says what the caller of flush can afford.
type flushMode uint8

const (
	flushInline flushMode = iota // write here, as far as the socket takes it
	flushAsync                   // a goroutine writes: the caller goes on
	flushNow                     // write here, and let nobody join
)

// flush sees to it that what is pending gets written. With mu held, which it
// releases.
//
// The writer's turn belongs to whoever finds it free. Nobody but the goroutine
// of writeOn waits for the socket: everyone else tries once, and what the
// socket did not take goes on there, turn and all.
func (c *conn) flush(mode flushMode) {
	if c.writing || !c.hasOutputLocked() {
		c.mu.Unlock()
		return
	}
	if mode == flushInline && c.holdLocked() {
		c.mu.Unlock()
		return
	}
	joined := c.joiners.held.Load()
	c.writing = true
	if mode == flushAsync || !c.sock.canTry() {
		c.mu.Unlock()
		go c.writeOn(nil)
		return
	}
	for range inlineWrites {
		if mode == flushInline && !joined && c.streams.len() > 1 {
			// Others have calls in flight: let them add theirs to this write. Once: to
			// yield again while others join makes fewer writes, and costs more.
			c.mu.Unlock()
			runtime.Gosched()
			c.mu.Lock()
		}
		if !c.gatherLocked() {
			c.turnOver()
			return
		}
		batch := c.takeLocked()
		c.mu.Unlock()
		rest, err := c.sock.tryWrite(batch.segs)
		if err != nil || len(rest) > 0 {
			go c.writeOn(&written{batch: batch, rest: rest, err: err})
			return
		}
		batch.free()
		c.mu.Lock()
		c.sentLocked(batch, true)
		batch.discard()
		if !c.hasOutputLocked() {
			c.turnOver()
			return
		}
	}
	c.mu.Unlock()
	go c.writeOn(nil)
}

// written is a write that a socket took only a part of.
type written struct {
	batch *pending
	rest  [][]byte
	err   error
}

// writeOn has the writer's turn and writes until nothing is left. It may wait
// for the socket.
func (c *conn) writeOn(w *written) {
	if w != nil {
		quick, err := false, w.err
		if err == nil {
			quick, err = c.writeWaiting(w.rest)
		}
		if !c.wrote(w.batch, quick, err) {
			return
		}
	} else {
		runtime.Gosched()
		c.mu.Lock()
	}
	for c.gatherLocked() {
		batch := c.takeLocked()
		c.mu.Unlock()
		rest, err := c.sock.tryWrite(batch.segs)
		quick := true
		if err == nil && len(rest) > 0 {
			quick, err = c.writeWaiting(rest)
		}
		if !c.wrote(batch, quick, err) {
			return
		}
	}
	c.turnOver()
}

// writeWaiting waits for the socket, and is watched meanwhile. It is quick if a
// socket that had been full was so for quickWait at the most.
func (c *conn) writeWaiting(segs [][]byte) (quick bool, err error) {
	begun := time.Now()
	c.mu.Lock()
	c.stall.waitLocked(c)
	c.mu.Unlock()
	err = c.sock.write(segs, &c.stall.taken)
	return c.sock.canTry() && time.Since(begun) <= quickWait, err
}

// wrote ends a write, which was quick or not. It takes mu and keeps it, unless
// it reports that the turn is over because the connection is.
func (c *conn) wrote(batch *pending, quick bool, err error) bool {
	batch.free()
	c.mu.Lock()
	c.sentLocked(batch, quick)
	batch.discard()
	c.stall.behind = c.stall.waiting
	c.stall.waiting = false
	if err != nil {
		c.writeFailedLocked(err)
		c.turnOver()
		return false
	}
	return true
}

// writeFailedLocked ends the connection for a write that failed, but leaves
// the reader a moment: what the peer had sent before, such as a TLS alert or
// GOAWAY, tells why.
func (c *conn) writeFailedLocked(err error) {
	if c.life == lifeClosed || c.writeErr != nil {
		return
	}
	c.writeErr = err
	c.wakeLocked()
	c.out.drop()
	if s, ok := c.role.(*http2Server); ok && !s.reading {
		c.failLocked(c.writeError())
		return
	}
	c.closeWithinLocked(lastWordsTimeout)
}

func (c *conn) writeError() *ConnError {
	return &ConnError{By: ByNetwork, Reason: "cannot write", Cause: c.writeErr}
}

// turnOver gives the writer's turn back. A connection that has ended keeps it,
// for its last words. With mu held, which it releases.
func (c *conn) turnOver() {
	if c.life == lifeClosed {
		c.mu.Unlock()
		go c.lastWords()
		return
	}
	c.writing, c.stall.behind = false, false
	if len(c.out.owned) > 0 && c.out.empty() {
		c.out.free() // of streams that were reset: the write that referred to it is over
	}
	c.drainedLocked()
	c.mu.Unlock()
}

// takeLocked takes what is pending, to be written.
func (c *conn) takeLocked() *pending {
	if c.spare == nil {
		c.spare = new(pending)
	}
	c.record.sent += uint64(c.out.size)
	c.out, *c.spare, c.owed = *c.spare, c.out, false
	c.joiners.holds = 0
	c.joiners.held.Store(false)
	c.batch++
	if c.crowded {
		c.crowded = false
		c.role.settingsLocked() // calls that waited for this may go on
	}
	return c.spare
}

// hasOutputLocked reports whether a flush would write something. A round
// whose streams the connection's window holds back does not count.
func (c *conn) hasOutputLocked() bool {
	if c.writeErr != nil {
		return false
	}
	return !c.out.empty() || !c.ctl.Empty() || c.round.Len() > 0 && c.sendFlow.Available() > 0
}

// gatherLocked adds to what is pending the replies that the peer provoked and
// then a round of the streams that had to wait. It reports whether there is
// anything to write.
func (c *conn) gatherLocked() bool {
	if c.life == lifeClosed || c.writeErr != nil {
		return false // the last words are lastWords' business
	}
	if !c.ctl.Empty() {
		c.hbuf = c.takeControlLocked(c.hbuf[:0])
		c.out.copy(c.hbuf)
		c.shrinkScratchLocked()
	}
	c.roundLocked()
	return !c.out.empty()
}

func (c *conn) shrinkScratchLocked() {
	if cap(c.hbuf) > 4<<10 {
		c.hbuf = nil
	}
}

// roundLocked gives the streams that had to wait their turns, until the high
// water mark is reached or the connection's window is used up. This is
// loopyWriter's round robin.
func (c *conn) roundLocked() {
	for c.round.Len() > 0 && c.out.size+frame.HeaderLen < c.waterLocked() && c.sendFlow.Available() > 0 {
		st := c.round.Pop()
		st.out.inRound = false
		if st.out.left {
			continue // it ended while it waited
		}
		left := c.waterLocked() - c.out.size
		budget := min(quantum, left)
		if c.round.Len() == 0 && c.settings.maxFrameSize > frame.DefaultMaxSize {
			budget = left // alone: in frames as large as the peer takes
		}
		c.emitLocked(st, budget)
		if st.out.ready() {
			st.out.inRound = true
			c.round.Push(st)
		}
	}
}

// emitLocked frames what st has queued, up to budget octets with their frame
// headers, and as the windows and the peer's frame size allow. What st waits
// for then is in st.out.reason.
//
// "The sender MUST NOT send a flow-controlled frame with a length that exceeds
// the space available in either of the flow-control windows advertised by the
// receiver." https://www.rfc-editor.org/rfc/rfc9113#section-6.9.1
func (c *conn) emitLocked(st *stream, budget int) {
	o := &st.out
	for o.queued > 0 && budget > 0 {
		m := o.queue.Front()
		n := min(len(m.rest), int(c.settings.maxFrameSize), budget-frame.HeaderLen, o.flow.Available(), c.sendFlow.Available())
		if n <= 0 {
			break
		}
		last := n == o.queued && o.end && o.trailers == nil
		c.dataLocked(st.id, m.rest[:n], m.copied, last)
		o.flow.Consume(n)
		c.sendFlow.Consume(n)
		budget -= frame.HeaderLen + n
		o.queued -= n
		if m.rest = m.rest[n:]; len(m.rest) == 0 {
			o.popLocked(c)
		}
		if last {
			c.sentEndLocked(st)
			return
		}
	}
	switch {
	case o.queued == 0:
		o.reason = 0
		if o.trailers != nil {
			c.trailersLocked(st)
		} else if o.end && !o.sentEnd {
			// "A zero-length DATA frame with the END_STREAM flag set [...] MAY be
			// sent if there is no available space in either flow-control window."
			// https://www.rfc-editor.org/rfc/rfc9113#section-6.9.1
			c.dataLocked(st.id, nil, true, true)
			c.sentEndLocked(st)
		}
	case o.flow.Available() == 0:
		o.reason = wait.StreamWindow
	case c.sendFlow.Available() == 0:
		o.reason = wait.ConnWindow
	default:
		o.reason = wait.Socket
	}
	o.signalQuota()
}

// dataLocked puts one DATA frame to what is pending.
func (c *conn) dataLocked(id uint32, p []byte, copied, end bool) {
	c.budget.earnedData(len(p))
	c.live.sent, c.out.data = true, true
	var fl frame.Flags
	if end {
		fl = frame.FlagEndStream
	}
	if copied && c.out.growData(id, p, fl, c.settings.maxFrameSize) {
		return
	}
	c.tally.framesOut++
	if copied && frame.HeaderLen+len(p) <= chunkSize {
		b := c.out.room(frame.HeaderLen + len(p))
		frame.PutHeader(b, len(p), frame.TypeData, fl, id)
		copy(b[frame.HeaderLen:], p)
		c.out.lastData, c.out.lastLen = id, uint32(len(p))
		return
	}
	frame.PutHeader(c.out.room(frame.HeaderLen), len(p), frame.TypeData, fl, id)
	if copied {
		c.out.copy(p)
	} else {
		c.out.ref(p)
	}
}

// headersLocked puts a header block to what is pending, in as many frames as
// the peer's frame size makes necessary.
func (c *conn) headersLocked(id uint32, block []byte, end bool) {
	c.live.sent, c.out.data = true, true
	c.tally.framesOut += 1 + uint64(max(len(block)-1, 0))/uint64(c.settings.maxFrameSize)
	if len(block) <= int(c.settings.maxFrameSize) && frame.HeaderLen+len(block) <= chunkSize {
		fl := frame.FlagEndHeaders
		if end {
			fl |= frame.FlagEndStream
		}
		b := c.out.room(frame.HeaderLen + len(block))
		frame.PutHeader(b, len(block), frame.TypeHeaders, fl, id)
		copy(b[frame.HeaderLen:], block)
		return
	}
	c.out.copy(frame.AppendHeaders(nil, id, block, end, c.settings.maxFrameSize))
}

// sentEndLocked notes that END_STREAM is on its way.
func (c *conn) sentEndLocked(st *stream) {
	st.out.sentEnd = true
	closed := st.state.sendEnd()
	if !c.client {
		st.out.batch = c.batch
		c.budget.earned += earnedCall
	}
	switch {
	case closed:
		st.out.over = true
		c.removeLocked(st)
	case !c.client:
		// "A server can send a complete response prior to the client sending an
		// entire request [...] the server MAY request that the client abort
		// transmission of a request without error by sending a RST_STREAM with an
		// error code of NO_ERROR after sending a complete response"
		// https://www.rfc-editor.org/rfc/rfc9113#section-8.1
		c.resetAfterLocked(st)
	}
}

// resetAfterLocked resets st with NO_ERROR, behind what is pending already.
func (c *conn) resetAfterLocked(st *stream) {
	if c.removeLocked(st) {
		c.ended.add(st.id)
		c.ctl.DropCredit(st.id)
		c.hbuf = frame.AppendRSTStream(c.hbuf[:0], st.id, CodeNoError)
		c.tally.resetOutLocked(CodeNoError)
		c.tally.framesOut++
		c.out.copy(c.hbuf)
		c.owed = c.client // of a server it stands behind its own trailers
	}
}

// pendingLocked is how many octets wait for the socket.
func (c *conn) pendingLocked() int {
	n := c.out.size + c.ctl.Len()
	if c.spare != nil {
		n += c.spare.size
	}
	return n
}

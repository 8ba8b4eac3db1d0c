package transport

import (
	"io"
	"slices"
	"sync/atomic"
)

// stream is one stream of a connection, whichever side of it.
type stream struct {
	c *conn

	// Guarded by c.mu.
	id    uint32
	state streamState
	out   outbound

	in inbox // has its own lock; c.mu is never taken under it

	sends atomic.Int32 // messages sent since the last was received
	waits atomic.Bool  // for RoundTrip, at the gate; whoever clears it: see joiners

	length *contentLength // of the body that the peer sends; the reader's own, once the stream is in the table

	// Immutable after the stream is in the table. One of them is nil.
	client *http2ClientStream
	server *http2ServerStream
}

// producerSends is how many messages in a row, with nothing received between
// them, make a sender a producer.
const producerSends = 3

// init makes the stream ready to be opened. It says whether anybody will wait
// at it.
func (st *stream) init(c *conn, limit uint32, waits bool) {
	st.c = c
	st.in.limit, st.in.client = limit, c.client
	st.out.queue.Use(st.out.first[:])
	st.in.chunks.Use(st.in.first[:])
	if waits {
		st.in.Init()
	}
}

// openLocked makes a stream open that is new, or whose call is over. It may
// still stand in the round then, and stays there.
func (st *stream) openLocked() {
	o := &st.out
	o.messages = 0
	o.end, o.sentEnd, o.over, o.left, o.waiting, o.reason, o.trailers = false, false, false, false, false, 0, nil
	o.flow.Init(st.c.settings.initialWindow)
	st.in.openFlow(st.c.recvWindow, st.c.recvWindowMax)
	st.length = nil
	st.state = stateIdle
	st.state.open()
}

// enqueueLocked takes a sealed message and frames as much of it as can go at
// once: all of it, as a rule. It never waits.
func (st *stream) enqueueLocked(b *[]byte, end bool) { st.queueLocked(b, false, end) }

func (st *stream) queueLocked(b *[]byte, shared, end bool) {
	c, o := st.c, &st.out
	small := len(*b) <= copyLimit
	c.out.small = c.out.small || small
	c.tally.messagesOut++
	o.addLocked(outMessage{buf: b, rest: *b, copied: small || c.sock.copies(), shared: shared})
	o.end = o.end || end
	c.pushLocked(st)
}

// pushLocked frames what st has queued, unless others wait for their turns.
func (c *conn) pushLocked(st *stream) {
	o := &st.out
	switch {
	case o.queued == 0:
		c.emitLocked(st, 0)
	case !o.inRound && c.round.Len() == 0 && c.out.size < c.waterLocked():
		c.emitLocked(st, c.waterLocked()-c.out.size)
	}
	if o.ready() && !o.inRound && !o.left {
		o.inRound = true
		c.round.Push(st)
	}
}

// send queues a message. If too much of the stream waits already, it waits
// first, for as long as the stream lives. It consumes m in any case.
func (st *stream) send(m Buffer, end bool) error {
	st.c.mu.Lock()
	return st.sendLocked(m, end)
}

// sendLocked is send with mu held, which it releases.
func (st *stream) sendLocked(m Buffer, end bool) error {
	c := st.c
	mode := flushInline
	if st.sends.Add(1) > producerSends {
		mode = flushAsync // a producer: it goes on with the next message meanwhile
	}
	if st.out.queued >= writeQuota {
		_ = st.waitQuotaLocked(contextBackground)
	}
	if st.out.left || !st.state.canSend() || st.out.end {
		c.mu.Unlock()
		m.Free()
		return io.EOF
	}
	b := m.b
	if !m.shared {
		b = m.seal()
	}
	st.queueLocked(b, m.shared, end)
	c.flush(mode)
	return nil
}

// sendEnd queues END_STREAM.
func (st *stream) sendEnd() {
	c := st.c
	c.mu.Lock()
	if st.out.left || st.out.end || !st.state.canSend() {
		c.mu.Unlock()
		return
	}
	st.out.end = true
	c.pushLocked(st)
	c.flush(flushInline)
}

// credit gives the peer credit for what the application has taken: as a WINDOW_UPDATE
// of so many octets, if there is to be one.
func (st *stream) credit(update uint32) {
	if update == 0 {
		return
	}
	c := st.c
	c.mu.Lock()
	// "A receiver [...] SHOULD NOT send WINDOW_UPDATE on a stream that the peer
	// has ended": nor is there any use in it.
	if !st.out.left && st.state.canRecv() {
		c.ctl.Credit(st.id, update)
	}
	c.flush(flushInline)
}

// fail ends the stream for the application: it has left the table.
func (st *stream) fail(err *StreamError) {
	if st.client != nil {
		st.client.fail(err)
	} else {
		st.server.fail(err)
	}
}

// cancel ends the stream from this side, unless it has ended already. It
// reports whether it did.
func (st *stream) cancel(code ErrCode, err *StreamError) bool {
	if !st.abandon(code) {
		return false
	}
	st.fail(err)
	return true
}

// abandon takes the stream out of the table and resets it. It reports whether
// it was there: then it is the caller's to tell the application.
func (st *stream) abandon(code ErrCode) bool {
	c := st.c
	c.mu.Lock()
	if st.out.left {
		c.mu.Unlock()
		return false
	}
	c.ended.add(st.id)
	c.tally.resetOutLocked(code)
	c.ctl.ResetOwn(st.id, code) // first: see resetLocked
	c.removeLocked(st)
	c.flush(flushInline)
	return true
}

// touch notes that a stream has news, to be told at the end of the read.
func (c *conn) touch(st *stream) {
	if !st.in.touched {
		st.in.touched = true
		c.touched = append(c.touched, st)
	}
}

// streamsLocked gives the open streams in the order of their ids.
func (c *conn) streamsLocked() []*stream {
	all := make([]*stream, 0, c.streams.len())
	for st := range c.streams.each {
		all = append(all, st)
	}
	slices.SortFunc(all, func(a, b *stream) int { return int(int64(a.id) - int64(b.id)) })
	return all
}

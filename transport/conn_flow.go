package transport

import (
	"fmt"

	"github.com/weir-rpc/weir/internal/frame"
)

// handleData is a fragment of a DATA frame.
func (c *conn) handleData(f *frame.Frame) *frame.Error {
	// The connection's credit returns on receipt, whatever becomes of the
	// stream: else streams that nobody reads would stall all others.
	c.idleData(f)
	partial := false
	if c.bdp.est != nil {
		c.bdp.est.OnData(uint32(f.FlowLen))
	}
	c.mu.Lock()
	c.budget.earned += int64(f.FlowLen / earnedOctets)
	ok := c.recvFlow.Allows(uint32(f.FlowLen), c.ctl.ConnCredit())
	var update uint32
	if ok {
		update, ok = c.recvFlow.OnData(uint32(f.FlowLen))
	}
	if !ok {
		c.mu.Unlock()
		return &frame.Error{Code: CodeFlowControl, Reason: "DATA beyond the connection's window"}
	}
	if update > 0 {
		c.ctl.Credit(0, update)
		c.bdp.due = true
	}
	st := c.streams.find(f.StreamID)
	if st == nil || !st.state.canRecv() {
		defer c.mu.Unlock()
		return c.strayLocked(f, st)
	}
	if c.client && !st.client.gotHeader {
		c.mu.Unlock()
		return c.earlyData(st, f)
	}
	end := f.EndStream()
	fault := st.length.take(len(f.Payload), end)
	if end {
		switch closed := st.state.recvEnd(); {
		case closed:
			c.removeLocked(st)
		case c.client:
			c.resetAfterLocked(st) // a response without trailers, see received
		}
	}
	c.mu.Unlock()
	var e *frame.Error
	messages := st.in.messages
	if fault != "" {
		e = &frame.Error{Code: CodeProtocol, StreamID: f.StreamID, Reason: fault}
	} else if update, partial, ok = st.in.data(f, end); !ok {
		// "A receiver MAY respond with a stream error or connection error of type
		// FLOW_CONTROL_ERROR if it is unable to accept a frame."
		// https://www.rfc-editor.org/rfc/rfc9113#section-6.9
		e = &frame.Error{Code: CodeFlowControl, StreamID: f.StreamID, Reason: "DATA beyond the stream's window"}
	}
	c.record.freshMessages += st.in.messages - messages
	if e != nil {
		if end && c.client { // it has left the table, and nobody is to be told
			st.fail(brokenHTTP2(e))
			return nil
		}
		return e
	}
	if update > 0 && !end {
		c.mu.Lock()
		if !st.out.left { // the application may have ended it meanwhile
			c.ctl.Credit(f.StreamID, update)
		}
		c.mu.Unlock()
	}
	c.partial = partial
	c.touch(st)
	return nil
}

// strayLocked is DATA on a stream that cannot take it.
func (c *conn) strayLocked(f *frame.Frame, st *stream) *frame.Error {
	expected := c.lateDataLocked(f)
	switch {
	case c.isIdleLocked(f.StreamID):
		// "If a DATA frame is received whose stream is not in the "open" or
		// "half-closed (local)" state, the recipient MUST respond with a stream
		// error (Section 5.4.2) of type STREAM_CLOSED."
		// https://www.rfc-editor.org/rfc/rfc9113#section-6.1
		// but an idle stream is "a connection error of type PROTOCOL_ERROR" (§5.1).
		return protocolErrorf("DATA for stream %d, which is idle", f.StreamID)
	case st == nil && c.ended.has(f.StreamID):
		return nil
	}
	if q := c.refused.find(f.StreamID); q != nil {
		return c.refusedDataLocked(q, f)
	}
	if st == nil && expected {
		return nil // of one of the streams, in all likelihood, that left too long ago to be remembered
	}
	return &frame.Error{Code: CodeStreamClosed, StreamID: f.StreamID,
		Reason: fmt.Sprintf("DATA on stream %d after its end", f.StreamID)}
}

// handleWindowUpdate is credit from the peer.
func (c *conn) handleWindowUpdate(f *frame.Frame) *frame.Error {
	c.mu.Lock()
	defer c.mu.Unlock()
	// "If a sender receives a WINDOW_UPDATE that causes a flow-control window to
	// exceed this maximum, it MUST terminate either the stream or the
	// connection, as appropriate. For streams, the sender sends a RST_STREAM with
	// an error code of FLOW_CONTROL_ERROR; for the connection, a GOAWAY frame
	// with an error code of FLOW_CONTROL_ERROR is sent."
	// https://www.rfc-editor.org/rfc/rfc9113#section-6.9.1
	if f.StreamID == 0 {
		c.tally.windowsIn.Connection++
		if !c.sendFlow.Add(f.Increment) {
			return &frame.Error{Code: CodeFlowControl, Reason: "WINDOW_UPDATE raises the connection's window past 2^31-1"}
		}
		return nil // the round goes on with the flush at the end of the read
	}
	c.tally.windowsIn.Stream++
	if c.isIdleLocked(f.StreamID) {
		return protocolErrorf("WINDOW_UPDATE for stream %d, which is idle", f.StreamID)
	}
	st, q := c.streams.find(f.StreamID), c.refused.find(f.StreamID)
	if st != nil && !st.out.flow.Add(f.Increment) || q != nil && !q.window.Add(f.Increment) {
		return &frame.Error{Code: CodeFlowControl, StreamID: f.StreamID,
			Reason: "WINDOW_UPDATE raises the stream's window past 2^31-1"}
	}
	if st != nil {
		c.unblockLocked(st)
	}
	return nil
}

// unblockLocked gives a stream that has credit again its place in the round.
func (c *conn) unblockLocked(st *stream) {
	if st.out.ready() && !st.out.inRound {
		st.out.inRound = true
		c.round.Push(st)
	}
}

package transport

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/weir-rpc/weir/internal/buffer"
	"github.com/weir-rpc/weir/internal/frame"
	"github.com/weir-rpc/weir/internal/liveness"
)

// defaultReadBufferSize is the size of the buffer that a connection takes while
// there is something to read, unless an option says otherwise. It holds any
// frame but DATA whole, unless MaxFrameSize is larger.
const defaultReadBufferSize = 32 << 10

// headerBlock is a header block of which CONTINUATION frames are still to
// come. Owned by the reader.
type headerBlock struct {
	open      bool
	id        uint32
	endStream bool
	selfDep   bool // the stream depends on itself
	octets    []byte
	frames    uint32 // within headerBounds
}

// maxContinuations bounds the CONTINUATION frames of one header block
// (CVE-2023-45288), unless MaxHeaderListSize allows one that needs more of the
// usual size: 64 KiB fit into four.
const maxContinuations = 32

// read is the reader: the one goroutine of a connection. It waits for nothing
// but the socket, and ends with the connection.
func (c *conn) read() {
	var err error
	for err == nil {
		err = c.readOnce()
	}
	if err == errRest {
		c.sleep()
		return
	}
	c.readEnded(err)
}

// readOnce reads once and handles every frame that is complete then.
func (c *conn) readOnce() error {
	held := c.rd.Buffered()
	if c.rest.awake && !c.rest.armed {
		c.armRest()
	}
	if err := c.fill(); err != nil {
		return c.tired(err)
	}
	c.readAt = c.record.age()
	c.noteRead()
	c.record.fresh += c.rd.Buffered() - held
	if c.client && !c.gotSetting {
		c.opening = c.rd.Opening(c.opening[:0])
	}
	err := c.handleBuffered()
	if err == nil {
		err = c.spend()
	}
	c.batchEnd()
	return err
}

// readEnded is the end of the reader.
func (c *conn) readEnded(err error) {
	var ce *ConnError
	found := errors.As(err, &ce)
	if !found {
		ce = c.readError(err)
		found = ce.Cause == errForeignProtocol
	}
	c.mu.Lock()
	if c.writeErr != nil && !found && !tells(err) {
		ce = c.writeError()
	} else if !found && errors.Is(err, io.EOF) && c.idleForeverLocked() {
		ce = c.drainedError() // the client was faster: it has all that it wants
	}
	if c.life != lifeClosed && ce.By == ByLocal && ce.Code != CodeNoError {
		// So that the peer hears what it did wrong, what it still sends is read: a
		// socket that is closed with octets unread takes back what was written.
		c.linger = true
		_ = c.nc.SetReadDeadline(time.Time{}) // that of the preface may have passed
	}
	linger := c.linger
	c.failLocked(ce)
	c.mu.Unlock()
	if linger {
		c.lendReadBuffer()
		for err = nil; err == nil; {
			_, err = readSome(c.nc, *c.readBuf)
		}
		_ = c.nc.Close()
	}
	c.freeReadBuffer()
	c.partEnded()
}

// tells reports whether the end of the octets says more than that they ended.
func tells(err error) bool {
	return !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) && !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, syscall.ECONNRESET)
}

// readError says what the end of the octets means.
func (c *conn) readError(err error) *ConnError {
	switch {
	case errors.Is(err, io.EOF):
		if c.client && !c.gotSetting {
			if what, foreign := notHTTP2(c.opening); foreign { // an alert of TLS is less than a frame's header
				return &ConnError{By: ByPeer, Reason: "the server " + what + ", and closed the connection", Cause: errForeignProtocol}
			}
		}
		what := "the peer closed the connection"
		if c.rd.Buffered() > 0 || c.block.open {
			what += " in the middle of a frame"
		}
		if t, ok := c.role.(*http2Client); ok && t.cfg.EarlyCalls && !c.gotSetting {
			what += " before it sent SETTINGS, for which calls did not wait (option WithEarlyCalls)"
		}
		if before := c.drainReason(); c.client && before != "" {
			what += ", and before " + before
		}
		return &ConnError{By: ByPeer, Reason: what, Cause: io.EOF}
	case errors.Is(err, net.ErrClosed):
		return &ConnError{By: ByLocal, Reason: "closed", Cause: err}
	case errors.Is(err, os.ErrDeadlineExceeded) && !c.client && !c.gotSetting:
		return c.prefaceMissing()
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "remote error" { // crypto/tls's word for an alert
		return &ConnError{By: ByPeer, Reason: "the peer sent a TLS alert", Cause: err}
	}
	reason := "cannot read"
	if errors.Is(err, syscall.ETIMEDOUT) {
		reason = "the peer's host acknowledges nothing any more (TCP_USER_TIMEOUT, if it is set)"
	}
	return &ConnError{By: ByNetwork, Reason: reason, Cause: err}
}

// prefaceMissing is the end of a server's connection whose client did not begin.
func (c *conn) prefaceMissing() *ConnError {
	return &ConnError{By: ByLocal, Code: CodeProtocol, Reason: fmt.Sprintf(
		"no connection preface and SETTINGS within %v (option ConnectionTimeout)", c.role.(*http2Server).cfg.connectionTimeout())}
}

// readPreface takes the client's preface on a server.
func (c *conn) readPreface() error {
	if c.client {
		return nil
	}
	got := make([]byte, len(frame.ClientPreface))
	for n := 0; n < len(got); {
		m, err := readSome(c.nc, got[n:])
		n += m
		// "Clients and servers MUST treat an invalid connection preface as a
		// connection error (Section 5.4.1) of type PROTOCOL_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9113#section-3.4
		if !bytes.HasPrefix([]byte(frame.ClientPreface), got[:n]) {
			what, _ := notHTTP2(got[:n])
			return &ConnError{Code: CodeProtocol, By: ByLocal, Reason: "the client " + what}
		}
		if err != nil && n < len(got) {
			if errors.Is(err, io.EOF) && n > 0 {
				return &ConnError{By: ByPeer, Reason: "the client closed the connection in the middle of its preface", Cause: err}
			}
			return err
		}
	}
	c.record.fresh += len(got)
	return nil
}

// notHTTP2 says what a peer that does not speak HTTP/2 seems to speak, going
// by its first octets, and whether that is a protocol it knows.
func notHTTP2(b []byte) (what string, known bool) {
	for _, m := range []string{"GET ", "POST ", "PUT ", "HEAD ", "OPTIONS ", "DELETE ", "PATCH ", "CONNECT ", "HTTP/1"} {
		if n := min(len(m), len(b)); n > 3 && string(b[:n]) == m[:n] {
			return "speaks HTTP/1, not HTTP/2 with prior knowledge, which gRPC needs", true
		}
	}
	if len(b) >= 3 && (b[0] == 0x16 || b[0] == 0x15) && b[1] == 3 {
		return "speaks TLS, this side does not: set transport credentials (options Creds and WithTransportCredentials) on both sides or on none", true
	}
	return fmt.Sprintf("does not speak HTTP/2: its first octets are %q", b), false
}

// fill waits until there is something to read and reads it. A connection that
// waits holds no buffer, unless a frame is cut in the middle.
func (c *conn) fill() error {
	if c.readBuf != nil && len(*c.readBuf) > c.cfg.readBufferSize() && c.rd.Buffered() == 0 {
		c.freeReadBuffer() // it was for one large frame
	}
	if c.readBuf == nil {
		return c.sock.read(c)
	}
	if c.rd.Buffered() == 0 && !c.sock.blocks() {
		return c.sock.read(c)
	}
	if c.rd.Buffered() == 0 && c.waitsWithout() {
		c.freeReadBuffer()
		return c.sock.read(c)
	}
	if n := c.rd.Wants(); n > 0 {
		c.growReadBuffer(n)
	}
	n, err := readSome(c.nc, c.rd.Space())
	if n > 0 {
		c.rd.Filled(n)
		return nil
	}
	return err
}

// waitsWithout reports whether the reader of a socket that holds the buffer
// which it is given waits with no more than the scratch of a frame header. A
// secured connection has the octets that follow it decrypted already: it waits
// like this between any two frames, for nobody would take the buffer from a
// reader whose last stream ends while it waits; but not within a message, which
// comes in many frames, each a record of its own as a rule. With others, which
// pay a system call for it, streams must be gone.
func (c *conn) waitsWithout() bool {
	if c.secured && (c.rd.WithinFrame() || !c.partial) {
		return !c.rd.WithinFrame()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.streams.len() == 0
}

// lendReadBuffer takes a buffer, for there is something to read.
func (c *conn) lendReadBuffer() {
	if c.readBuf == nil {
		c.readBuf = buffer.Get(c.cfg.readBufferSize())
		c.rd.Lend(*c.readBuf)
	}
}

// growReadBuffer takes a buffer of n octets in the place of the one that it has:
// a frame that is not DATA fills that one.
func (c *conn) growReadBuffer(n int) {
	old := c.readBuf
	c.readBuf = buffer.Get(n)
	c.rd.Move(*c.readBuf)
	buffer.Put(old)
}

// freeReadBuffer gives the buffer back if nothing is in it.
func (c *conn) freeReadBuffer() {
	if c.readBuf == nil {
		return
	}
	if c.rd.Reclaim() == nil {
		c.rd = frame.Reader{} // the connection is over
	}
	buffer.Put(c.readBuf)
	c.readBuf = nil
}

// handleBuffered handles every frame that has been read, in order.
func (c *conn) handleBuffered() error {
	for {
		ok, ferr := c.rd.Next(&c.frame)
		if ferr == nil {
			if !ok {
				return nil
			}
			ferr = c.handleFrame(&c.frame)
		}
		if ferr != nil {
			if err := c.frameError(ferr); err != nil {
				return err
			}
		}
	}
}

// frameError acts on a peer's error: the end of a stream, or of the
// connection, whose error it returns.
func (c *conn) frameError(e *frame.Error) error {
	if e.StreamID == 0 {
		reason, cause := e.Reason, error(nil)
		if c.client && !c.gotSetting {
			// What came was no frame at all, in all likelihood.
			what, foreign := notHTTP2(c.opening)
			if reason = "the server " + what; foreign {
				cause = errForeignProtocol
			}
		}
		ce := &ConnError{Code: e.Code, By: ByLocal, Reason: reason, Cause: cause}
		if reason == liveness.DebugTooManyPings {
			ce.Cause = errTooManyPings
		}
		return ce
	}
	if e.Code == CodeRefusedStream {
		c.idleFrame(idleRefused, 1)
	} else {
		c.idleFrame(idleProvoked, 2) // it provokes a reply, too
	}
	c.mu.Lock()
	if c.isIdleLocked(e.StreamID) {
		// "RST_STREAM frames MUST NOT be sent for a stream in the "idle" state."
		// https://www.rfc-editor.org/rfc/rfc9113#section-6.4
		c.mu.Unlock()
		return &ConnError{Code: e.Code, By: ByLocal, Reason: e.Reason + ", on a stream that is idle"}
	}
	st := c.streams.find(e.StreamID)
	if st == nil {
		c.refused.remove(e.StreamID)
		if !c.ended.has(e.StreamID) {
			c.tally.resetOutLocked(e.Code)
			c.reply(func() bool { return c.ctl.Reset(e.StreamID, e.Code) })
			c.ended.add(e.StreamID)
		}
		c.mu.Unlock()
		return nil
	}
	c.resetLocked(st, e.Code)
	c.mu.Unlock()
	st.fail(brokenHTTP2(e))
	return nil
}

func brokenHTTP2(e *frame.Error) *StreamError {
	return &StreamError{Code: e.Code, By: ByLocal, Status: internalStatus("the peer broke HTTP/2: " + e.Reason)}
}

// batchEnd is the end of what one read gave: each stream with news hears of it
// once, and what was provoked is written without waiting.
func (c *conn) batchEnd() {
	c.joiners.wakingAll(c.client)
	for i, st := range c.touched {
		st.in.touched = false
		c.touched[i] = nil
		c.role.received(st)
	}
	c.touched = c.touched[:0]
	held := c.joiners.wokenAll(c.client)
	c.role.batchEnd()
	c.mu.Lock()
	c.heardLocked()
	tuned := (c.bdp.due || c.bdp.sampled) && c.tuneLocked()
	if !held && !tuned && !c.owed && c.ctl.Empty() && (c.round.Len() == 0 || c.sendFlow.Available() == 0) {
		c.mu.Unlock() // what else is pending has someone who flushes it
		return
	}
	c.flush(flushNow)
}

// handleFrame handles one frame, or one fragment of DATA.
func (c *conn) handleFrame(f *frame.Frame) *frame.Error {
	if !c.gotSetting && (f.Type != frame.TypeSettings || f.Flags.Has(frame.FlagAck)) {
		// "The server connection preface consists of a potentially empty SETTINGS
		// frame [...] that MUST be the first frame the server sends"
		// https://www.rfc-editor.org/rfc/rfc9113#section-3.4
		return protocolErrorf("the first frame is %v, not SETTINGS", f.Type)
	}
	c.partial = false
	if f.First {
		c.record.freshFrames++
	}
	switch f.Type {
	case frame.TypeData:
		return c.handleData(f)
	case frame.TypeHeaders:
		c.block = headerBlock{open: true, id: f.StreamID, endStream: f.Flags.Has(frame.FlagEndStream),
			selfDep: f.HasPriority && f.Dependency == f.StreamID, octets: c.block.octets[:0]}
		return c.headerFragment(f)
	case frame.TypeContinuation:
		c.idleFrame(idleContinuation, 1)
		return c.headerFragment(f)
	case frame.TypePushPromise:
		// "A client cannot push. [...] A client that has set this value to 0 and
		// had it acknowledged MUST treat the receipt of a PUSH_PROMISE frame as a
		// connection error of type PROTOCOL_ERROR." We set it in the first frame.
		// https://www.rfc-editor.org/rfc/rfc9113#section-6.6
		return protocolErrorf("PUSH_PROMISE, which nobody asked for (ENABLE_PUSH is 0)")
	case frame.TypeSettings:
		c.idleFrame(idleSettings, 1+len(f.Payload)/64)
		return c.handleSettings(f)
	case frame.TypePing:
		c.idleFrame(idlePing, 1)
		return c.handlePing(f)
	case frame.TypeGoAway:
		c.idleFrame(idleGoAway, 1+len(f.Payload)/64)
		c.noteGoAway(f.Code, f.Payload)
		c.role.goAway(f.LastStreamID, f.Code, bytes.Clone(f.Payload))
	case frame.TypeRSTStream:
		c.idleFrame(idleReset, 1)
		return c.handleReset(f)
	case frame.TypeWindowUpdate:
		c.idleFrame(idleWindow, 1)
		return c.handleWindowUpdate(f)
	case frame.TypePriority:
		c.idleFrame(idlePriority, 1)
		if f.Dependency == f.StreamID {
			return &frame.Error{Code: CodeProtocol, StreamID: f.StreamID, Reason: "a stream depends on itself"}
		}
	}
	return nil
}

func protocolErrorf(format string, args ...any) *frame.Error {
	return &frame.Error{Code: CodeProtocol, Reason: fmt.Sprintf(format, args...)}
}

// headerFragment takes a piece of a header block and, with the last one,
// decodes the block. It is decoded whatever becomes of the stream, for the
// table that both ends share must stay in step.
func (c *conn) headerFragment(f *frame.Frame) *frame.Error {
	b := &c.block
	octets := f.Payload
	if last := f.Flags.Has(frame.FlagEndHeaders); !last || len(b.octets) > 0 {
		b.frames++
		if octets, frames := c.cfg.headerBounds(); uint64(len(b.octets)+len(f.Payload)) > octets || b.frames > frames {
			return &frame.Error{Code: CodeEnhanceYourCalm, Reason: fmt.Sprintf(
				"the peer sent a header block of more than %d octets or %d frames (option %s bounds the list in it)", octets, frames, c.option("MaxHeaderListSize"))}
		}
		b.octets = append(b.octets, f.Payload...)
		if !last {
			return nil
		}
		octets = b.octets
	}
	b.open = false
	l := &c.list
	l.Reset()
	if err := c.dec.Decode(octets, l); err != nil {
		return &frame.Error{Code: CodeCompression, Reason: "cannot decode a header block: " + err.Error()}
	}
	if cap(b.octets) > 4<<10 {
		b.octets = nil
	}
	if b.selfDep {
		return &frame.Error{Code: CodeProtocol, StreamID: b.id, Reason: "a stream depends on itself"}
	}
	return c.role.headers(b.id, b.endStream, l)
}

// handleReset is the peer's RST_STREAM.
func (c *conn) handleReset(f *frame.Frame) *frame.Error {
	c.mu.Lock()
	if c.isIdleLocked(f.StreamID) {
		c.mu.Unlock()
		// "RST_STREAM frames MUST NOT be sent for a stream in the "idle" state. If a
		// RST_STREAM frame identifying an idle stream is received, the recipient
		// MUST treat this as a connection error (Section 5.4.1) of type
		// PROTOCOL_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9113#section-6.4
		return protocolErrorf("RST_STREAM for stream %d, which is idle", f.StreamID)
	}
	c.tally.resetInLocked(f.Code)
	st := c.streams.find(f.StreamID)
	if st == nil {
		// Nothing may follow this, not even if our own reset was under way.
		c.refused.remove(f.StreamID)
		c.ended.remove(f.StreamID)
		c.mu.Unlock()
		return nil
	}
	st.state = stateClosed // nothing more can be on its way
	c.removeLocked(st)
	c.mu.Unlock()
	st.fail(c.peerReset(f.Code))
	return nil
}

// isIdleLocked reports whether nobody has opened the stream yet.
func (c *conn) isIdleLocked(id uint32) bool {
	if id%2 == 1 == c.client {
		return id >= c.nextID
	}
	return id > c.maxID
}

package transport

import (
	"context"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/weir-rpc/weir/internal/buffer"
	"github.com/weir-rpc/weir/internal/wait"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// http2ClientStream is a ClientStream of http2Client.
type http2ClientStream struct {
	stream
	t   *http2Client
	ctx context.Context

	stop func() bool // ends the watch on ctx; nil if there is none

	method string        // guarded by conn.mu
	begun  time.Duration // after conn.record.begun; guarded by conn.mu

	// Guarded by stream.in.
	headerIn   chan struct{} // closed when headerTold; nil if nobody waits for that
	headerTold bool          // the headers have come or never will
	gotHeader  bool
	gotTrailer bool           // the reader, who alone sets it, reads it without
	unary      bool           // immutable; of RoundTrip: the object serves again
	informed   uint8          // 1xx responses, up to maxInformational and one more
	awaits     awaited        // guarded by conn.mu; 0 until the deadline passes
	header     *response      // never nil
	trailer    *response      // never nil
	end        *status.Status // nil is OK
	foreign    *foreignAnswer // what came in place of headers, or nil
}

// NewStream opens a stream. See ClientTransport.
func (t *http2Client) NewStream(ctx context.Context, call *Call) (ClientStream, error) {
	cs := &http2ClientStream{t: t, ctx: ctx, header: &noResponse, trailer: &noResponse}
	cs.stream.init(&t.conn, messageLimit(call.MaxRecvMessageSize), true)
	cs.client = cs
	if err := t.acquire(ctx, call); err != nil {
		return nil, err
	}
	if err := t.openLocked(ctx, &cs.stream, call); err != nil {
		t.mu.Unlock()
		return nil, err
	}
	t.flush(flushInline)
	if !call.Watched && ctx.Done() != nil {
		stop := context.AfterFunc(ctx, func() { cs.over() })
		cs.in.Lock()
		cs.stop = stop
		cs.in.Unlock(cs.in.ended)
	}
	return cs, nil
}

// over ends the stream if its context has ended. The watch does so soon
// afterwards, too late for who cancels and then goes on: the server must not
// see the end of a request that is cancelled, nor the caller its answer.
func (cs *http2ClientStream) over() bool {
	if cs.ctx.Err() == nil {
		return false
	}
	if err := cs.contextError(cs.ctx); !cs.cancel(CodeCancel, err) {
		cs.kill(err)
	}
	return true
}

func (cs *http2ClientStream) Context() context.Context { return cs.ctx }

func (cs *http2ClientStream) Send(m Buffer) error { return cs.sendMessage(m, false) }

func (cs *http2ClientStream) SendLast(m Buffer) error { return cs.sendMessage(m, true) }

func (cs *http2ClientStream) sendMessage(m Buffer, last bool) error {
	if cs.over() {
		m.Free()
		return io.EOF
	}
	return cs.send(m, last)
}

func (cs *http2ClientStream) CloseSend() {
	if !cs.over() {
		cs.sendEnd()
	}
}

func (cs *http2ClientStream) Recv() (Message, error) {
	cs.over()
	m, err := cs.recv()
	if err != nil {
		cs.unwatch()
	}
	return m, err
}

// unwatch ends the watch on the context: everything is received.
func (cs *http2ClientStream) unwatch() {
	cs.in.Lock()
	stop := cs.stop
	cs.in.Unlock(cs.in.ended)
	if stop != nil {
		stop()
	}
}

func (cs *http2ClientStream) Header() metadata.MD {
	cs.waitHeader()
	cs.in.Lock()
	defer cs.in.Unlock(cs.in.ended)
	if !cs.gotHeader {
		return metadata.MD{}
	}
	return cs.header.metadata()
}

func (cs *http2ClientStream) Encoding() string {
	cs.in.Lock()
	defer cs.in.Unlock(cs.in.ended)
	return cs.header.encoding
}

func (cs *http2ClientStream) TrailersOnly() bool {
	cs.in.Lock()
	defer cs.in.Unlock(cs.in.ended)
	return !cs.gotHeader && cs.gotTrailer
}

func (cs *http2ClientStream) GotHeader() bool {
	cs.in.Lock()
	defer cs.in.Unlock(cs.in.ended)
	return cs.gotHeader
}

func (cs *http2ClientStream) GotTrailer() bool {
	cs.in.Lock()
	defer cs.in.Unlock(cs.in.ended)
	return cs.gotTrailer
}

func (cs *http2ClientStream) Trailer() metadata.MD {
	cs.in.Lock()
	defer cs.in.Unlock(cs.in.ended)
	return cs.trailer.metadata()
}

func (cs *http2ClientStream) Status() *status.Status {
	cs.in.Lock()
	defer cs.in.Unlock(cs.in.ended)
	switch {
	case cs.in.fault != nil:
		return cs.in.fault.Status
	case cs.end == nil:
		return status.New(codes.OK, "")
	}
	return cs.end
}

func (cs *http2ClientStream) Refused() *StreamError {
	cs.waitHeader()
	cs.in.Lock()
	defer cs.in.Unlock(cs.in.ended)
	if cs.in.fault == nil || !cs.in.fault.Unprocessed {
		return nil
	}
	return cs.in.fault
}

func (cs *http2ClientStream) Cancel(err error) {
	defer cs.unwatch()
	if cs.over() {
		return
	}
	e := localErrorf(CodeCancel, codes.Canceled, "the call was cancelled: %v", err)
	if s, ok := status.FromError(err); ok && s.Code() != codes.OK {
		e.Status = s
	}
	e.Cause = err
	if !cs.cancel(CodeCancel, e) {
		cs.kill(e)
	}
}

// kill drops what has come of a stream that has left the table: it has ended,
// or is about to. A failure stays what it was, but a success without its
// messages is none any more.
func (cs *http2ClientStream) kill(err *StreamError) {
	cs.in.Lock()
	if cs.end != nil || cs.in.fault != nil {
		err = nil
	}
	cs.in.killLocked(err)
	cs.in.Unlock(true)
	cs.tellHeader()
}

// fail ends the stream for the application.
func (cs *http2ClientStream) fail(err *StreamError) {
	if err.By == ByPeer && err.Code == CodeCancel && deadlinePassed(cs.ctx) {
		// The server's clock was first.
		err.Status = status.New(codes.DeadlineExceeded, err.Status.Message())
	}
	if err.By == ByLocal && err.Code == CodeCancel {
		cs.kill(err)
		return
	}
	cs.in.Lock()
	if cs.gotHeader && err.Unprocessed {
		// Whatever the server says: it has answered.
		err.Unprocessed = false
		err.Status = status.New(err.Status.Code(), strings.Replace(err.Status.Message(), notActed, mayActed, 1))
	}
	if cs.foreign != nil && !cs.in.ended {
		err = cs.foreign.fault() // what it says tells more
	}
	cs.in.stop(err)
	cs.in.Unlock(true)
	cs.tellHeader()
}

// tellHeader wakes those who wait for headers.
func (cs *http2ClientStream) tellHeader() {
	if cs.unary {
		return
	}
	cs.in.Lock()
	if !cs.headerTold && cs.headerIn != nil {
		close(cs.headerIn)
	}
	cs.headerTold = true
	cs.in.Unlock(cs.in.ended)
}

// waitHeader waits until it is known whether there are headers.
func (cs *http2ClientStream) waitHeader() {
	cs.in.Lock()
	told := cs.headerTold
	if !told && cs.headerIn == nil {
		cs.headerIn = make(chan struct{})
	}
	in := cs.headerIn
	cs.in.Unlock(cs.in.ended)
	if !told {
		_ = wait.For(contextBackground, wait.Peer, wait.Holder{Stream: cs.id}, in)
	}
}

// response takes the server's headers or trailers. It gives the fault that
// ends the stream, if there is one. On the reader.
func (cs *http2ClientStream) response(r *response, end bool) *StreamError {
	in := &cs.in
	in.Lock()
	fault := cs.responseLocked(r, end)
	if fault != nil {
		in.stop(fault)
	}
	header := cs.gotHeader || in.ended
	in.over = in.ended
	in.Unlock(false)
	if header {
		cs.tellHeader()
	}
	return fault
}

func (cs *http2ClientStream) responseLocked(r *response, end bool) *StreamError {
	switch {
	case cs.in.ended:
		return nil
	case cs.foreign != nil:
		return cs.foreign.fault() // these are its trailers
	case !end && !cs.gotHeader && r.informational():
		if cs.informed++; cs.informed > maxInformational {
			return localErrorf(CodeEnhanceYourCalm, codes.Internal, "the server sent more than %d informational (1xx) responses", maxInformational)
		}
		return nil
	case !cs.gotHeader:
		if fault := r.check(end); fault != nil {
			return fault
		}
		if end {
			break
		}
		if code, what := r.foreign(); what != "" {
			cs.foreignLocked(code, what)
			return nil
		}
		cs.gotHeader, cs.header, cs.length = true, r, r.length.ofBody()
		return nil
	case end && r.httpStatus != "":
		// "Pseudo-header fields MUST NOT appear in a trailer section."
		// https://www.rfc-editor.org/rfc/rfc9113#section-8.3
		return localErrorf(CodeProtocol, codes.Internal, "the server sent malformed trailers: a pseudo-header field: :status")
	case !end:
		// "A HEADERS frame [...] that appears after the first HEADERS without
		// END_STREAM is malformed": trailers end a stream.
		return localErrorf(CodeProtocol, codes.Internal, "the server sent headers in the middle of its messages")
	}
	st, fault := r.status()
	cs.gotTrailer, cs.trailer, cs.end = true, r, st
	switch {
	case fault != nil:
		return fault
	case st != nil:
		cs.in.ended = true // the call failed, whatever of a message had come
		return nil
	}
	if what := cs.length.take(0, true); what != "" {
		return localErrorf(CodeProtocol, codes.Internal, "the server sent a malformed response: %s", what)
	}
	cs.in.end()
	return cs.in.fault
}

// RoundTrip makes a unary call. See ClientTransport.
func (t *http2Client) RoundTrip(ctx context.Context, call *Call, request Buffer, reply *Reply) error {
	b := request.seal()
	st := t.unaryStream(messageLimit(call.MaxRecvMessageSize))
	cs := st.client
	err := t.acquire(ctx, call)
	if err == nil {
		if err = t.openLocked(ctx, st, call); err != nil {
			t.mu.Unlock()
		}
	}
	if err != nil {
		buffer.Put(b)
		t.keepStream(st)
		return err
	}
	cs.ctx = ctx // before the reader can come to the stream: it takes the lock first
	st.enqueueLocked(b, true)
	t.flush(flushInline)
	if call.Sent != nil {
		call.Sent()
	}
	cs.waits.Store(true)
	if wait.For(ctx, wait.Peer, wait.Holder{Stream: st.id}, st.in.C()) != nil {
		// Who takes a stream out of the table decides how it ends. If that was
		// the reader, the answer is on its way to the gate.
		if e := cs.contextError(ctx); cs.cancel(CodeCancel, e) {
			return e
		}
		_ = wait.For(contextBackground, wait.Peer, wait.Holder{Stream: st.id}, st.in.C())
	}
	t.runs(cs)
	return cs.reply(reply)
}

// reply fills the reply of a call that has ended. The signal of that was the
// last that anyone else had to do with the stream: there is nothing to lock.
func (cs *http2ClientStream) reply(reply *Reply) error {
	in := &cs.in
	reply.st = &cs.stream
	reply.header, reply.trailer = cs.header, cs.trailer
	reply.Encoding = cs.header.encoding
	m, _, ok := in.takeLocked()
	reply.Message = m
	switch {
	case in.fault != nil:
		return in.fault
	case cs.end != nil:
		return cs.end.Err()
	case !ok:
		// https://grpc.github.io/grpc/core/md_doc_statuscodes.html
		return localErrorf(CodeCancel, codes.Unimplemented, "cardinality violation: the server ended a unary call with status OK and without a message")
	}
	return nil
}

// unaryStream gives a stream for RoundTrip.
func (t *http2Client) unaryStream(limit uint32) *stream {
	if pool := t.idle.Load(); pool != nil {
		if st, ok := pool.Get().(*stream); ok {
			st.in.limit = limit
			return st // openLocked makes its sending half new
		}
	}
	cs := &http2ClientStream{t: t, unary: true, header: &noResponse, trailer: &noResponse}
	cs.client = cs
	cs.stream.init(&t.conn, limit, true)
	cs.in.single = true
	return &cs.stream
}

// recycle takes back the stream of a call that ended by itself: the reader
// removed it from the table and has told its end, so that nobody else looks at
// it any more. One that failed is left to the garbage collector.
func (t *http2Client) recycle(st *stream) {
	cs, in := st.client, &st.in
	in.inUse = false
	in.freeLocked()
	if in.fault != nil || in.dead {
		return
	}
	in.resetLocked()
	in.keeps = true // a connection with one call leaves it no memory
	cs.gotHeader, cs.gotTrailer, cs.end, cs.informed, cs.awaits = false, false, nil, 0, 0
	cs.header, cs.trailer, cs.ctx = &noResponse, &noResponse, nil
	t.keepStream(st)
}

// keepStream has st serve another call.
func (t *http2Client) keepStream(st *stream) {
	pool := t.idle.Load()
	if pool == nil {
		pool = new(sync.Pool)
		if !t.idle.CompareAndSwap(nil, pool) {
			return // to the garbage collector, as any that a rest finds
		}
	}
	pool.Put(st)
}

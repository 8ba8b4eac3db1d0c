package transport

import (
	"context"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-rpc/weir/internal/buffer"
	"github.com/weir-rpc/weir/internal/grpcwire"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// http2ServerStream is a ServerStream of http2Server.
type http2ServerStream struct {
	// The stream serves again after a unary call: it is nil then. Written by the
	// handler's goroutine, with conn.mu.
	*stream
	s   *http2Server
	ctx serverContext

	// Immutable.
	req     *request
	unary   bool
	suspect bool // one of the first calls of its method

	dispatched bool // guarded by stream.in

	// Owned by the handler.
	chained bool    // runs in the chain, which flushes
	upload  uint32  // milliseconds that a unary request took to come whole; the reader wrote it before
	reply   *[]byte // leaves when the handler returns

	// Guarded by conn.mu.
	expired    bool
	aborted    bool
	headerSent bool
	statusSent bool
	done       bool          // the handler has returned
	placeless  bool          // its place in MAX_CONCURRENT_STREAMS is free
	deadline   time.Time     // immutable
	received   time.Duration // after conn.record.begun; immutable
	header     metadata.MD
	trailer    metadata.MD
	compress   atomic.Pointer[string] // written with conn.mu
}

// spareStreams are streams whose unary calls are over: see clear.
var spareStreams sync.Pool // *stream

func newServerStream(s *http2Server, r *request, deadline time.Time) *http2ServerStream {
	st := &http2ServerStream{s: s, req: r, unary: r.unary, suspect: r.calls < suspectCalls, deadline: deadline, received: s.readAt}
	if st.unary {
		st.stream, _ = spareStreams.Get().(*stream)
	}
	if st.stream == nil {
		st.stream = new(stream)
	}
	st.stream.init(&s.conn, s.limit, !r.unary) // a complete request waits for nothing
	st.in.keeps, st.in.single = r.unary, r.unary
	st.server = st
	st.ctx.st = st
	return st
}

func (st *http2ServerStream) Context() context.Context { return &st.ctx }

func (st *http2ServerStream) Method() string { return st.req.path }

func (st *http2ServerStream) ContentSubtype() string { return st.req.contentSubtype }

func (st *http2ServerStream) Encoding() string { return st.req.encoding }

func (st *http2ServerStream) AcceptEncoding() string { return st.req.acceptEncoding }

func (st *http2ServerStream) Metadata() metadata.MD { return st.req.md }

func (st *http2ServerStream) Received() time.Time { return st.s.record.begun.Add(st.received) }

// Queued tells for how long a unary request has been whole: what its handler has
// had to wait, when it begins.
func (st *http2ServerStream) Queued() time.Duration {
	return time.Since(st.Received()) - time.Duration(st.upload)*time.Millisecond
}

// uploadedAt notes when the request was whole, no later than that. On the reader.
func (st *http2ServerStream) uploadedAt(at time.Duration) {
	const ms = time.Millisecond
	st.upload = uint32(min((at-st.received+ms-1)/ms, math.MaxUint32))
}

func (st *http2ServerStream) Peer() *peer.Peer { return st.s.peer }

func (st *http2ServerStream) Recv() (Message, error) {
	if st.stream == nil {
		return Message{}, errReturned
	}
	return st.recv()
}

func (st *http2ServerStream) Request() (Message, error) {
	if st.stream == nil {
		return Message{}, errReturned
	}
	in := &st.in
	in.Lock()
	m, _, ok := in.takeLocked()
	more, fault := in.count > 0, in.fault
	in.Unlock(false)
	switch {
	case !ok && fault != nil:
		return Message{}, fault
	case !ok:
		return Message{}, io.EOF
	case more:
		m.Free()
		return Message{}, ErrManyMessages
	}
	return m, nil
}

// ErrManyMessages is the error of Request if the client sent more than one.
var ErrManyMessages = errors.New("the client sent more than one message in a unary call")

func (st *http2ServerStream) SetHeader(md metadata.MD) error {
	if err := checkMetadata(md); err != nil {
		return err
	}
	st.s.mu.Lock()
	defer st.s.mu.Unlock()
	if st.headerSent || st.statusSent {
		return errHeaderSent
	}
	st.header = metadata.Join(st.header, md)
	return nil
}

func (st *http2ServerStream) SendHeader(md metadata.MD) error {
	if err := checkMetadata(md); err != nil {
		return err
	}
	s := st.s
	s.mu.Lock()
	if st.expired || !st.statusSent && st.out.left {
		s.mu.Unlock()
		return st.err()
	}
	if st.headerSent || st.statusSent {
		s.mu.Unlock()
		return errHeaderSent
	}
	st.header = metadata.Join(st.header, md)
	st.sendHeaderLocked()
	s.flush(flushInline)
	return nil
}

func (st *http2ServerStream) SetTrailer(md metadata.MD) error {
	if err := checkMetadata(md); err != nil {
		return err
	}
	st.s.mu.Lock()
	defer st.s.mu.Unlock()
	if st.statusSent {
		return errStatusSent
	}
	st.trailer = metadata.Join(st.trailer, md)
	return nil
}

func (st *http2ServerStream) Header() metadata.MD {
	st.s.mu.Lock()
	defer st.s.mu.Unlock()
	return st.header.Copy()
}

func (st *http2ServerStream) Trailer() metadata.MD {
	st.s.mu.Lock()
	defer st.s.mu.Unlock()
	return st.trailer.Copy()
}

func (st *http2ServerStream) SetSendCompress(name string) error {
	st.s.mu.Lock()
	defer st.s.mu.Unlock()
	if st.headerSent || st.statusSent {
		return errHeaderSent
	}
	st.compress.Store(&name)
	return nil
}

func (st *http2ServerStream) SendCompress() string {
	if name := st.compress.Load(); name != nil {
		return *name
	}
	return ""
}

var (
	errHeaderSent = localErrorf(CodeNoError, codes.Internal, "the headers are sent already")
	errStatusSent = localErrorf(CodeNoError, codes.Internal, "the status is sent already")
)

func checkMetadata(md metadata.MD) error {
	if err := grpcwire.ValidateMetadata(md); err != nil {
		return localErrorf(CodeNoError, codes.Internal, "cannot send the metadata: %v", err)
	}
	return nil
}

func (st *http2ServerStream) Send(m Buffer) error {
	s := st.s
	s.mu.Lock()
	if st.stream == nil || st.reply != nil || st.statusSent && !st.out.left {
		s.mu.Unlock()
		m.Free()
		return errStatusSent
	}
	if !st.headerSent && !st.out.left {
		st.sendHeaderLocked()
	}
	if st.sendLocked(m, false) != nil {
		return st.err()
	}
	return nil
}

// err says how the stream ended. Who takes it out of the table tells why a
// moment later, and ends the context with that.
func (st *http2ServerStream) err() error {
	st.s.mu.Lock()
	over := st.statusSent && !st.expired && !st.aborted
	st.s.mu.Unlock()
	if over {
		return localErrorf(CodeNoError, codes.Internal, "the stream has ended")
	}
	<-st.ctx.Done()
	return context.Cause(&st.ctx)
}

func (st *http2ServerStream) WriteStatus(end *status.Status) { st.finish(nil, end) }

func (st *http2ServerStream) Reply(m Buffer) {
	b := m.seal()
	if st.chained && st.reply == nil {
		st.reply = b // returned sends it, and locks once for both
		return
	}
	st.finish(b, nil)
}

func (st *http2ServerStream) finish(b *[]byte, end *status.Status) {
	s := st.s
	s.mu.Lock()
	if st.reply != nil || st.statusSent || st.out.left {
		s.mu.Unlock()
		if b != nil {
			buffer.Put(b)
		}
		return
	}
	switch {
	case b != nil:
		st.replyLocked(b)
	case end.Code() == codes.OK && st.ctx.late():
		st.finishLocked(deadlineStatus) // before deadlineTimer does so
	default:
		st.finishLocked(end)
	}
	if st.chained {
		s.mu.Unlock() // the chain flushes
		return
	}
	s.flush(flushInline)
}

func (st *http2ServerStream) replyLocked(b *[]byte) {
	if !st.headerSent {
		st.sendHeaderLocked()
	}
	st.out.trailers = &okTrailers
	st.statusSent = true
	st.enqueueLocked(b, true)
}

// finishLocked queues the status behind what is queued already.
func (st *http2ServerStream) finishLocked(end *status.Status) {
	st.statusSent = true
	st.out.trailers = &trailers{status: end}
	st.out.end = true
	st.s.pushLocked(st.stream)
}

// expire ends a stream whose deadline has passed: the handler hears of it and
// the client gets the status at once, whatever is queued. In the middle of a
// message a status would make no sense to it: then the stream is reset.
func (st *http2ServerStream) expire() {
	s, o := st.s, &st.out
	s.mu.Lock()
	switch {
	case o.left:
	case o.begunLocked():
		s.resetLocked(st.stream, CodeCancel)
	default:
		o.dropLocked(&s.conn)
		st.finishLocked(deadlineStatus)
	}
	s.flush(flushInline)
	st.fail(&StreamError{Code: CodeCancel, By: ByLocal, Status: deadlineStatus, Cause: context.DeadlineExceeded})
}

var deadlineStatus = status.New(codes.DeadlineExceeded, "the deadline passed while the server worked on the call")

// fail ends the stream for the handler.
func (st *http2ServerStream) fail(err *StreamError) {
	st.in.kill(err)
	st.ctx.cancel(err)
	if !st.unary {
		return
	}
	st.in.Lock()
	waiting := !st.dispatched
	st.dispatched = true
	st.in.Unlock(false)
	if waiting {
		st.returned() // no handler will ever run
	}
}

// returned says that the handler has returned, or that none will run.
func (st *http2ServerStream) returned() {
	s, core, b := st.s, st.stream, st.reply
	s.mu.Lock()
	if !st.statusSent && !st.out.left {
		if b != nil {
			st.replyLocked(b)
			b = nil
		} else {
			st.finishLocked(status.New(codes.Internal, "the handler ended without a status"))
		}
	}
	st.done = true
	left := core.out.left
	if left {
		s.freePlaceLocked(core)
	}
	// What ended by our own END_STREAM, after the client's, left the table right
	// here: nobody else has a reason to look at it any more. A request with a
	// fault is another matter: the reader may have more of it.
	// Who fails a stream whose deadline is over does it without mu: expired first.
	over := left && st.unary && !st.expired && !st.aborted && core.out.over && core.in.fault == nil && !core.out.inRound
	if over {
		st.statusSent, st.stream = true, nil
	}
	if st.chained {
		s.mu.Unlock()
	} else {
		s.flush(flushInline)
	}
	if b != nil {
		buffer.Put(b)
	}
	if !over {
		core.in.kill(errReturned)
	}
	st.ctx.cancel(errReturned)
	if over {
		core.clear()
		spareStreams.Put(core)
	}
}

// clear makes a stream new that nobody knows any more. A stream that failed, or
// that somebody may still know, is left to the garbage collector instead.
func (st *stream) clear() {
	st.in.inUse = false
	st.in.freeLocked()
	taken, spare := st.in.taken+1, st.in.spare
	*st = stream{}
	st.in.taken, st.in.spare = taken, spare
}

var errReturned = localErrorf(CodeNoError, codes.Canceled, "the handler has returned")

func (st *http2ServerStream) AcceptsEncoding(name string) bool {
	return slices.ContainsFunc(strings.Split(st.req.acceptEncoding, ","), func(s string) bool { return strings.TrimSpace(s) == name })
}

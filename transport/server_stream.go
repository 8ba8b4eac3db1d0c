package transport

import (
	"context"
	"errors"
	"io"
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

// A ServerStream is the server's end of a stream. One goroutine at a time may
// send and another receive; the other methods may be called by any. It must
// not be used after its handler has returned; its context may.
type ServerStream struct {
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
	reply   *[]byte // leaves when the handler returns

	// Guarded by conn.mu.
	expired    bool
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

func newServerStream(s *http2Server, r *request, deadline time.Time) *ServerStream {
	st := &ServerStream{s: s, req: r, unary: r.unary, suspect: r.calls < suspectCalls, deadline: deadline, received: s.readAt}
	if st.unary {
		st.stream, _ = spareStreams.Get().(*stream)
	}
	if st.stream == nil {
		st.stream = new(stream)
	}
	st.stream.init(&s.conn, s.limit, !r.unary) // a complete request waits for nothing
	st.in.keeps = r.unary
	st.server = st
	st.ctx.st = st
	return st
}

// Context gives the context of the call: it has the client's deadline and
// metadata, the peer, and the values of the context given to HandleStreams. It
// ends with the stream; context.Cause tells why.
func (st *ServerStream) Context() context.Context { return &st.ctx }

// Method gives the :path, "/package.Service/Method".
func (st *ServerStream) Method() string { return st.req.path }

// ContentSubtype gives what follows "application/grpc+" in the content-type.
func (st *ServerStream) ContentSubtype() string { return st.req.contentSubtype }

// Encoding gives the client's grpc-encoding.
func (st *ServerStream) Encoding() string { return st.req.encoding }

// AcceptEncoding gives the client's grpc-accept-encoding, as it sent it.
func (st *ServerStream) AcceptEncoding() string { return st.req.acceptEncoding }

// Metadata gives the client's metadata. It is shared: it must not be changed.
func (st *ServerStream) Metadata() metadata.MD { return st.req.md }

// Received tells when the client's request came: its headers were read then.
func (st *ServerStream) Received() time.Time { return st.s.record.begun.Add(st.received) }

// Peer tells who the client is.
func (st *ServerStream) Peer() *peer.Peer { return st.s.peer }

// Recv takes the client's next message and waits for it. After the last one
// the error is io.EOF. If the stream failed, it is a *StreamError.
func (st *ServerStream) Recv() (Message, error) {
	if st.stream == nil {
		return Message{}, errReturned
	}
	return st.recv()
}

// Request takes the one message of a call that ServerConfig.Unary names: it has
// come whole before the handler runs. The message is valid until it is
// freed, and no longer than the handler runs. The error is io.EOF if there is
// none, ErrManyMessages if there is more than one, or a *StreamError.
func (st *ServerStream) Request() (Message, error) {
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

// SetHeader adds metadata to the headers. It fails once they are sent.
func (st *ServerStream) SetHeader(md metadata.MD) error {
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

// SendHeader adds metadata to the headers and sends them.
func (st *ServerStream) SendHeader(md metadata.MD) error {
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

// SetTrailer adds metadata to what goes with the status.
func (st *ServerStream) SetTrailer(md metadata.MD) error {
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

// Header gives a copy of the metadata of the headers, as far as it is set.
func (st *ServerStream) Header() metadata.MD {
	st.s.mu.Lock()
	defer st.s.mu.Unlock()
	return st.header.Copy()
}

// Trailer gives a copy of the metadata that goes with the status, as far as it
// is set.
func (st *ServerStream) Trailer() metadata.MD {
	st.s.mu.Lock()
	defer st.s.mu.Unlock()
	return st.trailer.Copy()
}

// SetSendCompress makes name the grpc-encoding of the answer: what a Buffer
// that is Compressed is compressed with. It fails once the headers are sent.
func (st *ServerStream) SetSendCompress(name string) error {
	st.s.mu.Lock()
	defer st.s.mu.Unlock()
	if st.headerSent || st.statusSent {
		return errHeaderSent
	}
	st.compress.Store(&name)
	return nil
}

// SendCompress gives the grpc-encoding of the answer.
func (st *ServerStream) SendCompress() string {
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

// Send sends a message, after the headers if they are not sent yet. It waits
// while too much of this stream waits to be written already, and no longer
// than the stream lives. It consumes m in any case. The error is a
// *StreamError. A message sent is not a message received.
func (st *ServerStream) Send(m Buffer) error {
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
	if st.sendLocked(m.seal(), false) != nil {
		return st.err()
	}
	return nil
}

// err says how the stream ended. Who takes it out of the table tells why a
// moment later, and ends the context with that.
func (st *ServerStream) err() error {
	st.s.mu.Lock()
	over := st.statusSent && !st.expired
	st.s.mu.Unlock()
	if over {
		return localErrorf(CodeNoError, codes.Internal, "the stream has ended")
	}
	<-st.ctx.Done()
	return context.Cause(&st.ctx)
}

// WriteStatus ends the stream with a status; nil is OK. What was sent before
// goes first. Only the first call has an effect.
func (st *ServerStream) WriteStatus(end *status.Status) { st.finish(nil, end) }

// Reply ends a unary call with its one message and status OK: headers,
// message and trailers in one piece. It consumes m. The reply leaves when the
// handler returns, if not before.
func (st *ServerStream) Reply(m Buffer) {
	b := m.seal()
	if st.chained && st.reply == nil {
		st.reply = b // returned sends it, and locks once for both
		return
	}
	st.finish(b, nil)
}

func (st *ServerStream) finish(b *[]byte, end *status.Status) {
	s := st.s
	s.mu.Lock()
	if st.reply != nil || st.statusSent || st.out.left {
		s.mu.Unlock()
		if b != nil {
			buffer.Put(b)
		}
		return
	}
	if b != nil {
		st.replyLocked(b)
	} else {
		st.finishLocked(end)
	}
	if st.chained {
		s.mu.Unlock() // the chain flushes
		return
	}
	s.flush(flushInline)
}

func (st *ServerStream) replyLocked(b *[]byte) {
	if !st.headerSent {
		st.sendHeaderLocked()
	}
	st.out.trailers = &okTrailers
	st.statusSent = true
	st.enqueueLocked(b, true)
}

// finishLocked queues the status behind what is queued already.
func (st *ServerStream) finishLocked(end *status.Status) {
	st.statusSent = true
	st.out.trailers = &trailers{status: end}
	st.out.end = true
	st.s.pushLocked(st.stream)
}

// expire ends a stream whose deadline has passed: the handler hears of it and
// the client gets the status at once, whatever is queued. In the middle of a
// message a status would make no sense to it: then the stream is reset.
func (st *ServerStream) expire() {
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
func (st *ServerStream) fail(err *StreamError) {
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
func (st *ServerStream) returned() {
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
	over := left && st.unary && core.out.over && core.in.fault == nil && !core.out.inRound && !st.expired
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

// AcceptsEncoding reports whether the client accepts a grpc-encoding.
func (st *ServerStream) AcceptsEncoding(name string) bool {
	return slices.ContainsFunc(strings.Split(st.req.acceptEncoding, ","), func(s string) bool { return strings.TrimSpace(s) == name })
}

package inproc

import (
	"context"
	"strings"
	"time"

	"github.com/weir-rpc/weir/internal/serverstream"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// stream is a stream, with both its ends.
type stream struct {
	p *pipe

	client clientStream
	server serverStream

	// Immutable.
	ctx        context.Context // the client's
	method     string
	subtype    string
	encoding   string
	accept     string
	values     bool        // the client takes values
	unary      bool        // nobody receives before it has ended
	md         metadata.MD // as the server sees it; shared
	responseMD metadata.MD // of an answer without metadata; shared
	received   time.Time
	recvLimit  int                          // of the client
	handle     func(transport.ServerStream) // set when dispatched

	serverstream.Answer // whose lock is the stream's
	// Guarded by it.
	up, down   lane                   // client to server, and back
	over       bool                   // it has ended, and left the pipe's table or is about to
	fault      *transport.StreamError // how it ended for the client, if not by a status
	serverErr  *transport.StreamError // how it ended for the server, if not by a status
	broken     *transport.StreamError // what the client will find wrong with the headers
	dispatched bool                   // a handler runs, or has run
	done       bool                   // the handler has returned
	placeless  bool                   // its place is free

	headerIn    chan struct{}  // closed when headerKnown; nil if nobody waits for that
	headerKnown bool           // the header was sent or never will be
	headerMD    metadata.MD    // what the client sees of it; not changed once it is set
	trailerMD   metadata.MD    // what the client sees of it; not changed once it is set
	end         *status.Status // nil is OK
}

// dispatch runs the handler, on a goroutine of its own.
func (st *stream) dispatch(base context.Context, handle func(transport.ServerStream)) {
	deadline, _ := st.ctx.Deadline()
	st.server.ctx.Begin(base, &st.server, deadline, &st.p.sc)
	st.handle = handle
	st.Mu.Lock()
	st.dispatched = true
	err := st.serverErr
	st.Mu.Unlock()
	if err != nil {
		st.server.ctx.End(err)
		st.returned() // the client did not wait for a handler
		return
	}
	if !strings.HasPrefix(st.method, "/") {
		st.server.WriteStatus(status.Newf(codes.Unimplemented, "the client sent :path %q, gRPC needs /service/method", st.method))
		st.returned()
		return
	}
	if sc := &st.p.sc; sc.Workers != nil && sc.Unary != nil && sc.Unary(st.method) {
		sc.Workers.Go(st.run)
	} else {
		go st.run()
	}
}

// run is the handler's goroutine, whose end ends the stream, also if it is
// runtime.Goexit. Of a panic nobody shall hear before the process ends.
func (st *stream) run() {
	defer func() {
		if p := recover(); p != nil {
			panic(p)
		}
		st.returned()
	}()
	st.handle(&st.server)
}

// returned says that the handler has returned, or that none will run.
func (st *stream) returned() {
	st.Mu.Lock()
	var left leaving
	if !st.over {
		left.ended = true
		st.finishLocked(status.New(codes.Internal, "the handler ended without a status"))
	}
	st.done = true
	st.up.drop()
	st.up.end()
	left.place = st.freePlaceLocked()
	dispatched := st.dispatched
	st.Mu.Unlock()
	st.p.leave(st, left)
	if dispatched {
		st.server.ctx.End(serverstream.ErrReturned)
	}
}

// leaving says what a stream gives back to its pipe.
type leaving struct {
	ended bool // it leaves the table
	place bool // its place is free
}

// freePlaceLocked frees the stream's place when the handler has returned, or
// sent the status. A client that cancels does not free it: else it could have
// any number of handlers run.
func (st *stream) freePlaceLocked() bool {
	if st.placeless || !st.done && !st.StatusSent {
		return false
	}
	st.placeless = true
	return true
}

// finishLocked ends the stream with a status; nil is OK.
func (st *stream) finishLocked(end *status.Status) {
	st.over, st.StatusSent = true, true
	st.end, st.trailerMD = st.trailers(end)
	st.down.end()
	st.up.wake() // nothing more can be sent
	st.knowHeaderLocked()
}

// cancel ends the stream from the client's side, unless it has ended. What the
// server sent is dropped. It reports whether it did.
func (st *stream) cancel(err, forServer *transport.StreamError) bool {
	st.Mu.Lock()
	if st.over {
		st.Mu.Unlock()
		return false
	}
	st.down.drop()
	st.failLocked(err, forServer)
	st.Mu.Unlock()
	st.p.leave(st, leaving{ended: true})
	st.endContext(forServer)
	return true
}

// failLocked ends the stream for both ends. What the client has not received
// it still can; the server receives no more.
func (st *stream) failLocked(client, server *transport.StreamError) {
	st.over, st.fault, st.serverErr = true, client, server
	st.up.drop()
	st.up.end()
	st.down.end()
	st.knowHeaderLocked()
}

// lost ends the stream with its pipe.
func (st *stream) lost(client, server *transport.ConnError) {
	st.Mu.Lock()
	if st.over {
		st.Mu.Unlock()
		return
	}
	fault := &transport.StreamError{
		Code: client.Code, By: client.By, Unprocessed: !st.dispatched,
		Status: status.New(codes.Unavailable, client.Error()), Cause: client,
	}
	forServer := &transport.StreamError{
		Code: server.Code, By: server.By,
		Status: status.New(codes.Unavailable, server.Error()), Cause: server,
	}
	st.failLocked(fault, forServer)
	st.Mu.Unlock()
	st.endContext(forServer)
}

// endContext ends the handler's context, if there is one.
func (st *stream) endContext(err *transport.StreamError) {
	st.Mu.Lock()
	dispatched := st.dispatched
	st.Mu.Unlock()
	if dispatched { // else dispatch will
		st.server.ctx.End(err)
	}
}

// knowHeaderLocked wakes those who wait for the header.
func (st *stream) knowHeaderLocked() {
	if !st.headerKnown && st.headerIn != nil {
		close(st.headerIn)
	}
	st.headerKnown = true
}

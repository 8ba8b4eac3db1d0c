package weir

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// clientStream is the grpc.ClientStream of a call.
type clientStream struct {
	c      *Client
	info   callInfo
	comp   encoding.Compressor
	method string
	parent context.Context // the caller's

	at     atomic.Pointer[attempt] // on which the call is
	first  attempt
	replay replay

	// Guarded by replay.mu.
	life    *lifetime   // nil until somebody asks
	unwatch func() bool // of parent; nil if that never ends

	hedged *hedgedAttempt // that it is; nil if it is a call of its own

	next, prev *clientStream // guarded by Client.streams

	// Owned by who opens the stream, and then guarded by replay.order.
	retries retries

	sends    bool // immutable: as many messages as it likes,
	receives bool // as the server does
	got      bool // a message was received; owned by the receiver
	sentLast atomic.Bool
	done     sync.Once

	final error // owned by the receiver
}

// lifetime is a child of the caller's context that ends with the call.
type lifetime struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
}

// lifetime gives the context that ends with the call.
func (cs *clientStream) lifetime() context.Context {
	r := &cs.replay
	r.mu.Lock()
	defer r.mu.Unlock()
	if cs.life == nil {
		cs.life = new(lifetime)
		cs.life.ctx, cs.life.cancel = context.WithCancelCause(cs.parent)
		if r.cause != nil {
			cs.life.cancel(r.cause)
		}
	}
	return cs.life.ctx
}

const errSendAfterEnd = "SendMsg after CloseSend, or a second message where the method takes one"

var (
	errCallOver = errors.New("the call is over")
	errClosed   = status.Error(codes.Canceled, "the client is closed")
)

// Header gives the server's headers and waits for them. It gives nothing, and
// no error, if the call ended without: RecvMsg tells how.
func (cs *clientStream) Header() (metadata.MD, error) {
	for {
		a := cs.at.Load()
		md := a.st.Header()
		switch {
		case a.st.GotHeader():
			cs.replay.release()
			cs.info.committed()
			a.stats.inHeader(a.st.Header, a.st.Encoding())
			cs.info.logHeader(true, a.st.Header, a.tr.Peer())
			return md, nil
		case cs.goesOn(a):
			continue
		}
		cs.finish(cs.ending(a))
		return nil, nil
	}
}

// ending gives what a call has ended with that had no headers.
func (cs *clientStream) ending(a *attempt) error {
	if err := cs.replay.fault(); err != nil {
		return err
	}
	return a.st.Status().Err()
}

// Trailer gives the server's trailers, once RecvMsg has given an error.
func (cs *clientStream) Trailer() metadata.MD { return cs.at.Load().st.Trailer() }

// CloseSend tells the server that no more messages come. It never fails.
func (cs *clientStream) CloseSend() error {
	if !cs.sentLast.Swap(true) {
		cs.closeSend()
		cs.info.codec.log.HalfClose()
	}
	return nil
}

// Context gives the context of the call, which ends with it, and has its peer. The
// call stays on the attempt that the context belongs to.
func (cs *clientStream) Context() context.Context {
	cs.replay.release()
	a := cs.at.Load()
	ctx := cs.lifetime()
	if a.stats != nil {
		ctx = a.stats.ctx
	}
	return peer.NewContext(ctx, a.tr.Peer())
}

// SendMsg sends a message. See grpc.ClientStream.
func (cs *clientStream) SendMsg(v any) error {
	v, within := sendWithin(v)
	if cs.sentLast.Load() {
		err := status.Error(codes.Internal, errSendAfterEnd)
		cs.finish(err)
		return err
	}
	if err := cs.waitSend(within); err != nil {
		return err
	}
	m, size, err := cs.info.encode(v, cs.comp)
	if err != nil {
		cs.finish(err)
		return err
	}
	var note *sentNote
	if cs.c.stats != nil {
		note = &sentNote{v, size, m.Len(), false}
	}
	if err = cs.put(m, note); err == nil {
		cs.info.codec.log.Sent()
	}
	if !cs.sends {
		return nil // RecvMsg tells
	}
	return err
}

// put sends a message that is encoded.
func (cs *clientStream) put(m transport.Buffer, note *sentNote) error {
	last := !cs.sends
	if last {
		cs.sentLast.Store(true)
	}
	return cs.send(m, last, note)
}

// RecvMsg receives a message. See grpc.ClientStream.
func (cs *clientStream) RecvMsg(v any) error {
	if cs.final != nil {
		return cs.final
	}
	err := cs.recv(v)
	if err != nil {
		cs.final = err
		cs.finish(err)
		return err
	}
	if cs.got = true; cs.receives {
		return nil
	}
	// The one message is not the end: the status is.
	a := cs.at.Load()
	m, err := a.st.Recv()
	if err == nil {
		m.Free()
		err = status.Error(codes.Unimplemented, "cardinality violation: the server sent more than one message where one was expected")
	} else {
		err = a.status(err)
	}
	cs.finish(err)
	cs.final = io.EOF
	if err == io.EOF {
		return nil
	}
	cs.final = err
	return err
}

func (cs *clientStream) recv(v any) error {
	a := cs.at.Load()
	m, err := a.st.Recv()
	for err != nil && cs.goesOn(a) {
		a = cs.at.Load()
		m, err = a.st.Recv()
	}
	if err != nil {
		if fault := cs.replay.fault(); fault != nil {
			return fault
		}
		err = a.status(err)
		if err == io.EOF && !cs.receives && !cs.got {
			return status.Error(codes.Unimplemented, "cardinality violation: the server ended with status OK and without the message that was expected")
		}
		return err
	}
	cs.replay.release()
	cs.info.committed()
	if a.stats != nil {
		a.stats.inHeader(a.st.Header, a.st.Encoding())
	}
	if cs.info.codec.log != nil {
		cs.info.logHeader(a.st.GotHeader(), a.st.Header, a.tr.Peer())
	}
	in := received{codec: &cs.info.codec, limit: cs.info.maxRecv, option: cs.info.recvOption(), unknown: codes.Internal}
	if m.Compressed {
		in.encoding = a.st.Encoding()
		if err := cs.info.accepts(in.encoding); err != nil {
			m.Free()
			return err
		}
	}
	err = in.into(&m, v)
	m.Free()
	if err == nil {
		a.stats.inPayload(v, in.size, in.wire)
	}
	return err
}

// status turns the end of a stream into the error of RecvMsg.
func (a *attempt) status(err error) error {
	if err != io.EOF {
		return err
	}
	if s := a.st.Status(); s.Code() != codes.OK {
		return s.Err()
	}
	return io.EOF
}

// watch ends the call with the Client, and with its context: its caller may
// leave it so, without receiving anything more. If the service config has bounded
// that, expire frees it.
func (cs *clientStream) watch(expire context.CancelFunc) {
	cs.replay.mu.Lock()
	if cs.parent.Done() != nil {
		cs.unwatch = context.AfterFunc(cs.parent, cs.abandoned)
	}
	if stop := cs.unwatch; stop != nil && expire != nil { // else nothing has bounded it
		cs.unwatch = func() bool {
			defer expire()
			return stop()
		}
	}
	added := cs.c.streams.add(cs)
	cs.replay.mu.Unlock()
	if !added {
		go cs.orphaned()
	}
}

// abandoned is the end of the call's context.
func (cs *clientStream) abandoned() {
	cs.end(status.FromContextError(cs.parent.Err()).Err(), true)
}

// outcome is what RecvMsg tells of a call whose context has ended, or the Client,
// which err says: the stream knows more, or who makes another attempt at the moment.
func (cs *clientStream) outcome(a *attempt, err error) error {
	cs.replay.settle()
	if fault := cs.replay.fault(); fault != nil {
		return fault
	}
	s := a.st.Status()
	if s.Code() == codes.OK && !cs.receives {
		return err
	}
	return s.Err()
}

// orphaned is the end of the Client.
func (cs *clientStream) orphaned() {
	err := cs.at.Load().st.Status().Err()
	if err == nil || cs.replay.reopens() {
		err = errClosed
	}
	cs.end(err, true)
}

// tell tells those who want to know how the call has ended, but for OnFinish.
func (cs *clientStream) tell(a *attempt, err error) {
	cs.info.logHeader(a.st.GotHeader(), a.st.Header, a.tr.Peer())
	cs.info.logEnd(a.st.GotTrailer(), a.st.Trailer, a.tr.Peer(), err)
	cs.info.fill(a.st.Header, a.st.Trailer, a.tr.Peer())
}

// finish is the end of the call, for whatever reason.
func (cs *clientStream) finish(err error) { cs.end(err, false) }

// end is finish, and says whether the call ends with its context or the Client: its
// caller may not receive any more, and what he would receive is not known here. Who
// comes second waits for all but OnFinish, which may use the stream, and wait for who
// uses it.
func (cs *clientStream) end(err error, abandoned bool) {
	var (
		cause   error
		unwatch func() bool
		life    *lifetime
		leaves  bool // from here
	)
	cs.done.Do(func() {
		if err == io.EOF {
			err = nil
		}
		if cause = err; cause == nil {
			cause = errCallOver
		}
		var a *attempt
		a, unwatch, life = cs.ends(cause)
		if abandoned && life != nil {
			if cs.parent.Err() == nil {
				life.cancel(cause)
			}
			<-life.ctx.Done() // soon, if its parent has ended
		}
		a.st.Cancel(cause) // nothing, unless the end came from here
		if abandoned {
			err = cs.outcome(a, err)
		}
		if err == nil {
			cs.info.succeeded()
		}
		a.told(err)
		if cs.hedged != nil {
			cs.hedged.end(err)
		} else {
			cs.tell(a, err)
		}
		cs.c.streams.remove(cs)
		if leaves = cs.sends || cs.receives; !leaves {
			cs.leave(err) // of a unary call, which gives its user no stream
		}
	})
	if leaves {
		cs.leave(err)
	}
	if unwatch != nil {
		unwatch()
	}
	if life != nil {
		life.cancel(cause)
	}
}

// leave tells OnFinish.
func (cs *clientStream) leave(err error) {
	if cs.hedged != nil {
		cs.hedged.leave(err)
	} else {
		cs.info.finished(err)
	}
}

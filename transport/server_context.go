package transport

import (
	"context"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
)

// serverContext is the context of one RPC on the server: one object that
// answers the keys of peer and metadata itself and makes a Done channel, and a
// timer for the deadline, only when somebody asks for it. It is never pooled,
// for handlers keep contexts.
type serverContext struct {
	st *http2ServerStream // immutable

	cause atomic.Pointer[StreamError]     // why it ended; set before std is looked for
	std   atomic.Pointer[standardContext] // from the first Done on; set before cause is looked for
}

// standardContext is a context of the standard library that ends with a
// serverContext.
type standardContext struct {
	context.Context
	finish context.CancelCauseFunc
	stop   func() // its deadline's timer
}

// Deadline gives the client's deadline.
func (c *serverContext) Deadline() (time.Time, bool) {
	return c.st.deadline, !c.st.deadline.IsZero()
}

// Done gives a channel that is closed when the stream ends.
func (c *serverContext) Done() <-chan struct{} { return c.standard().Done() }

// Err tells how the context ended.
func (c *serverContext) Err() error {
	if std := c.std.Load(); std != nil {
		return std.Err()
	}
	if cause := c.cause.Load(); cause != nil {
		return errOf(cause)
	}
	return nil
}

// ended reports whether the stream has ended.
func (c *serverContext) ended() bool { return c.cause.Load() != nil }

func errOf(cause *StreamError) error {
	if cause.Cause == context.DeadlineExceeded { // not what a net.Conn may wrap
		return context.DeadlineExceeded
	}
	return context.Canceled
}

// Value answers what this object is itself, then what the owner of the
// transport knows, then the values of the context of HandleStreams.
func (c *serverContext) Value(key any) any {
	switch key {
	case keys.peer:
		return c.st.s.peer
	case keys.incoming:
		return c.st.req.md
	case keys.cancel:
		return c.standard().Value(key)
	}
	if f := c.st.s.cfg.ContextValue; f != nil {
		if v := f(c.st, key); v != nil {
			return v
		}
	}
	return c.st.s.base.Value(key)
}

// standard gives a context of the standard library that ends with this one:
// it has the Done channel, and children of this context hang on it without a
// goroutine each.
func (c *serverContext) standard() context.Context {
	if std := c.std.Load(); std != nil {
		return std.Context
	}
	base, stop := context.Background(), func() {}
	if d := c.st.deadline; !d.IsZero() {
		base, stop = context.WithDeadlineCause(base, d, errExpired)
	}
	std := &standardContext{stop: stop}
	std.Context, std.finish = context.WithCancelCause(base)
	if !c.std.CompareAndSwap(nil, std) {
		std.finish(nil)
		std.stop()
		return c.std.Load().Context
	}
	if cause := c.cause.Load(); cause != nil {
		std.end(cause)
	}
	return std.Context
}

var errExpired = &StreamError{Code: CodeCancel, By: ByLocal, Status: deadlineStatus, Cause: context.DeadlineExceeded}

// cancel ends the context. The first call decides.
func (c *serverContext) cancel(cause *StreamError) {
	if !c.cause.CompareAndSwap(nil, cause) {
		return
	}
	if std := c.std.Load(); std != nil {
		std.end(cause)
	}
}

// end ends the standard context the way its serverContext ended. It may be
// called twice, with the same cause.
func (std *standardContext) end(cause *StreamError) {
	if errOf(cause) == context.DeadlineExceeded {
		<-std.Done() // its own timer fires now, and says DeadlineExceeded
	}
	std.finish(cause)
	std.stop()
}

// keys are the context keys of packages that do not export them, learned from
// their getters by a context that listens.
var keys = func() (k struct{ peer, incoming, cancel any }) {
	var spy spyContext
	peer.FromContext(&spy)
	k.peer = spy.key
	metadata.FromIncomingContext(&spy)
	k.incoming = spy.key
	ended := spyContext{err: context.Canceled} // else Cause does not ask
	_ = context.Cause(&ended)
	k.cancel = ended.key
	return k
}()

// spyContext remembers the last key that it was asked for.
type spyContext struct {
	key any
	err error
}

func (*spyContext) Deadline() (time.Time, bool) { return time.Time{}, false }
func (*spyContext) Done() <-chan struct{}       { return nil }
func (s *spyContext) Err() error                { return s.err }
func (s *spyContext) Value(key any) any         { s.key = key; return nil }

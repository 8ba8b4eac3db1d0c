package transport

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
)

// serverContext is the context of one RPC on the server: one object that
// answers the keys of peer and metadata itself and makes a Done channel, and a
// timer for the deadline, only when somebody asks for it. It is never pooled,
// for handlers keep contexts.
type serverContext struct {
	st *ServerStream // immutable
	md metadata.MD   // immutable

	mu sync.Mutex
	// Guarded by mu.
	std    context.Context         // made by the first Done; from then on it has the state
	finish context.CancelCauseFunc // of std
	stop   func()                  // its deadline's timer
	cause  *StreamError
}

func (c *serverContext) init(st *ServerStream, md metadata.MD) { c.st, c.md = st, md }

// Deadline gives the client's deadline.
func (c *serverContext) Deadline() (time.Time, bool) {
	return c.st.deadline, !c.st.deadline.IsZero()
}

// Done gives a channel that is closed when the stream ends.
func (c *serverContext) Done() <-chan struct{} { return c.standard().Done() }

// Err tells how the context ended.
func (c *serverContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.std != nil:
		return c.std.Err()
	case c.cause == nil:
		return nil
	}
	return errOf(c.cause)
}

// ended reports whether the stream has ended.
func (c *serverContext) ended() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause != nil
}

func errOf(cause *StreamError) error {
	if errors.Is(cause, context.DeadlineExceeded) {
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
		return c.md
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
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.std != nil {
		return c.std
	}
	base := context.Background()
	stop := func() {}
	if d := c.st.deadline; !d.IsZero() {
		ctx, cancel := context.WithDeadlineCause(base, d, errExpired)
		base, stop = ctx, cancel
	}
	c.std, c.finish = context.WithCancelCause(base)
	c.stop = stop
	if c.cause != nil {
		c.finishLocked()
	}
	return c.std
}

var errExpired = &StreamError{Code: CodeCancel, By: ByLocal, Status: deadlineStatus, Cause: context.DeadlineExceeded}

// cancel ends the context. The first call decides.
func (c *serverContext) cancel(cause *StreamError) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause != nil {
		return
	}
	c.cause = cause
	if c.std != nil {
		c.finishLocked()
	}
}

// finishLocked ends the standard context the way this one ended.
func (c *serverContext) finishLocked() {
	if errOf(c.cause) == context.DeadlineExceeded && c.std.Err() == nil {
		<-c.std.Done() // its own timer fires now, and says DeadlineExceeded
	}
	c.finish(c.cause)
	c.stop()
}

// keys are the context keys of packages that do not export them, learned from
// their getters by a context that listens.
var keys = func() (k struct{ peer, incoming, cancel any }) {
	var spy spyContext
	peer.FromContext(&spy)
	k.peer = spy.key
	metadata.FromIncomingContext(&spy)
	k.incoming = spy.key
	context.Cause(&spy)
	k.cancel = spy.key
	return k
}()

// spyContext remembers the last key that it was asked for.
type spyContext struct{ key any }

func (*spyContext) Deadline() (time.Time, bool) { return time.Time{}, false }
func (*spyContext) Done() <-chan struct{}       { return nil }
func (*spyContext) Err() error                  { return nil }
func (s *spyContext) Value(key any) any         { s.key = key; return nil }

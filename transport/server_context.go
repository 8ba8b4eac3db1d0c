package transport

import (
	"context"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
)

// serverContext is the context of one RPC on the server: one object that
// answers the keys of peer and metadata itself. It is never pooled, for
// handlers keep contexts.
type serverContext struct {
	st *http2ServerStream // immutable
	contextEnd
}

// Deadline gives the client's deadline.
func (c *serverContext) Deadline() (time.Time, bool) {
	return c.st.deadline, !c.st.deadline.IsZero()
}

// Done gives a channel that is closed when the stream ends.
func (c *serverContext) Done() <-chan struct{} { return c.standard(c.st.deadline).Done() }

// Value answers what this object is itself, then what the owner of the
// transport knows, then the values of the context of HandleStreams.
func (c *serverContext) Value(key any) any {
	switch key {
	case keys.peer:
		return c.st.s.peer
	case keys.incoming:
		return c.st.req.md
	case keys.cancel:
		return c.standard(c.st.deadline).Value(key)
	}
	if f := c.st.s.cfg.ContextValue; f != nil {
		if v := f(c.st, key); v != nil {
			return v
		}
	}
	return c.st.s.base.Value(key)
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

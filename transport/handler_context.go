package transport

import (
	"context"
	"time"
)

// A ServerContext is the context of a stream's handler, for the
// ServerTransports of other packages: it does what ServerStream.Context says.
// Begin makes it usable; it can be part of the stream, as long as that does not
// serve again, for handlers keep contexts.
type ServerContext struct {
	// Immutable after Begin.
	base     context.Context
	st       ServerStream
	deadline time.Time
	value    func(st ServerStream, key any) any // may be nil

	contextEnd
}

// Begin sets the values of the context: those of the stream (peer, metadata, and
// cfg.ContextValue), then those of base, whose end does not reach it. The
// deadline may be the zero time, which is none; when it passes the context ends
// by itself.
func (c *ServerContext) Begin(base context.Context, st ServerStream, deadline time.Time, cfg *ServerConfig) {
	c.base, c.st, c.deadline, c.value = base, st, deadline, cfg.ContextValue
}

// End ends the context, unless it has ended; the cause is what context.Cause
// gives then. If the cause of that is context.DeadlineExceeded, and nothing
// else, then so is Err, and the deadline has to be there. It has to be called
// when the stream has ended.
func (c *ServerContext) End(cause *StreamError) { c.cancel(cause) }

// Deadline gives the client's deadline.
func (c *ServerContext) Deadline() (time.Time, bool) { return c.deadline, !c.deadline.IsZero() }

// Done gives a channel that is closed when the stream ends, or when the
// deadline passes.
func (c *ServerContext) Done() <-chan struct{} { return c.standard(c.deadline).Done() }

// Value gives the peer and the metadata of the call, then what
// ServerConfig.ContextValue knows, then the values of the context that Begin
// was given.
func (c *ServerContext) Value(key any) any {
	switch key {
	case keys.peer:
		return c.st.Peer()
	case keys.incoming:
		return c.st.Metadata()
	case keys.cancel:
		return c.standard(c.deadline).Value(key)
	}
	if c.value != nil {
		if v := c.value(c.st, key); v != nil {
			return v
		}
	}
	return c.base.Value(key)
}

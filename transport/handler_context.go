package transport

import (
	"context"
	"time"
)

// NewServerContext gives the context of a stream's handler, for the
// ServerTransports of other packages: what ServerStream.Context says. Its
// values are those of the stream (peer, metadata, and cfg.ContextValue), then
// those of base, whose end does not reach it. The deadline may be the zero
// time, which is none; when it passes the context ends with a *StreamError as
// its cause. So should the cause be that it is cancelled with, which has to
// happen when the stream has ended.
func NewServerContext(base context.Context, st ServerStream, deadline time.Time, cfg *ServerConfig) (context.Context, context.CancelCauseFunc) {
	std, stop := context.WithoutCancel(base), func() {}
	if !deadline.IsZero() {
		std, stop = context.WithDeadlineCause(std, deadline, errExpired)
	}
	std, cancel := context.WithCancelCause(std)
	return &handlerContext{std, st, cfg.ContextValue}, func(cause error) {
		cancel(cause)
		stop()
	}
}

// handlerContext adds what a stream knows to a context of the standard library.
type handlerContext struct {
	context.Context
	st    ServerStream
	value func(st ServerStream, key any) any // may be nil
}

// Value answers as serverContext.Value does.
func (c *handlerContext) Value(key any) any {
	switch key {
	case keys.peer:
		return c.st.Peer()
	case keys.incoming:
		return c.st.Metadata()
	case keys.cancel:
		return c.Context.Value(key)
	}
	if c.value != nil {
		if v := c.value(c.st, key); v != nil {
			return v
		}
	}
	return c.Context.Value(key)
}

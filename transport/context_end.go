package transport

import (
	"context"
	"sync/atomic"
	"time"
)

// contextEnd is how a context ends. It makes a Done channel, and a timer for
// the deadline, only when somebody asks for it. The zero value has not ended.
type contextEnd struct {
	cause atomic.Pointer[StreamError]     // why it ended; set before std is looked for
	std   atomic.Pointer[standardContext] // from the first Done on; set before cause is looked for
}

// standardContext is a context of the standard library that ends with a
// contextEnd.
type standardContext struct {
	context.Context
	finish context.CancelCauseFunc
	stop   func() // its deadline's timer
}

// Err tells how the context ended.
func (e *contextEnd) Err() error {
	if std := e.std.Load(); std != nil {
		return std.Err()
	}
	if cause := e.cause.Load(); cause != nil {
		return errOf(cause)
	}
	return nil
}

// late reports whether somebody could hear, at Done, that the deadline passed.
func (e *contextEnd) late() bool {
	std := e.std.Load()
	return std != nil && std.Err() == context.DeadlineExceeded
}

// ended reports whether the stream has ended.
func (e *contextEnd) ended() bool { return e.cause.Load() != nil }

func errOf(cause *StreamError) error {
	if cause.Cause == context.DeadlineExceeded { // not what a net.Conn may wrap
		return context.DeadlineExceeded
	}
	return context.Canceled
}

// standard gives a context of the standard library that ends with this one, or
// at the deadline, which is always the same: it has the Done channel, and
// children of the context hang on it without a goroutine each.
func (e *contextEnd) standard(deadline time.Time) context.Context {
	if std := e.std.Load(); std != nil {
		return std.Context
	}
	base, stop := context.Background(), func() {}
	if !deadline.IsZero() {
		base, stop = context.WithDeadlineCause(base, deadline, errExpired)
	}
	std := &standardContext{stop: stop}
	std.Context, std.finish = context.WithCancelCause(base)
	if !e.std.CompareAndSwap(nil, std) {
		std.finish(nil)
		std.stop()
		return e.std.Load().Context
	}
	if cause := e.cause.Load(); cause != nil {
		std.end(cause)
	}
	return std.Context
}

var errExpired = &StreamError{Code: CodeCancel, By: ByLocal, Status: deadlineStatus, Cause: context.DeadlineExceeded}

// cancel ends the context. The first call decides.
func (e *contextEnd) cancel(cause *StreamError) {
	if !e.cause.CompareAndSwap(nil, cause) {
		return
	}
	if std := e.std.Load(); std != nil {
		std.end(cause)
	}
}

// end ends the standard context the way its contextEnd ended. It may be
// called twice, with the same cause.
func (std *standardContext) end(cause *StreamError) {
	if errOf(cause) == context.DeadlineExceeded {
		<-std.Done() // its own timer fires now, and says DeadlineExceeded
	}
	std.finish(cause)
	std.stop()
}

package inproc

import (
	"context"

	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// contextError is how the call ends whose context, ctx, has ended. Of a deadline
// it says what the call waited for. Over HTTP/2 transport does.
func (st *stream) contextError(ctx context.Context) *transport.StreamError {
	e := transport.ContextError(ctx)
	if e.Status.Code() != codes.DeadlineExceeded {
		return e
	}
	st.Mu.Lock()
	what := st.awaitedLocked()
	st.Mu.Unlock()
	if what != "" {
		e.Status = status.New(codes.DeadlineExceeded, e.Status.Message()+": "+what)
	}
	return e
}

// awaitedLocked says for what the call waits, and who keeps it from ending;
// nothing if it has ended and all of it is received.
func (st *stream) awaitedLocked() string {
	const server = "the server in this process "
	switch {
	case !st.over && !st.dispatched:
		return server + "has not begun to serve"
	case !st.over && st.up.full() && !st.down.full(): // else the server may wait for us
		return "messages wait for room: " + server + "does not read this stream"
	case !st.unary && st.down.count() > 0:
		return "messages of " + server + "wait to be received here"
	case st.over:
		return ""
	case st.HeaderSent:
		return server + "has begun to answer and has not ended the call"
	}
	return server + "has not answered"
}

package weir

import (
	"context"
	"time"

	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
)

// intakeConfig is what decides about connections and calls before a handler
// has them.
type intakeConfig struct {
	codec           *codec // of all calls; nil means that of the content-subtype
	tap             tap.ServerInHandle
	waitForHandlers bool
	connState       func(*ServerConn, ConnState)
	maxConns        int
	maxConnsPerIP   int
	maxQueueAge     time.Duration
}

// WaitForHandlers makes Stop, and Shutdown when its context has ended, wait for
// the handlers that still run. By default they wait for the connections alone,
// as in grpc-go. It matters to handlers that use what the program closes after
// Stop. Their contexts have ended by then; a handler that does not heed that
// holds Stop up.
func WaitForHandlers(wait bool) ServerOption {
	return serverOption(func(c *serverConfig) { c.intake.waitForHandlers = wait })
}

// InTapHandle sets a function that sees each call before anything is done for
// it: before stats handlers, codecs and interceptors. The context that it gives
// is the call's from there on, and must derive from the one that it got. An
// error ends the call with its status. An error without a status ends it with
// PERMISSION_DENIED, but for the error of a context that has ended, which ends
// it with DEADLINE_EXCEEDED or CANCELLED. No stats handler hears of such a
// call.
//
// It runs where the handler would run: on the goroutine of a stream, or on one
// of those for unary calls, whose request has then come whole. So it may wait,
// where grpc-go's would hold up the whole connection, and several goroutines
// call it at a time.
func InTapHandle(h tap.ServerInHandle) ServerOption {
	return serverOption(func(c *serverConfig) { c.intake.tap = h })
}

// tapped asks the tap for a call. It gives the context of the call, or the
// status that ends it.
func (s *Server) tapped(ctx context.Context, st transport.ServerStream) (context.Context, *status.Status) {
	ctx, err := s.cfg.intake.tap(ctx, &tap.Info{FullMethodName: st.Method(), Header: st.Metadata().Copy()})
	if err == nil {
		return ctx, nil
	}
	refused := handlerStatus(err)
	if _, ok := status.FromError(err); !ok && refused.Code() == codes.Unknown {
		refused = status.New(codes.PermissionDenied, err.Error())
	}
	return nil, refused
}

// MaxQueueAge refuses unary calls that could not begin in time: those whose
// complete request has waited for longer than d before its handler and
// interceptors get it. Their answer most likely is of no use any more. They end
// with RESOURCE_EXHAUSTED, and no handler sees them. So a server that has more
// to do than it can spends its time on the calls that it can still answer. The
// time that an InTapHandle takes counts. Streams have no queue. Zero, the
// default, and negative values mean no bound. grpc-go has no such option.
func MaxQueueAge(d time.Duration) ServerOption {
	return serverOption(func(c *serverConfig) { c.intake.maxQueueAge = d })
}

// late gives the status of a unary call that has waited for too long, or nil.
func (c *intakeConfig) late(st transport.ServerStream) *status.Status {
	if c.maxQueueAge <= 0 {
		return nil
	}
	q, ok := st.(interface{ Queued() time.Duration })
	if !ok {
		return nil // a transport without a queue
	}
	if d := q.Queued(); d > c.maxQueueAge {
		return status.Newf(codes.ResourceExhausted, "the server is overloaded: the request waited for %v, %v is the most (option MaxQueueAge of the server), and no handler saw it", d.Round(time.Millisecond), c.maxQueueAge)
	}
	return nil
}

package weir

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// watchMethod is a stream that its client leaves open for as long as it can: if
// GracefulStop waited for it, it would wait for ever.
//
// https://github.com/grpc/grpc/blob/master/doc/health-checking.md
const watchMethod = "/grpc.health.v1.Health/Watch"

var errStops = errors.New("the server stops")

// watchGrace is how long a watch may still say that the server does not serve
// any more, which its health service has just been told.
const watchGrace = 250 * time.Millisecond

// untilStop ends the context of a stream when the server begins to stop, or
// shortly after. Who calls it calls done when the handler has returned.
func (s *Server) untilStop(ss *serverStream) (done func()) {
	ctx, cancel := context.WithCancelCause(ss.ctx)
	ss.ctx = ctx
	go func() {
		select {
		case <-s.quit:
		case <-ctx.Done():
			return
		}
		grace := time.NewTimer(watchGrace)
		defer grace.Stop()
		select {
		case <-grace.C:
			cancel(errStops)
		case <-ctx.Done():
		}
	}()
	return func() { cancel(nil) }
}

// stopped is the status of a stream that untilStop has ended, or end.
func (ss *serverStream) stopped(end *status.Status) *status.Status {
	if context.Cause(ss.ctx) == errStops {
		return status.New(codes.Unavailable, errStops.Error())
	}
	return end
}

package weir

import (
	"context"

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
}

// WaitForHandlers makes Stop wait for the handlers that still run, and Shutdown
// when its context has ended: without it they wait for the connections alone,
// as grpc-go does. It matters to handlers that use what the program closes
// after Stop. Their contexts have ended; one that does not heed that holds Stop
// up.
func WaitForHandlers(wait bool) ServerOption {
	return serverOption(func(c *serverConfig) { c.intake.waitForHandlers = wait })
}

// InTapHandle sets a function that sees each call before anything is done for
// it: before stats handlers, codecs and interceptors. The context that it gives
// is the call's from there on; it must derive from the one that it got. An error
// ends the call with its status, PERMISSION_DENIED if it has none and is not
// that of the context, and no stats handler hears of the call.
//
// It runs where the handler would: on a goroutine of a stream's own, or of the
// connection's unary calls, of which each comes when its request is complete. So
// it may wait, where grpc-go's holds the whole connection up, and it is called by
// several goroutines at a time.
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

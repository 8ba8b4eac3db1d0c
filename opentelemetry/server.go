package opentelemetry

import (
	"context"
	"strings"
	"time"

	"github.com/weir-rpc/weir"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"google.golang.org/grpc"
	"google.golang.org/grpc/stats"
)

// ServerOptions gives the options with which a Server measures its calls:
//
//	grpc.server.call.started
//	grpc.server.call.duration
//	grpc.server.call.sent_total_compressed_message_size
//	grpc.server.call.rcvd_total_compressed_message_size
//
// with the attributes grpc.method and, except started, grpc.status. Put them
// before other interceptors of streams: a stream that an interceptor before
// them refuses gets the method "other", because it is not known then whether
// the method is registered.
func ServerOptions(o Options) []weir.ServerOption {
	s := &server{calls: newInstruments(o.meter(), "grpc.server.call", "call"), filter: o.MethodFilter}
	return []weir.ServerOption{weir.StatsHandler(s), weir.ChainStreamInterceptor(s.stream)}
}

// server is the stats handler of a server.
type server struct {
	calls  instruments
	filter func(string) bool // nil for all
}

// served is a call of a server.
type served struct {
	span

	path    string
	name    string // its method's, once it is known
	started bool
}

// servedKey is of one server: there may be several in the options of a Server.
type servedKey struct{ of *server }

// TagRPC implements stats.Handler.
func (s *server) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	return context.WithValue(ctx, servedKey{s}, &served{span: span{begun: time.Now()}, path: info.FullMethodName, name: other})
}

// HandleRPC implements stats.Handler.
func (s *server) HandleRPC(ctx context.Context, event stats.RPCStats) {
	c, ok := ctx.Value(servedKey{s}).(*served)
	if !ok {
		return
	}
	switch event := event.(type) {
	case *stats.Begin:
		// What streams both ways may be a path that a client has made up, for an
		// UnknownServiceHandler: the interceptor knows.
		if !event.IsClientStream || !event.IsServerStream {
			s.start(ctx, c, true)
		}
	case *stats.OutPayload:
		c.sent.Add(int64(event.CompressedLength))
	case *stats.InPayload:
		c.received.Add(int64(event.CompressedLength))
	case *stats.OutTrailer:
		s.start(ctx, c, false) // nothing is there for the method
	case *stats.End:
		s.start(ctx, c, false)
		s.calls.end(ctx, &c.span, event.Error, methodOf(c.name))
	}
}

// start counts a call, once: what knows more of it comes first.
func (s *server) start(ctx context.Context, c *served, registered bool) {
	if c.started {
		return
	}
	c.started = true
	if registered && (s.filter == nil || s.filter(c.path)) {
		c.name = strings.TrimPrefix(c.path, "/")
	}
	s.calls.started.Add(ctx, 1, metric.WithAttributeSet(attribute.NewSet(methodOf(c.name))))
}

// stream is told of streams whose handler runs. An UnknownServiceHandler has no
// implementation.
func (s *server) stream(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	if c, ok := ss.Context().Value(servedKey{s}).(*served); ok {
		s.start(ss.Context(), c, srv != nil)
	}
	return handle(srv, ss)
}

// TagConn implements stats.Handler.
func (*server) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (*server) HandleConn(context.Context, stats.ConnStats) {}

package weir

import (
	"context"
	"log/slog"
	"runtime/debug"
	"runtime/pprof"

	"github.com/weir-rpc/weir/internal/channel"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/connectivity"
)

// WithLogger has the Client tell l what becomes of its connections: that one
// begins or ends in order on the level debug, changes of state as information,
// what is wrong, with its reason, as warnings. Nothing is logged for a call.
// Without it, and with nil, nothing is logged at all; the environment variables
// of grpc-go's logger have no effect on weir.
func WithLogger(l *slog.Logger) DialOption {
	return dialOption(func(c *clientConfig) { c.telemetry.logger = l })
}

// Logger has the Server tell l what becomes of it and of its connections: that
// one begins or ends in order on the level debug, that it serves, drains and
// stops as information, connections that are refused or broken, with the reason,
// as warnings, of refusals one a second, and panics of handlers as errors, with
// their stack, before they end the program. Nothing is logged for a call that
// goes well or fails. Without it, and with nil, nothing is logged at all.
func Logger(l *slog.Logger) ServerOption {
	return serverOption(func(c *serverConfig) {
		c.telemetry.logger = l
		c.telemetry.calls = l != nil || c.telemetry.labels
	})
}

// GoroutineLabels gives the goroutine of a handler, while it runs, the profiler's
// label "grpc.method" with the full method, so that profiles of CPU time and
// goroutines can be told by method. Goroutines that a handler starts inherit it;
// its context has it too, for pprof.Label. What labels a handler sets of its own
// end with it. grpc-go has GRPC_GO_SERVER_GOROUTINE_LABELS for it.
func GoroutineLabels(on bool) ServerOption {
	return serverOption(func(c *serverConfig) {
		c.telemetry.labels = on
		c.telemetry.calls = on || c.telemetry.logger != nil
	})
}

// say logs what is no connection's.
func (c *telemetryConfig) say(level slog.Level, text string, attrs ...slog.Attr) {
	if c.logger != nil {
		c.logger.LogAttrs(context.Background(), level, text, attrs...)
	}
}

// conns gives what logs connections; target is that of a Client.
func (c *telemetryConfig) conns(target string) *channel.ConnLog {
	if c.logger != nil && target != "" {
		return channel.NewConnLog(c.logger.With("target", target))
	}
	return channel.NewConnLog(c.logger)
}

// observer gives what is told of the changes of a Client's state: the user's,
// which may be nil, and the log.
func (c *telemetryConfig) observer(target string, of func(from, to connectivity.State, err error)) func(from, to connectivity.State, err error) {
	if c.logger == nil {
		return of
	}
	l := c.logger.With("target", target)
	return func(from, to connectivity.State, err error) {
		level, attrs := slog.LevelInfo, []slog.Attr{slog.String("from", from.String()), slog.String("to", to.String())}
		if err != nil {
			attrs = append(attrs, slog.Any("error", err))
		}
		if to == connectivity.TransientFailure {
			level = slog.LevelWarn
		}
		l.LogAttrs(context.Background(), level, "channel state changes", attrs...)
		if of != nil {
			of(from, to, err)
		}
	}
}

// around begins what there is around a handler, and gives what ends it, which
// the goroutine of the handler has to defer.
func (c *telemetryConfig) around(ctx context.Context, st transport.ServerStream) (context.Context, func()) {
	if c.labels {
		ctx = pprof.WithLabels(ctx, pprof.Labels("grpc.method", st.Method()))
		pprof.SetGoroutineLabels(ctx)
	}
	return ctx, func() {
		if c.logger != nil {
			if p := recover(); p != nil {
				c.say(slog.LevelError, "handler panics", slog.String("method", st.Method()), slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
				panic(p)
			}
		}
		if c.labels {
			pprof.SetGoroutineLabels(context.Background())
		}
	}
}

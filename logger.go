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

// WithLogger makes the Client log its connections to l: one that begins or ends
// in order at the level debug, changes of state at info, and what is wrong,
// with its reason, at warn. Calls are not logged. Without the option, and with
// nil, nothing is logged; the environment variables of grpc-go's logger have no
// effect on weir.
func WithLogger(l *slog.Logger) DialOption {
	return dialOption(func(c *clientConfig) { c.telemetry.logger = l })
}

// Logger makes the Server log to l: connections that begin or end in order at
// the level debug; that it serves, drains and stops at info; connections that
// are refused or broken, with the reason, at warn, one refusal a second at
// most; and panics of handlers, with their stack, at error, before they end the
// program. Calls are not logged. Without the option, and with nil, nothing is
// logged.
func Logger(l *slog.Logger) ServerOption {
	return serverOption(func(c *serverConfig) {
		c.telemetry.logger = l
		c.telemetry.calls = l != nil || c.telemetry.labels
	})
}

// GoroutineLabels gives the goroutine of a handler, while it runs, the
// profiler's label "grpc.method" with the full method, so that profiles can be
// read by method. It is off by default. Goroutines that a handler starts
// inherit the label, and its context has it too, for pprof.Label. Labels that a
// handler sets itself end with it. In grpc-go this is
// GRPC_GO_SERVER_GOROUTINE_LABELS.
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

package weir

import (
	"log/slog"

	"github.com/weir-rpc/weir/binarylog"
	"github.com/weir-rpc/weir/internal/binlog"
)

// telemetryConfig is what a Client or a Server tells besides stats handlers.
type telemetryConfig struct {
	logFilter string
	logSink   binarylog.Sink

	logger *slog.Logger // nil logs nothing
	labels bool         // of the goroutines of handlers
	calls  bool         // one of the two is about calls of a server
}

// WithBinaryLog logs the calls that filter names to sink, as gRPC's proposal
// A16 has it: headers, messages, half-closes, trailers and cancellations, each
// as an entry of grpc.binarylog.v1. Nothing is logged without it. Call ids are
// unique in the process, so that Clients and Servers may share a sink, which
// stays the caller's to close. The filter has the syntax of
// GRPC_BINARY_LOG_FILTER, a variable of grpc-go's that has no effect on weir:
// rules with commas between them, of which the most specific one counts for a
// method.
//
//	package.Service/Method   one method
//	package.Service/*        all of a service
//	*                        all
//	-package.Service/Method  not this one, though another rule names it
//
// All but the last kind may be followed by limits, in octets: {h:256} logs that
// much of the metadata of each header, with keys, and nothing of messages;
// {m:1024} that much of each message and no metadata; {h:256;m:1024} both. {h}
// and {m} have no limit. Nothing is logged if the filter is empty or the sink
// is nil, else NewClient fails if the filter is wrong. Given twice, the last
// option counts.
//
// Metadata is logged as it is sent, in the order of its keys, without the
// credentials of calls and without what is gRPC's own: authorization,
// user-agent, lb-token and what begins with grpc-. An attempt that is repeated
// is not logged again. A call that never gets to a server is not logged at all,
// as in grpc-go.
func WithBinaryLog(filter string, sink binarylog.Sink) DialOption {
	return dialOption(func(c *clientConfig) { c.telemetry.logFilter, c.telemetry.logSink = filter, sink })
}

// BinaryLog logs the calls of registered methods that filter names to sink. See
// WithBinaryLog, but if the filter is wrong it is Serve or ServeTransport that
// fails. As in grpc-go, the end of the client's messages is logged when a
// streaming handler comes to it, and the trailer when the handler has returned,
// whether the client gets it or not.
func BinaryLog(filter string, sink binarylog.Sink) ServerOption {
	return serverOption(func(c *serverConfig) { c.telemetry.logFilter, c.telemetry.logSink = filter, sink })
}

// log gives the binary log, or nil.
func (c *telemetryConfig) log(option string, client bool) (*binlog.Log, error) {
	l, err := binlog.New(c.logFilter, c.logSink, client)
	if err != nil {
		return nil, optionError{option, err}
	}
	return l, nil
}

// optionError is what an option is wrong with.
type optionError struct {
	option string
	err    error
}

func (e optionError) Error() string { return "weir: " + e.option + ": " + e.err.Error() }
func (e optionError) Unwrap() error { return e.err }

package opentelemetry

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/weir-rpc/weir"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"google.golang.org/grpc"
	estats "google.golang.org/grpc/experimental/stats"
	"google.golang.org/grpc/stats"
)

// ClientOptions gives the options with which a Client measures its calls:
//
//	grpc.client.attempt.started
//	grpc.client.attempt.duration
//	grpc.client.attempt.sent_total_compressed_message_size
//	grpc.client.attempt.rcvd_total_compressed_message_size
//	grpc.client.call.duration
//
// with the attributes grpc.method, grpc.target and, except started,
// grpc.status; and the metrics that Options.Metrics names. The options have
// interceptors: interceptors that stand before them in NewClient's options are
// outside, and their time is not part of a call's.
func ClientOptions(o Options) []weir.DialOption {
	m := o.meter()
	c := &client{
		attempts: newInstruments(m, "grpc.client.attempt", "attempt"), duration: newDuration(m, "grpc.client.call"),
		custom: slices.Contains(o.OptionalLabels, customLabel),
	}
	var h stats.Handler = attempts{c}
	if r := newRegistry(o); r != nil {
		h = recording{attempts{c}, r}
	}
	return []weir.DialOption{
		weir.WithStatsHandler(h),
		weir.WithChainUnaryInterceptor(c.unary),
		weir.WithChainStreamInterceptor(c.stream),
	}
}

type client struct {
	attempts instruments
	duration metric.Float64Histogram
	custom   bool // calls have their customLabel
}

// customLabel is what a caller says of a call (gRFC A108), by
// estats.NewContextWithCustomLabel.
const customLabel = "grpc.client.call.custom"

// call has the attributes that a call shares with its attempts. Immutable.
type call struct{ attributes []attribute.KeyValue }

// The keys are of one client each: there may be several in the options of a Client.
type (
	callKey    struct{ of *client }
	attemptKey struct{ of *client }
)

func (c *client) newCall(ctx context.Context, cc *grpc.ClientConn, path string, opts []grpc.CallOption) *call {
	name := other
	for _, o := range opts {
		if _, ok := o.(grpc.StaticMethodCallOption); ok {
			name = strings.TrimPrefix(path, "/")
		}
	}
	info := &call{[]attribute.KeyValue{methodOf(name), attribute.String("grpc.target", cc.CanonicalTarget())}}
	if c.custom {
		info.attributes = append(info.attributes, attribute.String(customLabel, estats.CustomLabelFromContext(ctx)))
	}
	return info
}

func (c *client) unary(ctx context.Context, path string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	begun, info := time.Now(), c.newCall(ctx, cc, path, opts)
	err := invoke(context.WithValue(ctx, callKey{c}, info), path, req, reply, cc, opts...)
	c.end(ctx, info, begun, err)
	return err
}

func (c *client) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, path string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	begun, info := time.Now(), c.newCall(ctx, cc, path, opts)
	finish := grpc.OnFinish(func(err error) { c.end(ctx, info, begun, err) })
	return open(context.WithValue(ctx, callKey{c}, info), desc, cc, path, append([]grpc.CallOption{finish}, opts...)...)
}

func (c *client) end(ctx context.Context, info *call, begun time.Time, err error) {
	c.duration.Record(ctx, time.Since(begun).Seconds(), with(info.attributes, statusOf(err)))
}

// attempts is the stats handler of a client.
type attempts struct{ *client }

// TagRPC implements stats.Handler.
func (a attempts) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	return context.WithValue(ctx, attemptKey{a.client}, &span{begun: time.Now()})
}

// HandleRPC implements stats.Handler.
func (a attempts) HandleRPC(ctx context.Context, event stats.RPCStats) {
	info, ok := ctx.Value(callKey{a.client}).(*call)
	s, is := ctx.Value(attemptKey{a.client}).(*span)
	if !ok || !is {
		return // a Client has the one half of the options
	}
	switch event := event.(type) {
	case *stats.Begin:
		a.attempts.started.Add(ctx, 1, with(info.attributes))
	case *stats.OutPayload:
		s.sent.Add(int64(event.CompressedLength))
	case *stats.InPayload:
		s.received.Add(int64(event.CompressedLength))
	case *stats.End:
		a.attempts.end(ctx, s, event.Error, info.attributes...)
	}
}

// TagConn implements stats.Handler.
func (attempts) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (attempts) HandleConn(context.Context, stats.ConnStats) {}

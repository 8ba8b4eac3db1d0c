// Package opentelemetry counts and times calls in gRPC's own metrics (gRFC A66),
// under the names and with the attributes that grpc-go's package
// stats/opentelemetry has, whose options weir cannot look into. For spans, and
// for the metrics of OpenTelemetry's conventions, there is otelgrpc.
package opentelemetry

import (
	"context"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Options say what is measured, and where to.
type Options struct {
	// MeterProvider makes the instruments. Nil measures nothing.
	MeterProvider metric.MeterProvider
	// MethodFilter reports whether a server tells the name of a method,
	// "/service/method". Other methods are "other", as are those that are not
	// registered. Nil tells all names. A client tells the names in generated code,
	// which marks them with grpc.StaticMethod; names that a program makes up are
	// "other".
	MethodFilter func(method string) bool
	// Metrics are the names of further metrics that a client measures: of
	// connections ("grpc.subchannel."), of balancers ("grpc.lb.") and of xDS
	// ("grpc.xds_client."). Their packages register them when they are imported.
	// Nil means those that are registered as on by default, of which grpc-go v1.85
	// has none.
	Metrics []string
	// OptionalLabels are the names of optional attributes that these further
	// metrics shall have, "grpc.disconnect_error" for example. By default they have
	// none of them. With "grpc.client.call.custom" a client's calls and attempts have
	// what their context says, by NewContextWithCustomLabel of package
	// google.golang.org/grpc/experimental/stats.
	OptionalLabels []string
}

// Boundaries of histograms, as gRFC A66 has them: of seconds and of octets.
var (
	seconds = []float64{
		0, 0.00001, 0.00005, 0.0001, 0.0003, 0.0006, 0.0008, 0.001, 0.002, 0.003, 0.004, 0.005, 0.006, 0.008, 0.01, 0.013, 0.016, 0.02, 0.025,
		0.03, 0.04, 0.05, 0.065, 0.08, 0.1, 0.13, 0.16, 0.2, 0.25, 0.3, 0.4, 0.5, 0.65, 0.8, 1, 2, 5, 10, 20, 50, 100,
	}
	octets = []float64{0, 1 << 10, 2 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20, 64 << 20, 256 << 20, 1 << 30, 4 << 30}
)

// instruments are those of an attempt of a client, or of a call of a server.
type instruments struct {
	started        metric.Int64Counter
	duration       metric.Float64Histogram
	sent, received metric.Int64Histogram
}

func (o Options) meter() metric.Meter {
	provider := o.MeterProvider
	if provider == nil {
		provider = noop.NewMeterProvider()
	}
	return provider.Meter("github.com/weir-rpc/weir", metric.WithInstrumentationVersion(grpc.Version))
}

// newInstruments makes the instruments whose names begin with prefix. A meter
// gives one that does nothing with its error, which is one of its own
// configuration, and tells that to OpenTelemetry's error handler.
func newInstruments(m metric.Meter, prefix, what string) (i instruments) {
	i.started, _ = m.Int64Counter(prefix+".started", metric.WithUnit("{"+what+"}"), metric.WithDescription("How many began."))
	i.duration = newDuration(m, prefix)
	i.sent = newSize(m, prefix+".sent_total_compressed_message_size", "Octets of all messages that were sent, as they were compressed.")
	i.received = newSize(m, prefix+".rcvd_total_compressed_message_size", "Octets of all messages that were received, as they were compressed.")
	return i
}

func newDuration(m metric.Meter, prefix string) metric.Float64Histogram {
	h, _ := m.Float64Histogram(prefix+".duration", metric.WithUnit("s"), metric.WithDescription("Time from the beginning to the end."),
		metric.WithExplicitBucketBoundaries(seconds...))
	return h
}

func newSize(m metric.Meter, name, description string) metric.Int64Histogram {
	h, _ := m.Int64Histogram(name, metric.WithUnit("By"), metric.WithDescription(description), metric.WithExplicitBucketBoundaries(octets...))
	return h
}

// span is what is measured of one attempt or call. Its sizes are counted by
// whoever sends and whoever receives.
type span struct {
	begun          time.Time
	sent, received atomic.Int64
}

// end records a span, under attributes to which the status is added.
func (i *instruments) end(ctx context.Context, s *span, err error, attributes ...attribute.KeyValue) {
	all := with(attributes, statusOf(err))
	i.duration.Record(ctx, time.Since(s.begun).Seconds(), all)
	i.sent.Record(ctx, s.sent.Load(), all)
	i.received.Record(ctx, s.received.Load(), all)
}

// with gives attributes, and more. They are copied: NewSet puts what it is given in
// order.
func with(attributes []attribute.KeyValue, more ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(slices.Concat(attributes, more)...))
}

func statusOf(err error) attribute.KeyValue {
	code := status.Code(err)
	name := "CODE(" + strconv.FormatUint(uint64(code), 10) + ")"
	if int(code) < len(names) {
		name = names[code]
	}
	return attribute.String("grpc.status", name)
}

// names are the codes' as gRPC writes them in its documents.
var names = [...]string{
	codes.OK: "OK", codes.Canceled: "CANCELLED", codes.Unknown: "UNKNOWN", codes.InvalidArgument: "INVALID_ARGUMENT",
	codes.DeadlineExceeded: "DEADLINE_EXCEEDED", codes.NotFound: "NOT_FOUND", codes.AlreadyExists: "ALREADY_EXISTS",
	codes.PermissionDenied: "PERMISSION_DENIED", codes.ResourceExhausted: "RESOURCE_EXHAUSTED", codes.FailedPrecondition: "FAILED_PRECONDITION",
	codes.Aborted: "ABORTED", codes.OutOfRange: "OUT_OF_RANGE", codes.Unimplemented: "UNIMPLEMENTED", codes.Internal: "INTERNAL",
	codes.Unavailable: "UNAVAILABLE", codes.DataLoss: "DATA_LOSS", codes.Unauthenticated: "UNAUTHENTICATED",
}

// other stands for methods whose names are not told.
const other = "other"

func methodOf(name string) attribute.KeyValue { return attribute.String("grpc.method", name) }

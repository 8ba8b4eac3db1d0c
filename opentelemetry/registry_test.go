package opentelemetry_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/opentelemetry"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"google.golang.org/grpc"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/balancer/base"
	"google.golang.org/grpc/credentials/insecure"
	estats "google.golang.org/grpc/experimental/stats"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/stats"
	theirs "google.golang.org/grpc/stats/opentelemetry"
)

func described(name string) estats.MetricDescriptor {
	return estats.MetricDescriptor{
		Name: "weir.test." + name, Description: "of a test", Unit: "{" + name + "}", Bounds: []float64{1, 10},
		Labels: []string{"grpc.target"}, OptionalLabels: []string{"b", "c"},
	}
}

var (
	count      = estats.RegisterInt64Count(described("count"))
	upDown     = estats.RegisterInt64UpDownCount(described("updown"))
	floatCount = estats.RegisterFloat64Count(described("float"))
	histo      = estats.RegisterInt64Histo(described("histo"))
	floatHisto = estats.RegisterFloat64Histo(described("float_histo"))
	gauge      = estats.RegisterInt64Gauge(described("gauge"))
	async      = estats.RegisterInt64AsyncGauge(described("async"))
	unwanted   = estats.RegisterInt64Count(described("unwanted"))
)

// recorder is a balancer that measures something of each kind.
type recorder struct{ balancer.Builder }

func (b recorder) Build(cc balancer.ClientConn, o balancer.BuildOptions) balancer.Balancer {
	m := cc.MetricsRecorder()
	for n := range 3 {
		b := fmt.Sprint(n / 2)
		count.Record(m, int64(n), "t", b, "x")
		upDown.Record(m, int64(-n), "t", b, "x")
		floatCount.Record(m, float64(n)/2, "t", b, "x")
		histo.Record(m, int64(5*n), "t", b, "x")
		floatHisto.Record(m, float64(n)*6, "t", b, "x")
		gauge.Record(m, int64(n), "t", b, "x")
		unwanted.Record(m, 1, "t", b, "x")
	}
	end := m.RegisterAsyncReporter(estats.AsyncMetricReporterFunc(func(to estats.AsyncMetricsRecorder) error {
		async.Record(to, 17, "t", "b", "x")
		return nil
	}), async)
	return reporting{b.Builder.Build(cc, o), end}
}

type reporting struct {
	balancer.Balancer
	end func()
}

func (r reporting) Close() {
	r.end()
	r.Balancer.Close()
}

// first makes pickers of the first server.
type first struct{}

func (first) Build(info base.PickerBuildInfo) balancer.Picker {
	for sc := range info.ReadySCs {
		return firstPicker{sc}
	}
	return base.NewErrPicker(balancer.ErrNoSubConnAvailable)
}

type firstPicker struct{ sc balancer.SubConn }

func (p firstPicker) Pick(balancer.PickInfo) (balancer.PickResult, error) {
	return balancer.PickResult{SubConn: p.sc}, nil
}

// recorded has a client with the balancer make a call, and gives what was measured
// of the metrics that are named.
func recorded(t *testing.T, ours bool, optional ...string) []string {
	t.Helper()
	const opened, succeeded = "grpc.subchannel.open_connections", "grpc.subchannel.connection_attempts_succeeded"
	names := []string{
		"weir.test.count", "weir.test.updown", "weir.test.float", "weir.test.histo", "weir.test.float_histo", "weir.test.gauge", "weir.test.async",
		opened, succeeded, "not.there",
	}
	reader := metric.NewManualReader()
	provider := metric.NewMeterProvider(metric.WithReader(reader))
	lis, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := weir.NewServer()
	testpb.RegisterTestServiceServer(srv, service{})
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	dial := func(ctx context.Context, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", lis.Addr().String())
	}
	const target, js = "passthrough:///server", `{"loadBalancingConfig": [{"otel_test_recorder": {}}]}`
	var cc interface {
		grpc.ClientConnInterface
		io.Closer
	}
	if ours {
		o := opentelemetry.Options{MeterProvider: provider, Metrics: names, OptionalLabels: optional}
		cc, err = weir.NewClient(target, append(opentelemetry.ClientOptions(o), weir.WithTransportCredentials(insecure.NewCredentials()),
			weir.WithContextDialer(dial), weir.WithDefaultServiceConfig(js))...)
	} else {
		o := theirs.Options{MetricsOptions: theirs.MetricsOptions{MeterProvider: provider, Metrics: stats.NewMetricSet(names...), OptionalLabels: optional}}
		cc, err = grpc.NewClient(target, theirs.DialOption(o), grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(dial), grpc.WithDefaultServiceConfig(js))
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := testpb.NewTestServiceClient(cc).UnaryCall(t.Context(), &testpb.SimpleRequest{}); err != nil {
		t.Error(err)
	}
	lines := dump(t, reader)
	has := func(name string) bool {
		return slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, name) })
	}
	// A call may be over before its connection is counted.
	for end := time.Now().Add(20 * time.Second); !has(opened) || !has(succeeded); lines = dump(t, reader) {
		if time.Now().After(end) {
			t.Fatalf("measured\n%s", strings.Join(lines, "\n"))
		}
	}
	_ = cc.Close()
	for _, l := range dump(t, reader) {
		if strings.HasPrefix(l, "weir.test.async") {
			t.Errorf("a gauge outlives its balancer: %s", l)
		}
	}
	srv.Stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
	return lines
}

// dump gives the points of all metrics that are not of calls.
func dump(t *testing.T, reader *metric.ManualReader) (lines []string) {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(context.WithoutCancel(t.Context()), &all); err != nil {
		t.Fatal(err)
	}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if strings.HasPrefix(m.Name, "grpc.client.") {
				continue
			}
			add := func(with attribute.Set, format string, args ...any) {
				lines = append(lines, fmt.Sprintf("%s [%s] %q %s ", m.Name, m.Unit, m.Description, with.Encoded(attribute.DefaultEncoder()))+fmt.Sprintf(format, args...))
			}
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					add(p.Attributes, "%d, monotonic %v", p.Value, data.IsMonotonic)
				}
			case metricdata.Sum[float64]:
				for _, p := range data.DataPoints {
					add(p.Attributes, "%v, monotonic %v", p.Value, data.IsMonotonic)
				}
			case metricdata.Gauge[int64]:
				for _, p := range data.DataPoints {
					add(p.Attributes, "%d", p.Value)
				}
			case metricdata.Histogram[int64]:
				for _, p := range data.DataPoints {
					add(p.Attributes, "%d of %d, in %v of %v", p.Count, p.Sum, p.BucketCounts, p.Bounds)
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					add(p.Attributes, "%d of %v, in %v of %v", p.Count, p.Sum, p.BucketCounts, p.Bounds)
				}
			default:
				t.Errorf("%s is a %T", m.Name, m.Data)
			}
		}
	}
	slices.Sort(lines)
	return lines
}

// Feature: OpenTelemetry metrics of connections and balancers (gRFC A78, A79, A94)
//
// What balancers and connections record is measured as with grpc-go: the metrics
// that are named, with the optional attributes that are named.
func TestRecordsWhatGRPCGoRecords(t *testing.T) {
	balancer.Register(recorder{base.NewBalancerBuilder("otel_test_recorder", first{}, base.Config{})})
	for _, optional := range [][]string{nil, {"b"}, {"c", "b", "grpc.security_level"}} {
		t.Run(strings.Join(optional, " "), func(t *testing.T) {
			got, want := recorded(t, true, optional...), recorded(t, false, optional...)
			if len(want) < 9 || !slices.Equal(got, want) {
				t.Errorf("measured\n%s\nwant\n%s", strings.Join(others(got, want), "\n"), strings.Join(others(want, got), "\n"))
			}
		})
	}
}

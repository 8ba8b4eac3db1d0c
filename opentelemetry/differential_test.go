package opentelemetry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/inproc"
	"github.com/weir-rpc/weir/opentelemetry"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/encoding/gzip"
	estats "google.golang.org/grpc/experimental/stats"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	theirs "google.golang.org/grpc/stats/opentelemetry"
	"google.golang.org/grpc/status"
)

// service answers with as many octets as it is asked for, and fails as it is told.
type service struct {
	testpb.UnimplementedTestServiceServer
}

func (service) UnaryCall(ctx context.Context, in *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	code := codes.Code(in.GetResponseStatus().GetCode())
	if len(metadata.ValueFromIncomingContext(ctx, "grpc-previous-rpc-attempts")) > 0 {
		code = codes.OK
	}
	return &testpb.SimpleResponse{Payload: &testpb.Payload{Body: make([]byte, in.GetResponseSize())}}, status.Error(code, "as asked")
}

func (service) FullDuplexCall(st grpc.BidiStreamingServer[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]) error {
	for {
		in, err := st.Recv()
		if errors.Is(err, io.EOF) {
			return status.Error(codes.Aborted, "that was all")
		}
		if err != nil {
			return err
		}
		if err := st.Send(&testpb.StreamingOutputCallResponse{Payload: in.GetPayload()}); err != nil {
			return err
		}
	}
}

// calls makes calls of all kinds.
func calls(ctx context.Context, t *testing.T, cc grpc.ClientConnInterface) {
	t.Helper()
	c := testpb.NewTestServiceClient(cc)
	unary := func(in *testpb.SimpleRequest, want codes.Code, opts ...grpc.CallOption) {
		if _, err := c.UnaryCall(ctx, in, opts...); status.Code(err) != want {
			t.Errorf("a unary call gave %v, want %v", err, want)
		}
	}
	unary(&testpb.SimpleRequest{ResponseSize: 5000}, codes.OK)
	unary(&testpb.SimpleRequest{ResponseSize: 5000, Payload: &testpb.Payload{Body: make([]byte, 2000)}}, codes.OK, grpc.UseCompressor("gzip"))
	unary(&testpb.SimpleRequest{ResponseStatus: &testpb.EchoStatus{Code: int32(codes.NotFound)}}, codes.NotFound)
	unary(&testpb.SimpleRequest{ResponseStatus: &testpb.EchoStatus{Code: 200}}, 200)                           // which gRPC has no name for
	unary(&testpb.SimpleRequest{ResponseStatus: &testpb.EchoStatus{Code: int32(codes.Unavailable)}}, codes.OK) // at the second attempt
	over, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := c.UnaryCall(over, new(testpb.SimpleRequest)); status.Code(err) != codes.Canceled {
		t.Errorf("a call of a context that has ended gave %v", err)
	}
	if _, err := c.EmptyCall(ctx, &testpb.Empty{}); status.Code(err) != codes.Unimplemented {
		t.Errorf("EmptyCall gave %v", err)
	}
	if err := cc.Invoke(ctx, "/grpc.testing.TestService/UnaryCall", &testpb.SimpleRequest{}, new(testpb.SimpleResponse)); err != nil {
		t.Errorf("a call that is not generated gave %v", err)
	}
	if err := cc.Invoke(ctx, "/made.up/Method", &testpb.Empty{}, new(testpb.Empty)); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("a method that is made up gave %v", err)
	}
	ctx = estats.NewContextWithCustomLabel(ctx, "batch")
	unary(new(testpb.SimpleRequest), codes.OK)
	st, err := c.FullDuplexCall(ctx)
	for range 3 {
		if err == nil {
			err = st.Send(&testpb.StreamingOutputCallRequest{Payload: &testpb.Payload{Body: make([]byte, 700)}})
		}
		if err == nil {
			_, err = st.Recv()
		}
	}
	if err == nil {
		_ = st.CloseSend()
		_, err = st.Recv()
	}
	if status.Code(err) != codes.Aborted {
		t.Errorf("the stream gave %v", err)
	}
}

// unknown handles what is not registered. It answers when all of the request is
// there: grpc-go's client measures calls that end sooner as it happens.
func unknown(_ any, st grpc.ServerStream) error {
	for st.RecvMsg(new(testpb.Empty)) == nil {
	}
	return status.Error(codes.FailedPrecondition, "not here")
}

const retried = `{"methodConfig": [{"name": [{"service": "grpc.testing.TestService"}], "retryPolicy": {
	"maxAttempts": 2, "initialBackoff": "0.001s", "maxBackoff": "0.001s", "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]
}}]}`

type serving interface {
	grpc.ServiceRegistrar
	Serve(net.Listener) error
	GracefulStop()
}

// measured makes the calls, and gives what was measured of them.
func measured(t *testing.T, ours bool, filter func(string) bool, labels []string) []string {
	t.Helper()
	reader := metric.NewManualReader()
	provider := metric.NewMeterProvider(metric.WithReader(reader))
	lis, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dial := func(ctx context.Context, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", lis.Addr().String())
	}
	var srv serving
	var cc grpc.ClientConnInterface
	var closer io.Closer
	const target = "passthrough:///server"
	if ours {
		o := opentelemetry.Options{MeterProvider: provider, MethodFilter: filter, OptionalLabels: labels}
		srv = weir.NewServer(append(opentelemetry.ServerOptions(o), weir.UnknownServiceHandler(unknown))...)
		c, err := weir.NewClient(target, append(opentelemetry.ClientOptions(o), weir.WithTransportCredentials(insecure.NewCredentials()),
			weir.WithContextDialer(dial), weir.WithDefaultServiceConfig(retried))...)
		if err != nil {
			t.Fatal(err)
		}
		cc, closer = c, c
	} else {
		o := theirs.Options{MetricsOptions: theirs.MetricsOptions{MeterProvider: provider, MethodAttributeFilter: filter, OptionalLabels: labels}}
		srv = grpc.NewServer(theirs.ServerOption(o), grpc.UnknownServiceHandler(unknown))
		c, err := grpc.NewClient(target, theirs.DialOption(o), grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(dial), grpc.WithDefaultServiceConfig(retried))
		if err != nil {
			t.Fatal(err)
		}
		cc, closer = c, c
	}
	testpb.RegisterTestServiceServer(srv, service{})
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	calls(t.Context(), t, cc)
	_ = closer.Close()
	srv.GracefulStop()
	if err := <-served; err != nil {
		t.Error(err)
	}
	return collect(t, reader)
}

// collect gives the points of all metrics of attempts and calls, without times.
func collect(t *testing.T, reader *metric.ManualReader) (lines []string) {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(context.WithoutCancel(t.Context()), &all); err != nil {
		t.Fatal(err)
	}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if !strings.HasPrefix(m.Name, "grpc.client.attempt.") && !strings.HasPrefix(m.Name, "grpc.client.call.") && !strings.HasPrefix(m.Name, "grpc.server.call.") {
				continue
			}
			add := func(with attribute.Set, format string, args ...any) {
				lines = append(lines, fmt.Sprintf("%s [%s] %s ", m.Name, m.Unit, with.Encoded(attribute.DefaultEncoder()))+fmt.Sprintf(format, args...))
			}
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					add(p.Attributes, "%d, monotonic %v", p.Value, data.IsMonotonic)
				}
			case metricdata.Histogram[int64]:
				for _, p := range data.DataPoints {
					add(p.Attributes, "%d of %d, in %v of %v", p.Count, p.Sum, p.BucketCounts, p.Bounds)
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					add(p.Attributes, "%d, in %v", p.Count, p.Bounds)
					if p.Sum <= 0 || p.Sum > 60 {
						t.Errorf("%s: %d calls have taken %v s", m.Name, p.Count, p.Sum)
					}
				}
			default:
				t.Errorf("%s is a %T", m.Name, m.Data)
			}
		}
	}
	slices.Sort(lines)
	return lines
}

// Feature: OpenTelemetry metrics of gRFC A66
//
// The metrics of calls and attempts are grpc-go's: names, units, attributes,
// boundaries, counts and sizes, of calls that go well, fail, are compressed,
// retried, not registered, and not generated.
func TestMeasuresWhatGRPCGoMeasures(t *testing.T) {
	for name, tt := range map[string]struct {
		filter func(string) bool
		labels []string
	}{
		"all":      {},
		"filtered": {filter: func(method string) bool { return !strings.HasSuffix(method, "UnaryCall") }},
		"labelled": {labels: []string{"grpc.client.call.custom"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, want := measured(t, true, tt.filter, tt.labels), measured(t, false, tt.filter, tt.labels)
			if len(want) < 20 || !slices.Equal(got, want) {
				t.Errorf("measured\n%s\nwant\n%s", strings.Join(others(got, want), "\n"), strings.Join(others(want, got), "\n"))
			}
		})
	}
}

// others gives the lines that are not among those.
func others(lines, those []string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return slices.Contains(those, l) })
}

// Two sets of options measure each call once.
func TestMeasuresTwice(t *testing.T) {
	var readers [2]*metric.ManualReader
	var dial []weir.DialOption
	var serve []weir.ServerOption
	for i := range readers {
		readers[i] = metric.NewManualReader()
		o := opentelemetry.Options{MeterProvider: metric.NewMeterProvider(metric.WithReader(readers[i]))}
		dial, serve = append(dial, opentelemetry.ClientOptions(o)...), append(serve, opentelemetry.ServerOptions(o)...)
	}
	srv := weir.NewServer(append(serve, weir.UnknownServiceHandler(unknown))...)
	testpb.RegisterTestServiceServer(srv, service{})
	c, err := inproc.NewClient(srv, append(dial, weir.WithDefaultServiceConfig(retried))...)
	if err != nil {
		t.Fatal(err)
	}
	calls(t.Context(), t, c)
	_ = c.Close()
	srv.GracefulStop()
	one, two := collect(t, readers[0]), collect(t, readers[1])
	alone := measured(t, true, nil, nil)
	for i, line := range alone {
		alone[i] = strings.Replace(line, "grpc.target=passthrough:///server", "grpc.target="+c.CanonicalTarget(), 1)
	}
	for _, got := range [][]string{one, two} {
		if !slices.Equal(got, alone) {
			t.Errorf("measured\n%s\nwant\n%s", strings.Join(others(got, alone), "\n"), strings.Join(others(alone, got), "\n"))
		}
	}
}

// Without a MeterProvider nothing is measured, and nothing fails.
func TestNoMeterProvider(t *testing.T) {
	srv := weir.NewServer(opentelemetry.ServerOptions(opentelemetry.Options{})...)
	testpb.RegisterTestServiceServer(srv, service{})
	c, err := inproc.NewClient(srv, opentelemetry.ClientOptions(opentelemetry.Options{})...)
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Stop()
	defer c.Close()
	if _, err := testpb.NewTestServiceClient(c).UnaryCall(t.Context(), &testpb.SimpleRequest{}); err != nil {
		t.Error(err)
	}
}

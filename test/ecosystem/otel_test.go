package ecosystem

import (
	"context"
	"testing"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/inproc"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
)

// instruments are what a program sets up once, with an exporter that remembers.
type instruments struct {
	spans  *tracetest.InMemoryExporter
	tracer *sdktrace.TracerProvider
	reader *metric.ManualReader
	opts   []otelgrpc.Option
}

func newInstruments() *instruments {
	in := &instruments{spans: tracetest.NewInMemoryExporter(), reader: metric.NewManualReader()}
	in.tracer = sdktrace.NewTracerProvider(sdktrace.WithSyncer(in.spans))
	in.opts = []otelgrpc.Option{
		otelgrpc.WithTracerProvider(in.tracer),
		otelgrpc.WithMeterProvider(metric.NewMeterProvider(metric.WithReader(in.reader))),
		otelgrpc.WithPropagators(propagation.TraceContext{}),
	}
	return in
}

// calls gives how many calls the histogram name has counted.
func (in *instruments) calls(t *testing.T, name string) (n uint64) {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := in.reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if h, ok := m.Data.(metricdata.Histogram[float64]); ok && m.Name == name {
				for _, point := range h.DataPoints {
					n += point.Count
				}
			}
		}
	}
	return n
}

// server is weir's or grpc-go's.
type server interface {
	grpc.ServiceRegistrar
	serving
}

// attributeOf gives what a span says about key.
func attributeOf(s tracetest.SpanStub, key attribute.Key) attribute.Value {
	for _, a := range s.Attributes {
		if a.Key == key {
			return a.Value
		}
	}
	return attribute.Value{}
}

// Feature: OpenTelemetry (otelgrpc) client and server handlers
//
// The handlers of otelgrpc give, for each call, a span of the client and one of
// the server as its child, in the caller's trace, and count it, whichever side
// is weir's.
func TestOtelgrpc_SpansAreLinked(t *testing.T) {
	pairs := []struct {
		name           string
		client, server bool // weir's
		inProcess      bool
	}{
		{"weir", true, true, false},
		{"weir in one process", true, true, true},
		{"weir's client", true, false, false},
		{"weir's server", false, true, false},
	}
	for _, pair := range pairs {
		t.Run(pair.name, func(t *testing.T) {
			in := newInstruments()
			var srv server = weir.NewServer(weir.StatsHandler(otelgrpc.NewServerHandler(in.opts...)))
			if !pair.server {
				srv = grpc.NewServer(grpc.StatsHandler(otelgrpc.NewServerHandler(in.opts...)))
			}
			testgrpc.RegisterTestServiceServer(srv, service{})
			lis := listen(t)
			stop := start(t, srv, lis)
			traced := weir.WithStatsHandler(otelgrpc.NewClientHandler(in.opts...))
			var cc grpc.ClientConnInterface
			if ours, ok := srv.(*weir.Server); ok && pair.inProcess {
				c, err := inproc.NewClient(ours, traced)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				cc = c
			} else {
				cc = dialed(t, pair.client, lis.Addr().String(), traced, grpc.WithStatsHandler(otelgrpc.NewClientHandler(in.opts...)))
			}
			ctx, root := in.tracer.Tracer("test").Start(t.Context(), "root")
			client := testgrpc.NewTestServiceClient(cc)
			if _, err := client.UnaryCall(ctx, &testgrpc.SimpleRequest{}); err != nil {
				t.Fatal(err)
			}
			if _, err := client.EmptyCall(ctx, &testgrpc.Empty{}); status.Code(err) != codes.Unimplemented {
				t.Fatal(err)
			}
			duplex(ctx, t, client)
			root.End()
			stop()

			linked(t, in.spans.GetSpans(), root.SpanContext(), "UnaryCall", "EmptyCall", "FullDuplexCall")
			for _, name := range []string{"rpc.client.call.duration", "rpc.server.call.duration"} {
				if n := in.calls(t, name); n != 3 {
					t.Errorf("%s has counted %d calls, want 3", name, n)
				}
			}
		})
	}
}

// linked checks that each method has two spans, one the parent of the other.
func linked(t *testing.T, spans tracetest.SpanStubs, root trace.SpanContext, methods ...string) {
	t.Helper()
	for _, method := range methods {
		var client, server tracetest.SpanStub
		for _, s := range spans {
			if s.Name != "grpc.testing.TestService/"+method {
				continue
			}
			switch s.SpanKind {
			case trace.SpanKindClient:
				client = s
			case trace.SpanKindServer:
				server = s
			}
		}
		if client.Parent.SpanID() != root.SpanID() || client.SpanContext.TraceID() != root.TraceID() {
			t.Errorf("%s: the client's span %v is not a child of the caller's", method, client.SpanContext)
		}
		if server.Parent.SpanID() != client.SpanContext.SpanID() || !server.Parent.IsRemote() || server.SpanContext.TraceID() != root.TraceID() {
			t.Errorf("%s: the server's span has the parent %v, want the client's %v", method, server.Parent, client.SpanContext)
		}
		want := "OK"
		if method == "EmptyCall" {
			want = "UNIMPLEMENTED"
		}
		for _, s := range []tracetest.SpanStub{client, server} {
			if got := attributeOf(s, "rpc.response.status_code").AsString(); got != want {
				t.Errorf("%s: a span of kind %v has the status %q in %v, want %s", method, s.SpanKind, got, s.Attributes, want)
			}
		}
	}
}

// duplex has three messages go and come back.
func duplex(ctx context.Context, t *testing.T, client testgrpc.TestServiceClient) {
	t.Helper()
	st, err := client.FullDuplexCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := st.Send(&testgrpc.StreamingOutputCallRequest{}); err != nil {
			t.Fatal(err)
		}
		if _, err := st.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	_ = st.CloseSend()
	_, _ = st.Recv()
}

// dialed gives a client of weir, or of grpc-go, with an option of its own.
func dialed(t *testing.T, ours bool, target string, w weir.DialOption, g grpc.DialOption) interface {
	grpc.ClientConnInterface
	Close() error
} {
	t.Helper()
	if ours {
		cc, err := weir.NewClient(target, weir.WithTransportCredentials(insecure.NewCredentials()), w)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cc.Close() })
		return cc
	}
	cc, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()), g)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cc.Close() })
	return cc
}

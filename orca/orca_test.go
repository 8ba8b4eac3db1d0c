package orca_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	pb "github.com/cncf/xds/go/xds/data/orca/v3"
	service "github.com/cncf/xds/go/xds/service/orca/v3"
	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/orca"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	theirs "google.golang.org/grpc/orca"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

// loaded reports as its requests say, on what recorder gives.
type loaded struct {
	testpb.UnimplementedTestServiceServer

	recorder func(context.Context) theirs.CallMetricsRecorder
}

func (l loaded) report(ctx context.Context, size int32) {
	if size == 0 {
		return
	}
	r := l.recorder(ctx)
	r.SetRequestCost("size", float64(size))
	r.SetNamedMetric("named", 1)
	r.SetNamedUtilization("disk", 0.5)
	r.SetMemoryUtilization(0.25)
	r.SetQPS(3)
	r.DeleteNamedMetric("named")
	r.SetEPS(7)
	r.DeleteEPS()
}

func (l loaded) UnaryCall(ctx context.Context, in *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	l.report(ctx, in.GetResponseSize())
	return &testpb.SimpleResponse{}, nil
}

func (l loaded) StreamingOutputCall(in *testpb.StreamingOutputCallRequest, st grpc.ServerStreamingServer[testpb.StreamingOutputCallResponse]) error {
	l.report(st.Context(), int32(len(in.GetResponseParameters())))
	return st.Send(&testpb.StreamingOutputCallResponse{})
}

type serving interface {
	grpc.ServiceRegistrar
	Serve(net.Listener) error
	GracefulStop()
}

// start serves until the test is over.
func start(t *testing.T, srv serving) (target string) {
	t.Helper()
	lis, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	t.Cleanup(func() {
		srv.GracefulStop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return lis.Addr().String()
}

func dial(t *testing.T, target string, opts ...weir.DialOption) testpb.TestServiceClient {
	t.Helper()
	cc, err := weir.NewClient(target, append(opts, weir.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cc.Close() })
	return testpb.NewTestServiceClient(cc)
}

// Feature: ORCA load reports with each call
//
// What a handler reports comes with the trailers, unary and streaming, merged
// with what the server reports, and is what grpc-go's server sends.
func TestCallMetrics(t *testing.T) {
	all := theirs.NewServerMetricsRecorder()
	all.SetCPUUtilization(0.75)
	all.SetQPS(100)
	all.SetNamedUtilization("net", 0.125)
	for _, tt := range []struct {
		name     string
		provider theirs.ServerMetricsProvider
		want     *pb.OrcaLoadReport
	}{
		{"of the call", nil, &pb.OrcaLoadReport{
			MemUtilization: 0.25, RpsFractional: 3, Utilization: map[string]float64{"disk": 0.5}, RequestCost: map[string]float64{"size": 2},
		}},
		{"of call and server", all, &pb.OrcaLoadReport{
			CpuUtilization: 0.75, MemUtilization: 0.25, RpsFractional: 3, Utilization: map[string]float64{"disk": 0.5, "net": 0.125}, RequestCost: map[string]float64{"size": 2},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ours := weir.NewServer(
				weir.ChainUnaryInterceptor(orca.UnaryServerInterceptor(tt.provider)),
				weir.ChainStreamInterceptor(orca.StreamServerInterceptor(tt.provider)),
			)
			testpb.RegisterTestServiceServer(ours, loaded{recorder: orca.CallMetricsRecorderFromContext})
			other := grpc.NewServer(theirs.CallMetricsServerOption(tt.provider))
			testpb.RegisterTestServiceServer(other, loaded{recorder: theirs.CallMetricsRecorderFromContext})
			for name, srv := range map[string]serving{"weir": ours, "grpc-go": other} {
				c := dial(t, start(t, srv))
				var unary, silent metadata.MD
				if _, err := c.UnaryCall(t.Context(), &testpb.SimpleRequest{ResponseSize: 2}, grpc.Trailer(&unary)); err != nil {
					t.Fatal(err)
				}
				if _, err := c.UnaryCall(t.Context(), &testpb.SimpleRequest{}, grpc.Trailer(&silent)); err != nil {
					t.Fatal(err)
				}
				st, err := c.StreamingOutputCall(t.Context(), &testpb.StreamingOutputCallRequest{ResponseParameters: make([]*testpb.ResponseParameters, 2)})
				for err == nil {
					_, err = st.Recv()
				}
				if !errors.Is(err, io.EOF) {
					t.Fatal(err)
				}
				for _, md := range []metadata.MD{unary, st.Trailer()} {
					if got, err := orca.FromTrailer(md); err != nil || !proto.Equal(got, tt.want) {
						t.Errorf("%s reports %v, %v, want %v", name, got, err, tt.want)
					}
				}
				if got, err := orca.FromTrailer(silent); got != nil || err != nil {
					t.Errorf("%s reports %v, %v of a call that reports nothing", name, got, err)
				}
			}
		})
	}
}

// Without the interceptor there is no recorder.
func TestCallMetricsRecorder_NoInterceptor(t *testing.T) {
	if r := orca.CallMetricsRecorderFromContext(t.Context()); r != nil {
		t.Errorf("there is the recorder %v", r)
	}
}

// An observer hears of the reports of calls, and of the server that each is
// from, and not of what cannot be read.
func TestWithReports(t *testing.T) {
	srv := weir.NewServer(weir.ChainUnaryInterceptor(orca.UnaryServerInterceptor(nil)))
	testpb.RegisterTestServiceServer(srv, loaded{recorder: orca.CallMetricsRecorderFromContext})
	target := start(t, srv)
	broken := weir.NewServer(weir.UnknownServiceHandler(func(_ any, st grpc.ServerStream) error {
		st.SetTrailer(metadata.Pairs(orca.TrailerKey, "\xff"))
		return nil
	}))
	brokenTarget := start(t, broken)
	var mu sync.Mutex
	costs := make(map[string][]float64) // by server
	observe := orca.WithReports(func(_ context.Context, server net.Addr, r *pb.OrcaLoadReport) {
		mu.Lock()
		defer mu.Unlock()
		costs[server.String()] = append(costs[server.String()], r.GetRequestCost()["size"])
	})
	c := dial(t, target, observe)
	for _, size := range []int32{1, 0, 5} {
		if _, err := c.UnaryCall(t.Context(), &testpb.SimpleRequest{ResponseSize: size}); err != nil {
			t.Fatal(err)
		}
	}
	_, _ = dial(t, brokenTarget, observe).UnaryCall(t.Context(), &testpb.SimpleRequest{})
	mu.Lock()
	defer mu.Unlock()
	if got := costs[target]; len(got) != 2 || got[0] != 1 || got[1] != 5 || len(costs) != 1 {
		t.Errorf("the observer has heard %v", costs)
	}
}

func TestFromTrailer_Broken(t *testing.T) {
	for _, md := range []metadata.MD{
		metadata.Pairs(orca.TrailerKey, "\xff"),
		metadata.Pairs(orca.TrailerKey, "", orca.TrailerKey, ""),
	} {
		if r, err := orca.FromTrailer(md); err == nil {
			t.Errorf("%v is the report %v", md, r)
		}
	}
}

// Feature: ORCA out-of-band load reports
//
// grpc-go's service for reports outside of calls is registered on a weir Server
// as it is.
func TestOutOfBand(t *testing.T) {
	all := theirs.NewServerMetricsRecorder()
	all.SetCPUUtilization(0.5)
	srv := weir.NewServer()
	if err := theirs.Register(srv, theirs.ServiceOptions{ServerMetricsProvider: all}); err != nil {
		t.Fatal(err)
	}
	cc, err := weir.NewClient(start(t, srv), weir.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	st, err := service.NewOpenRcaServiceClient(cc).StreamCoreMetrics(t.Context(), &service.OrcaLoadReportRequest{ReportInterval: durationpb.New(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := st.Recv(); err != nil || r.GetCpuUtilization() != 0.5 {
		t.Errorf("the service reports %v, %v", r, err)
	}
}

// What a handler has left behind may ask for the recorder while the call ends.
func TestCallMetricsRecorder_AskedForLate(t *testing.T) {
	asked := make(chan theirs.CallMetricsRecorder)
	_, err := orca.UnaryServerInterceptor(nil)(t.Context(), nil, nil, func(ctx context.Context, _ any) (any, error) {
		go func() { asked <- orca.CallMetricsRecorderFromContext(ctx) }()
		return nil, nil
	})
	if r := <-asked; err != nil || r == nil {
		t.Errorf("the recorder is %v, %v", r, err)
	}
}

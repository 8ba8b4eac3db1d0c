// Package orca reports a server's load with its answers, and reads such
// reports (gRFC A51). It does for weir what google.golang.org/grpc/orca does for
// grpc-go's Server and its balancers: that package's types are used here, and
// its out-of-band service, orca.Register, takes a weir Server as it is.
package orca

import (
	"context"
	"maps"
	"sync"

	pb "github.com/cncf/xds/go/xds/data/orca/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/orca"
	"google.golang.org/protobuf/proto"
)

// TrailerKey is the key of the report in the trailers of a call.
const TrailerKey = "endpoint-load-metrics-bin"

// UnaryServerInterceptor makes an interceptor with which unary handlers report
// load. What a handler sets on the recorder of CallMetricsRecorderFromContext
// goes with the trailers, completed by what all has, which may be nil. A call
// whose handler asks for no recorder reports nothing. Together with
// StreamServerInterceptor it does what orca.CallMetricsServerOption does in
// grpc-go, whose value weir cannot read. It works on grpc-go's Server, too, and
// belongs first in the chain.
func UnaryServerInterceptor(all orca.ServerMetricsProvider) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		c := new(call)
		reply, err := handle(context.WithValue(ctx, callKey{}, c), req)
		if md := c.trailer(all); md != nil {
			_ = grpc.SetTrailer(ctx, md) // fails only off a server, where nobody reads it
		}
		return reply, err
	}
}

// StreamServerInterceptor is UnaryServerInterceptor for streams.
func StreamServerInterceptor(all orca.ServerMetricsProvider) grpc.StreamServerInterceptor {
	return func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
		c := new(call)
		err := handle(srv, &stream{ServerStream: ss, ctx: context.WithValue(ss.Context(), callKey{}, c)})
		if md := c.trailer(all); md != nil {
			ss.SetTrailer(md)
		}
		return err
	}
}

// CallMetricsRecorderFromContext gives the recorder on which a handler sets the
// load of its call, or nil if the Server has no interceptor of this package. It
// takes the place of grpc-go's function of this name, which knows grpc-go's own
// interceptors only. Several goroutines may use the recorder at a time, if one
// of them sets.
func CallMetricsRecorderFromContext(ctx context.Context) orca.CallMetricsRecorder {
	c, ok := ctx.Value(callKey{}).(*call)
	if !ok {
		return nil
	}
	return c.recorder()
}

type callKey struct{}

// call has the recorder of a call, once somebody has asked for it: the handler, or
// what it has left behind.
type call struct {
	mu sync.Mutex
	r  orca.CallMetricsRecorder // guarded by mu
}

func (c *call) recorder() orca.CallMetricsRecorder {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.r == nil {
		// What grpc-go makes for out-of-band reports is all that a call needs too.
		c.r, _ = orca.NewServerMetricsRecorder().(orca.CallMetricsRecorder)
	}
	return c.r
}

// trailer gives what the trailers have of the report, or nil.
func (c *call) trailer(all orca.ServerMetricsProvider) metadata.MD {
	c.mu.Lock()
	r := c.r
	c.mu.Unlock()
	if r == nil {
		return nil
	}
	var base *orca.ServerMetrics
	if all != nil {
		base = all.ServerMetrics()
	}
	b, err := proto.Marshal(report(r.ServerMetrics(), base))
	if err != nil {
		return nil // a name is not UTF-8
	}
	return metadata.Pairs(TrailerKey, string(b))
}

// report is what m says, and base where m says nothing.
func report(m, base *orca.ServerMetrics) *pb.OrcaLoadReport {
	out := &pb.OrcaLoadReport{Utilization: map[string]float64{}, RequestCost: map[string]float64{}, NamedMetrics: map[string]float64{}}
	for _, from := range []*orca.ServerMetrics{base, m} {
		if from == nil {
			continue
		}
		set(&out.CpuUtilization, from.CPUUtilization)
		set(&out.MemUtilization, from.MemUtilization)
		set(&out.ApplicationUtilization, from.AppUtilization)
		set(&out.RpsFractional, from.QPS)
		set(&out.Eps, from.EPS)
		maps.Copy(out.Utilization, from.Utilization)
		maps.Copy(out.RequestCost, from.RequestCost)
		maps.Copy(out.NamedMetrics, from.NamedMetrics)
	}
	return out
}

// set sets what is known: grpc-go marks what is not with -1.
func set(to *float64, value float64) {
	if value >= 0 {
		*to = value
	}
}

// stream is a stream whose context has the recorder.
type stream struct {
	grpc.ServerStream

	ctx context.Context
}

func (s *stream) Context() context.Context { return s.ctx }

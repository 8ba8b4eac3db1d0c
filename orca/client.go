package orca

import (
	"context"
	"fmt"
	"net"

	pb "github.com/cncf/xds/go/xds/data/orca/v3"
	"github.com/weir-rpc/weir"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/protobuf/proto"
)

// FromTrailer reads the report in the trailers of a call, those of the call
// option grpc.Trailer for example. It gives nil without an error if there is
// none.
func FromTrailer(md metadata.MD) (*pb.OrcaLoadReport, error) {
	values := md.Get(TrailerKey)
	switch len(values) {
	case 0:
		return nil, nil
	case 1:
	default:
		return nil, fmt.Errorf("orca: the server sent %d load reports (%s) with one call", len(values), TrailerKey)
	}
	r := new(pb.OrcaLoadReport)
	if err := proto.Unmarshal([]byte(values[0]), r); err != nil {
		return nil, fmt.Errorf("orca: what the server sent as %s is no load report: %w", TrailerKey, err)
	}
	return r, nil
}

// WithReports makes a Client tell f of each report that comes with a call:
// which server it is from, and the report. The context is that of the call's
// attempt. Reports that cannot be read are left out. f is called by the
// goroutine that ends the call, which waits for it, and by several at a time.
func WithReports(f func(ctx context.Context, server net.Addr, report *pb.OrcaLoadReport)) weir.DialOption {
	return weir.WithStatsHandler(reports{f})
}

// reports hears of trailers.
type reports struct {
	tell func(context.Context, net.Addr, *pb.OrcaLoadReport)
}

type serverKey struct{}

// TagRPC makes room for the address of the server.
func (reports) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	return context.WithValue(ctx, serverKey{}, new(net.Addr))
}

// HandleRPC implements stats.Handler.
func (r reports) HandleRPC(ctx context.Context, s stats.RPCStats) {
	server, _ := ctx.Value(serverKey{}).(*net.Addr)
	switch s := s.(type) {
	case *stats.OutHeader:
		*server = s.RemoteAddr
	case *stats.InTrailer:
		if report, err := FromTrailer(s.Trailer); err == nil && report != nil {
			r.tell(ctx, *server, report)
		}
	}
}

// TagConn implements stats.Handler.
func (reports) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (reports) HandleConn(context.Context, stats.ConnStats) {}

package peers

import (
	"context"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
)

type (
	interceptedKey struct{}
	taggedKey      struct{}
)

// withMetadata gives a call its keys, but for the one that the interceptor
// adds.
func withMetadata(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx,
		metadataKeys[0], "7f0c2a9e-3a51-4d0f-9d6e-5b1f0e8c4a11",
		metadataKeys[1], "north-sea",
		metadataKeys[2], "weirbench/1.0",
		metadataKeys[3], "192.0.2.17",
		metadataKeys[4], "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		metadataKeys[5], "weir=00f067aa0ba902b7",
		metadataKeys[6], "2026-01",
	)
}

// interceptClient adds the last key, so that no call passes without it.
func interceptClient(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	ctx = metadata.AppendToOutgoingContext(ctx, metadataKeys[7], "Bearer eyJhbGciOiJub25lIn0")
	return invoker(ctx, method, req, reply, cc, opts...)
}

func interceptServer(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	return handler(context.WithValue(ctx, interceptedKey{}, true), req)
}

// observer is a stats handler that counts.
type observer struct {
	began, ended, events atomic.Int64
}

// TagRPC implements stats.Handler.
func (o *observer) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	return context.WithValue(ctx, taggedKey{}, o)
}

// HandleRPC implements stats.Handler.
func (o *observer) HandleRPC(_ context.Context, s stats.RPCStats) {
	switch s.(type) {
	case *stats.Begin:
		o.began.Add(1)
	case *stats.End:
		o.ended.Add(1)
	}
	o.events.Add(1)
}

// TagConn implements stats.Handler.
func (*observer) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (*observer) HandleConn(context.Context, stats.ConnStats) {}

package peers

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
)

// metadataOfAll is what a call has after the interceptor.
func metadataOfAll(ctx context.Context) context.Context {
	var md metadata.MD
	_ = interceptClient(withMetadata(ctx), "", nil, nil, nil,
		func(ctx context.Context, _ string, _, _ any, _ *grpc.ClientConn, _ ...grpc.CallOption) error {
			md, _ = metadata.FromOutgoingContext(ctx)
			return nil
		})
	return metadata.NewOutgoingContext(ctx, md)
}

// incoming plays the wire.
func incoming(ctx context.Context) context.Context {
	md, _ := metadata.FromOutgoingContext(ctx)
	return metadata.NewIncomingContext(ctx, md)
}

func TestMetadata(t *testing.T) {
	md, _ := metadata.FromOutgoingContext(metadataOfAll(t.Context()))
	if len(md) != len(metadataKeys) {
		t.Errorf("%d keys, want %d: %v", len(md), len(metadataKeys), md)
	}
	for _, key := range metadataKeys {
		if len(md.Get(key)) != 1 {
			t.Errorf("%s has the values %q, want one", key, md.Get(key))
		}
	}
}

func TestObserver(t *testing.T) {
	o := new(observer)
	for _, s := range []stats.RPCStats{&stats.Begin{}, &stats.InPayload{}, &stats.End{}} {
		o.HandleRPC(t.Context(), s)
	}
	if o.began.Load() != 1 || o.ended.Load() != 1 || o.events.Load() != 3 {
		t.Errorf("%d began, %d ended, %d events; want 1, 1 and 3", o.began.Load(), o.ended.Load(), o.events.Load())
	}
}

package ecosystem

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/zstd"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
)

// encodings notes how the calls of a client are compressed.
type encodings struct {
	mu   sync.Mutex
	seen []string
}

func (*encodings) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (*encodings) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (*encodings) HandleConn(context.Context, stats.ConnStats)                       {}
func (e *encodings) HandleRPC(_ context.Context, s stats.RPCStats) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch s := s.(type) {
	case *stats.OutHeader:
		e.seen = append(e.seen, "asked with "+s.Compression)
	case *stats.InHeader:
		e.seen = append(e.seen, "answered with "+s.Compression)
	}
}

// chooser answers with zstd if the client accepts it.
type chooser struct{ service }

func (c chooser) UnaryCall(ctx context.Context, in *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	names, err := weir.ClientSupportedCompressors(ctx)
	if err == nil && slices.Contains(names, zstd.Name) {
		err = weir.SetSendCompressor(ctx, zstd.Name)
	}
	if err != nil {
		return nil, err
	}
	return c.service.UnaryCall(ctx, in)
}

// Feature: zstd
//
// Calls and answers are compressed with zstd, on request and by the server's
// choice, between weir and grpc-go in both directions; a small message that is
// large when it is decompressed is refused.
func TestZstd(t *testing.T) {
	large := bytes.Repeat([]byte("words that are repeated, "), 20_000)
	for _, tt := range []struct {
		name     string
		ours     bool // the client
		srv      serving
		impl     testgrpc.TestServiceServer
		compress bool
		want     []string
	}{
		{"weir to weir", true, weir.NewServer(), service{}, true, []string{"asked with zstd", "answered with zstd"}},
		{"weir to grpc-go", true, grpc.NewServer(), service{}, true, []string{"asked with zstd", "answered with zstd"}},
		{"grpc-go to weir", false, weir.NewServer(), service{}, true, []string{"asked with zstd", "answered with zstd"}},
		{"weir's server chooses, for weir", true, weir.NewServer(), chooser{}, false, []string{"asked with ", "answered with zstd"}},
		{"weir's server chooses, for grpc-go", false, weir.NewServer(), chooser{}, false, []string{"asked with ", "answered with zstd"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			testgrpc.RegisterTestServiceServer(tt.srv.(grpc.ServiceRegistrar), tt.impl)
			lis := listen(t)
			start(t, tt.srv, lis)
			e := new(encodings)
			stub := testgrpc.NewTestServiceClient(dialed(t, tt.ours, "passthrough:///"+lis.Addr().String(), weir.WithStatsHandler(e), grpc.WithStatsHandler(e)))
			var opts []grpc.CallOption
			if tt.compress {
				opts = append(opts, grpc.UseCompressor(zstd.Name))
			}
			out, err := stub.UnaryCall(t.Context(), &testgrpc.SimpleRequest{Payload: &testgrpc.Payload{Body: large}}, opts...)
			if err != nil || !bytes.Equal(out.GetPayload().GetBody(), large) {
				t.Fatalf("%d octets come back, %v", len(out.GetPayload().GetBody()), err)
			}
			if !slices.Equal(e.seen, tt.want) {
				t.Errorf("the call was %q, want %q", e.seen, tt.want)
			}
			if !tt.compress {
				return
			}
			_, err = stub.UnaryCall(t.Context(), &testgrpc.SimpleRequest{Payload: &testgrpc.Payload{Body: make([]byte, 64<<20)}}, opts...)
			if status.Code(err) != codes.ResourceExhausted {
				t.Errorf("64 MiB of zeros: %v, want RESOURCE_EXHAUSTED", err)
			}
		})
	}
}

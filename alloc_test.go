package weir_test

import (
	"bytes"
	"context"
	"io"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/allocs"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
)

// What a call allocates over loopback through the generated stubs, those of
// client, server, stub, handler and messages together. No unary call without
// more may cost more than 12; what is asked for is what it costs.
func TestUnaryAllocationBudget(t *testing.T) {
	if !allocs.Alone(t) {
		return
	}
	c, _ := pairings[0].start(t, mirror{})
	observed := observedClient(t)
	eight := metadata.Pairs("k-1", "v-1", "k-2", "v-2", "k-3", "v-3", "k-4", "v-4", "k-5", "v-5", "k-6", "v-6", "k-7", "v-7", "k-8", "v-8")
	empty, small := new(testpb.Empty), payload(32)
	for _, tt := range []struct {
		name   string
		budget float64
		call   func(ctx context.Context) error
	}{
		{"empty", 5, func(ctx context.Context) error {
			_, err := c.EmptyCall(ctx, empty)
			return err
		}},
		{"32 octets each way", 9, func(ctx context.Context) error { // eight are the stubs', messages, payloads and bodies
			_, err := c.UnaryCall(ctx, small)
			return err
		}},
		{"1 KiB each way", 9, func(ctx context.Context) error {
			_, err := c.UnaryCall(ctx, payload1K)
			return err
		}},
		{"with a deadline", 15, func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, time.Minute) // five are the context's own
			defer cancel()
			_, err := c.UnaryCall(ctx, small)
			return err
		}},
		{"observed", 32, func(ctx context.Context) error {
			_, err := observed.UnaryCall(metadata.NewOutgoingContext(ctx, eight), small)
			return err
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			allocs.Budget(t, tt.budget, 2000, func() error { return tt.call(t.Context()) })
		})
	}
}

// What a message of a stream allocates, on both sides together.
func TestStreamAllocationBudget(t *testing.T) {
	if !allocs.Alone(t) {
		return
	}
	c, _ := pairings[0].start(t, mirror{})
	t.Run("there and back", func(t *testing.T) { // six are messages, payloads and bodies
		s, err := c.FullDuplexCall(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		in := &testpb.StreamingOutputCallRequest{Payload: payload(32).Payload}
		allocs.Budget(t, 6, 2000, func() error {
			if err := s.Send(in); err != nil {
				return err
			}
			_, err := s.Recv()
			return err
		})
		if err := s.CloseSend(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Recv(); err != io.EOF {
			t.Fatal(err)
		}
	})
	t.Run("from the server", func(t *testing.T) { // three are message, payload and body
		s, err := c.StreamingOutputCall(t.Context(), &testpb.StreamingOutputCallRequest{Payload: payload(32).Payload})
		if err != nil {
			t.Fatal(err)
		}
		allocs.Budget(t, 3, 20000, func() error {
			_, err := s.Recv()
			return err
		})
	})
}

var payload1K = payload(1 << 10)

func payload(n int) *testpb.SimpleRequest {
	return &testpb.SimpleRequest{Payload: &testpb.Payload{Body: bytes.Repeat([]byte{'x'}, n)}}
}

// mirror answers with the payload that it got.
type mirror struct{ echo }

func (mirror) UnaryCall(_ context.Context, in *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	return &testpb.SimpleResponse{Payload: in.GetPayload()}, nil
}

func (mirror) FullDuplexCall(s testpb.TestService_FullDuplexCallServer) error {
	var out testpb.StreamingOutputCallResponse
	for {
		in, err := s.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		out.Payload = in.GetPayload()
		if err := s.Send(&out); err != nil {
			return err
		}
	}
}

// StreamingOutputCall sends as long as somebody takes it.
func (mirror) StreamingOutputCall(in *testpb.StreamingOutputCallRequest, s testpb.TestService_StreamingOutputCallServer) error {
	out := &testpb.StreamingOutputCallResponse{Payload: in.GetPayload()}
	for {
		if err := s.Send(out); err != nil {
			return err
		}
	}
}

// observedClient calls a server, both with an interceptor and a stats handler.
func observedClient(t *testing.T) testpb.TestServiceClient {
	t.Helper()
	srv, lis := weir.NewServer(weir.StatsHandler(indifferent{}), weir.UnaryInterceptor(
		func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
			return handler(ctx, req)
		})), listen(t)
	testpb.RegisterTestServiceServer(srv, mirror{})
	background(t, srv, lis)
	return testpb.NewTestServiceClient(newWeirClient(t, "passthrough:///"+lis.Addr().String(),
		weir.WithTransportCredentials(insecure.NewCredentials()), weir.WithStatsHandler(indifferent{}), weir.WithUnaryInterceptor(
			func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
				return invoke(ctx, method, req, reply, cc, opts...)
			})))
}

// indifferent is a stats handler that does nothing.
type indifferent struct{}

func (indifferent) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (indifferent) HandleRPC(context.Context, stats.RPCStats)                         {}
func (indifferent) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (indifferent) HandleConn(context.Context, stats.ConnStats)                       {}

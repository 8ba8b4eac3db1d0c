package inproc_test

import (
	"context"
	"net"
	"testing"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/inproc"
	"github.com/weir-rpc/weir/internal/allocs"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/test/bufconn"
)

// echo is a service that does nothing else.
type echo struct {
	testpb.UnimplementedTestServiceServer
}

func (echo) UnaryCall(_ context.Context, in *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	return &testpb.SimpleResponse{Payload: in.GetPayload()}, nil
}

func (echo) FullDuplexCall(s grpc.BidiStreamingServer[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]) error {
	for {
		in, err := s.Recv()
		if err != nil {
			return ignoreEOF(err)
		}
		if err := s.Send(&testpb.StreamingOutputCallResponse{Payload: in.GetPayload()}); err != nil {
			return err
		}
	}
}

// connect makes a client and its server, in-process, so with messages handed
// over, or over bufconn.
func connect(tb testing.TB, name string) testpb.TestServiceClient {
	tb.Helper()
	srv := weir.NewServer()
	testpb.RegisterTestServiceServer(srv, echo{})
	var client *weir.Client
	var err error
	switch name {
	case "inproc":
		client, err = inproc.NewClient(srv)
	case "handover":
		client, err = inproc.NewClient(srv, weir.WithHandOver())
	default:
		lis := bufconn.Listen(1 << 20)
		go func() { _ = srv.Serve(lis) }()
		client, err = weir.NewClient("passthrough:///bufconn",
			weir.WithTransportCredentials(insecure.NewCredentials()),
			weir.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }))
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = client.Close(); srv.Stop() })
	return testpb.NewTestServiceClient(client)
}

func payload(n int) *testpb.Payload { return &testpb.Payload{Body: make([]byte, n)} }

// What a call allocates, with stubs, handler and messages.
func TestAllocationBudget(t *testing.T) {
	if !allocs.Alone(t) {
		return
	}
	c := connect(t, "inproc")
	small := &testpb.SimpleRequest{Payload: payload(32)}
	t.Run("unary", func(t *testing.T) { // eight are the stubs', messages, payloads and bodies
		allocs.Budget(t, 11, 2000, func() error {
			_, err := c.UnaryCall(t.Context(), small)
			return err
		})
	})
	t.Run("message of a stream", func(t *testing.T) { // they are messages, payloads and bodies
		s, err := c.FullDuplexCall(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		in := &testpb.StreamingOutputCallRequest{Payload: payload(32)}
		allocs.Budget(t, 7, 2000, func() error {
			if err := s.Send(in); err != nil {
				return err
			}
			_, err := s.Recv()
			return err
		})
		if err := s.CloseSend(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Recv(); err == nil {
			t.Fatal("a message after the end")
		}
	})
}

func BenchmarkUnary(b *testing.B) {
	for _, name := range []string{"inproc", "handover", "bufconn"} {
		b.Run(name, func(b *testing.B) {
			c := connect(b, name)
			small := &testpb.SimpleRequest{Payload: payload(32)}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.UnaryCall(b.Context(), small); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkStream(b *testing.B) {
	for _, name := range []string{"inproc", "handover", "bufconn"} {
		for _, size := range []int{32, 64 << 10} {
			b.Run(name+map[bool]string{true: "-small", false: "-64KiB"}[size == 32], func(b *testing.B) {
				s, err := connect(b, name).FullDuplexCall(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				in := &testpb.StreamingOutputCallRequest{Payload: payload(size)}
				b.ReportAllocs()
				b.SetBytes(int64(2 * size))
				for b.Loop() {
					if err := s.Send(in); err != nil {
						b.Fatal(err)
					}
					if _, err := s.Recv(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

package weir_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc"
	"google.golang.org/grpc/stats"
	"google.golang.org/protobuf/proto"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// payloads notes the messages that a stats handler is told to be sent.
type payloads struct{ trace }

func (*payloads) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (*payloads) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (*payloads) HandleConn(context.Context, stats.ConnStats)                       {}
func (p *payloads) HandleRPC(_ context.Context, s stats.RPCStats) {
	if out, ok := s.(*stats.OutPayload); ok {
		p.note("%T", out.Payload)
	}
}

// looking is an interceptor's stream: it notes what passes.
type looking struct {
	grpc.ClientStream
	*trace
}

func (s looking) SendMsg(m any) error {
	p, ok := m.(proto.Message)
	if ok {
		s.note("%s, %d octets", p.ProtoReflect().Descriptor().Name(), proto.Size(p))
	}
	return s.ClientStream.SendMsg(m)
}

// Messages that are sent within a context pass interceptors as what they are, and
// on streams that know nothing of it they are sent all the same.
func TestSendMsgContext_Interceptors(t *testing.T) {
	for _, p := range pairings {
		t.Run(p.name, func(t *testing.T) {
			var seen trace
			told := new(payloads)
			interceptor := func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
				s, err := streamer(ctx, desc, cc, method, opts...)
				return looking{s, &seen}, err
			}
			address := serveOn(t, p, mirror{})
			var c anyClient
			if p.weirClient {
				c = newWeirClient(t, address, weir.WithStreamInterceptor(interceptor), weir.WithStatsHandler(told))
			} else {
				c = newGRPCClient(t, address, grpc.WithStreamInterceptor(interceptor))
			}
			s, err := testpb.NewTestServiceClient(c).FullDuplexCall(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			message := &testpb.StreamingOutputCallRequest{Payload: &testpb.Payload{Body: []byte("hello")}}
			if err := weir.SendMsgContext(t.Context(), s, message); err != nil {
				t.Fatal(err)
			}
			if sent, err := weir.TrySend(s, message); !sent || err != nil {
				t.Fatal(sent, err)
			}
			want := 2
			if p.weirClient {
				want++
				if err := weir.SendMsgContext(t.Context(), s, weir.Uncompressed(message)); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.CloseSend(); err != nil {
				t.Fatal(err)
			}
			for range want {
				if m, err := s.Recv(); err != nil || string(m.Payload.Body) != "hello" {
					t.Fatalf("the answer is %v, %v", m, err)
				}
			}
			line := fmt.Sprintf("StreamingOutputCallRequest, %d octets", proto.Size(message))
			seen.want(t, line, line) // one that is wrapped otherwise is not a proto.Message
			if p.weirClient {
				told.want(t, fmt.Sprintf("%T", message), fmt.Sprintf("%T", message), fmt.Sprintf("%T", message))
			}
		})
	}
}

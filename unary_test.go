package weir_test

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// echo answers a unary call with a body of the size that is asked for, made of
// the request's first octet.
type echo struct {
	testpb.UnimplementedTestServiceServer
}

func (echo) EmptyCall(context.Context, *testpb.Empty) (*testpb.Empty, error) {
	return &testpb.Empty{}, nil
}

func (echo) UnaryCall(ctx context.Context, in *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	if s := in.GetResponseStatus(); s.GetCode() != 0 {
		st, err := status.New(codes.Code(s.Code), s.Message).WithDetails(&testpb.EchoStatus{Code: 7, Message: "detail"})
		if err != nil {
			return nil, err
		}
		return nil, st.Err()
	}
	if md, ok := metadata.FromIncomingContext(ctx); ok {
		if v := md.Get("x-echo"); len(v) > 0 {
			if err := grpc.SetHeader(ctx, metadata.Pairs("x-echo", v[0])); err != nil {
				return nil, err
			}
		}
		if v := md.Get("x-echo-bin"); len(v) > 0 {
			if err := grpc.SetTrailer(ctx, metadata.Pairs("x-echo-bin", v[0])); err != nil {
				return nil, err
			}
		}
	}
	var fill byte
	if b := in.GetPayload().GetBody(); len(b) > 0 {
		fill = b[0]
	}
	return &testpb.SimpleResponse{Payload: &testpb.Payload{Body: bytes.Repeat([]byte{fill}, int(in.GetResponseSize()))}}, nil
}

func TestUnarySizes(t *testing.T) {
	testPairings(t, echo{}, func(ctx context.Context, t *testing.T, c testpb.TestServiceClient) {
		for _, n := range []int{0, 1, 31, 16383, 16384, 16385, 65535, 65536, 131072, 1 << 20, 20 << 20} {
			in := &testpb.SimpleRequest{ResponseSize: int32(n), Payload: &testpb.Payload{Body: bytes.Repeat([]byte{'x'}, n)}}
			out, err := c.UnaryCall(ctx, in)
			if err != nil {
				t.Fatalf("%d octets: %v", n, err)
			}
			want := byte('x')
			if n == 0 {
				want = 0
			}
			if got := out.GetPayload().GetBody(); !bytes.Equal(got, bytes.Repeat([]byte{want}, n)) {
				t.Fatalf("%d octets: the answer has %d, or other ones", n, len(got))
			}
		}
	})
}

func TestUnaryManyAtOnce(t *testing.T) {
	testPairings(t, echo{}, func(ctx context.Context, t *testing.T, c testpb.TestServiceClient) {
		var wg sync.WaitGroup
		for g := range 64 {
			wg.Go(func() {
				for i := range 50 {
					n := (g*131 + i*977) % 3000
					out, err := c.UnaryCall(ctx, &testpb.SimpleRequest{ResponseSize: int32(n), Payload: &testpb.Payload{Body: []byte{byte(g)}}})
					if err != nil {
						t.Errorf("call %d of %d: %v", i, g, err)
						return
					}
					if b := out.GetPayload().GetBody(); len(b) != n || n > 0 && b[0] != byte(g) {
						t.Errorf("call %d of %d: an answer that is not its own", i, g)
						return
					}
				}
			})
		}
		wg.Wait()
	})
}

func TestUnaryStatusWithDetails(t *testing.T) {
	testPairings(t, echo{}, func(ctx context.Context, t *testing.T, c testpb.TestServiceClient) {
		const text = "not here: 100% of it\n\tund überhaupt ☺"
		_, err := c.UnaryCall(ctx, &testpb.SimpleRequest{ResponseStatus: &testpb.EchoStatus{Code: int32(codes.NotFound), Message: text}})
		st := status.Convert(err)
		if st.Code() != codes.NotFound || st.Message() != text {
			t.Fatalf("got %v %q, want NotFound %q", st.Code(), st.Message(), text)
		}
		if d := st.Details(); len(d) != 1 || d[0].(*testpb.EchoStatus).GetMessage() != "detail" {
			t.Fatalf("details %v", d)
		}
	})
}

func TestUnaryMetadata(t *testing.T) {
	testPairings(t, echo{}, func(ctx context.Context, t *testing.T, c testpb.TestServiceClient) {
		bin := string([]byte{0, 1, 254, 255})
		ctx = metadata.AppendToOutgoingContext(ctx, "x-echo", "hello", "x-echo-bin", bin)
		var header, trailer metadata.MD
		var p peer.Peer
		if _, err := c.UnaryCall(ctx, &testpb.SimpleRequest{}, grpc.Header(&header), grpc.Trailer(&trailer), grpc.Peer(&p)); err != nil {
			t.Fatal(err)
		}
		if v := header.Get("x-echo"); len(v) != 1 || v[0] != "hello" {
			t.Errorf("header %v", header)
		}
		if v := trailer.Get("x-echo-bin"); len(v) != 1 || v[0] != bin {
			t.Errorf("trailer %v", trailer)
		}
		if p.Addr == nil {
			t.Error("no peer address")
		}
	})
}

func TestUnaryUnimplemented(t *testing.T) {
	testPairings(t, echo{}, func(ctx context.Context, t *testing.T, c testpb.TestServiceClient) {
		if _, err := c.UnimplementedCall(ctx, &testpb.Empty{}); status.Code(err) != codes.Unimplemented {
			t.Errorf("got %v, want UNIMPLEMENTED", err)
		}
	})
}

func TestUnaryExpiredDeadline(t *testing.T) {
	testPairings(t, echo{}, func(ctx context.Context, t *testing.T, c testpb.TestServiceClient) {
		ctx, cancel := context.WithTimeout(ctx, -time.Second)
		defer cancel()
		if _, err := c.EmptyCall(ctx, &testpb.Empty{}); status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("got %v, want DEADLINE_EXCEEDED", err)
		}
	})
}

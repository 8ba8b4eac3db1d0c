package weir_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// streamer serves the three kinds of streams. What ends a handler's context it
// tells on ended.
type streamer struct {
	echo
	ended chan error
}

func newStreamer() *streamer { return &streamer{ended: make(chan error, 16)} }

func (*streamer) StreamingInputCall(s grpc.ClientStreamingServer[testpb.StreamingInputCallRequest, testpb.StreamingInputCallResponse]) error {
	n := 0
	for {
		in, err := s.Recv()
		if err == io.EOF {
			return s.SendAndClose(&testpb.StreamingInputCallResponse{AggregatedPayloadSize: int32(n)})
		}
		if err != nil {
			return err
		}
		n += len(in.GetPayload().GetBody())
	}
}

func (*streamer) StreamingOutputCall(in *testpb.StreamingOutputCallRequest, s grpc.ServerStreamingServer[testpb.StreamingOutputCallResponse]) error {
	for i, p := range in.GetResponseParameters() {
		if err := s.Send(&testpb.StreamingOutputCallResponse{Payload: &testpb.Payload{Body: bytes.Repeat([]byte{byte(i)}, int(p.GetSize()))}}); err != nil {
			return err
		}
	}
	return nil
}

func (h *streamer) FullDuplexCall(s grpc.BidiStreamingServer[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]) error {
	if md, ok := metadata.FromIncomingContext(s.Context()); ok && len(md.Get("x-wait")) > 0 {
		if err := s.SendHeader(metadata.Pairs("x-waiting", "yes")); err != nil {
			return err
		}
		<-s.Context().Done()
		h.ended <- context.Cause(s.Context())
		return s.Context().Err()
	}
	for {
		in, err := s.Recv()
		if err == io.EOF {
			s.SetTrailer(metadata.Pairs("x-end", "yes"))
			return nil
		}
		if err != nil {
			return err
		}
		if st := in.GetResponseStatus(); st.GetCode() != 0 {
			return status.Error(codes.Code(st.Code), st.Message)
		}
		for _, p := range in.GetResponseParameters() {
			if err := s.Send(&testpb.StreamingOutputCallResponse{Payload: &testpb.Payload{Body: make([]byte, p.GetSize())}}); err != nil {
				return err
			}
		}
	}
}

func TestClientStreaming(t *testing.T) {
	testPairings(t, newStreamer(), func(ctx context.Context, t *testing.T, c testpb.TestServiceClient) {
		s, err := c.StreamingInputCall(ctx)
		if err != nil {
			t.Fatal(err)
		}
		want := 0
		for i := range 200 {
			n := i * i * 7 % 50_000
			want += n
			if err := s.Send(&testpb.StreamingInputCallRequest{Payload: &testpb.Payload{Body: make([]byte, n)}}); err != nil {
				t.Fatal(err)
			}
		}
		out, err := s.CloseAndRecv()
		if err != nil || int(out.GetAggregatedPayloadSize()) != want {
			t.Fatalf("got %v, %v, want %d octets", out, err, want)
		}
	})
}

func TestServerStreaming(t *testing.T) {
	testPairings(t, newStreamer(), func(ctx context.Context, t *testing.T, c testpb.TestServiceClient) {
		in := &testpb.StreamingOutputCallRequest{}
		for i := range 300 {
			in.ResponseParameters = append(in.ResponseParameters, &testpb.ResponseParameters{Size: int32(i * 331 % 40_000)})
		}
		s, err := c.StreamingOutputCall(ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range in.ResponseParameters {
			out, err := s.Recv()
			if err != nil {
				t.Fatalf("message %d: %v", i, err)
			}
			if b := out.GetPayload().GetBody(); len(b) != int(p.Size) || len(b) > 0 && b[0] != byte(i) {
				t.Fatalf("message %d is not the one that was sent", i)
			}
		}
		if _, err := s.Recv(); err != io.EOF {
			t.Fatalf("after the last message: %v, want io.EOF", err)
		}
	})
}

func TestBidiPingPong(t *testing.T) {
	for _, opts := range map[string][]grpc.CallOption{"plain": nil, "gzip": {grpc.UseCompressor("gzip")}} {
		testPairings(t, newStreamer(), func(ctx context.Context, t *testing.T, c testpb.TestServiceClient) {
			s, err := c.FullDuplexCall(ctx, opts...)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range []int{0, 1, 100, 20_000, 300_000, 3 << 20, 5} {
				if err := s.Send(&testpb.StreamingOutputCallRequest{
					ResponseParameters: []*testpb.ResponseParameters{{Size: int32(n)}},
					Payload:            &testpb.Payload{Body: make([]byte, n)},
				}); err != nil {
					t.Fatal(err)
				}
				out, err := s.Recv()
				if err != nil || len(out.GetPayload().GetBody()) != n {
					t.Fatalf("got %d octets, %v, want %d", len(out.GetPayload().GetBody()), err, n)
				}
			}
			if err := s.CloseSend(); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Recv(); err != io.EOF {
				t.Fatalf("got %v, want io.EOF", err)
			}
			if v := s.Trailer().Get("x-end"); len(v) != 1 {
				t.Errorf("trailer %v", s.Trailer())
			}
		})
	}
}

// Both sides send a large message before they receive one: neither may wait for
// the other to read.
func TestBidiBothSendFirst(t *testing.T) {
	testPairings(t, newStreamer(), func(ctx context.Context, t *testing.T, c testpb.TestServiceClient) {
		s, err := c.FullDuplexCall(ctx)
		if err != nil {
			t.Fatal(err)
		}
		const n = 2 << 20
		for range 2 {
			if err := s.Send(&testpb.StreamingOutputCallRequest{
				ResponseParameters: []*testpb.ResponseParameters{{Size: n}},
				Payload:            &testpb.Payload{Body: make([]byte, 60_000)},
			}); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			if out, err := s.Recv(); err != nil || len(out.GetPayload().GetBody()) != n {
				t.Fatalf("got %d octets, %v", len(out.GetPayload().GetBody()), err)
			}
		}
		if err := s.CloseSend(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Recv(); err != io.EOF {
			t.Fatal(err)
		}
	})
}

func TestStreamStatus(t *testing.T) {
	testPairings(t, newStreamer(), func(ctx context.Context, t *testing.T, c testpb.TestServiceClient) {
		s, err := c.FullDuplexCall(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Send(&testpb.StreamingOutputCallRequest{ResponseStatus: &testpb.EchoStatus{Code: int32(codes.DataLoss), Message: "gone"}}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Recv(); status.Code(err) != codes.DataLoss || status.Convert(err).Message() != "gone" {
			t.Fatalf("got %v", err)
		}
	})
}

func TestCancelReachesTheHandler(t *testing.T) {
	h := newStreamer()
	testPairings(t, h, func(ctx context.Context, t *testing.T, c testpb.TestServiceClient) {
		ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(ctx, "x-wait", "1"))
		defer cancel()
		s, err := c.FullDuplexCall(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if md, err := s.Header(); err != nil || len(md.Get("x-waiting")) != 1 {
			t.Fatalf("header %v, %v", md, err)
		}
		cancel()
		if _, err := s.Recv(); status.Code(err) != codes.Canceled {
			t.Fatalf("got %v, want CANCELLED", err)
		}
		if err := <-h.ended; err == nil {
			t.Fatal("the handler's context ended without a cause")
		}
	})
}

// shortLived opens a stream whose deadline passes when its handler runs and has sent
// headers: on a machine that is busy the first deadlines are too early.
func shortLived(ctx context.Context, t *testing.T, c testpb.TestServiceClient) duplex {
	t.Helper()
	for limit := 50 * time.Millisecond; limit < time.Minute; limit *= 2 {
		short, cancel := context.WithTimeout(ctx, limit)
		t.Cleanup(cancel)
		s, err := c.FullDuplexCall(short)
		if err == nil {
			if md, _ := s.Header(); md != nil {
				return s
			}
		}
	}
	t.Fatal("no stream has headers before its deadline")
	return nil
}

func TestDeadlineOnBothSides(t *testing.T) {
	h := newStreamer()
	testPairings(t, h, func(ctx context.Context, t *testing.T, c testpb.TestServiceClient) {
		s := shortLived(metadata.AppendToOutgoingContext(ctx, "x-wait", "1"), t, c)
		if _, err := s.Recv(); status.Code(err) != codes.DeadlineExceeded {
			t.Fatalf("got %v, want DEADLINE_EXCEEDED", err)
		}
		if err := <-h.ended; err == nil || !errors.Is(err, context.DeadlineExceeded) && status.Code(err) != codes.Canceled && !errors.Is(err, context.Canceled) {
			t.Fatalf("the handler's context ended with %v", err)
		}
	})
}

// A client that leaves a stream with messages unread leaves nothing behind.
func TestLeaveStreamUnread(t *testing.T) {
	testPairings(t, newStreamer(), func(ctx context.Context, t *testing.T, c testpb.TestServiceClient) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		in := &testpb.StreamingOutputCallRequest{}
		for range 100 {
			in.ResponseParameters = append(in.ResponseParameters, &testpb.ResponseParameters{Size: 30_000})
		}
		s, err := c.StreamingOutputCall(ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Recv(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestMessageTooLarge(t *testing.T) {
	testPairings(t, newStreamer(), func(ctx context.Context, t *testing.T, c testpb.TestServiceClient) {
		big := make([]byte, maxMessage+1)
		if _, err := c.UnaryCall(ctx, &testpb.SimpleRequest{Payload: &testpb.Payload{Body: big}}); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("too large for the server: %v, want RESOURCE_EXHAUSTED", err)
		}
		if _, err := c.UnaryCall(ctx, &testpb.SimpleRequest{ResponseSize: 1000}, grpc.MaxCallRecvMsgSize(999)); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("too large for the client: %v, want RESOURCE_EXHAUSTED", err)
		}
		if _, err := c.UnaryCall(ctx, &testpb.SimpleRequest{Payload: &testpb.Payload{Body: big[:1000]}}, grpc.MaxCallSendMsgSize(999)); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("too large to be sent: %v, want RESOURCE_EXHAUSTED", err)
		}
		if _, err := c.EmptyCall(ctx, &testpb.Empty{}); err != nil {
			t.Errorf("the connection is harmed: %v", err)
		}
	})
}

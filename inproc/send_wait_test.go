package inproc_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/simnet"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// sender is what both ends of a stream have to send with.
type sender interface{ SendMsg(m any) error }

// numbered is a message of 10,000 octets that says which it is.
func numbered(n int) *wrapperspb.BytesValue {
	b := make([]byte, 10_000)
	b[0], b[1] = byte(n), byte(n>>8)
	return &wrapperspb.BytesValue{Value: b}
}

// fill sends messages until one would have to wait, and gives how many it sent.
func fill(t *testing.T, s sender, from int) (sent int) {
	t.Helper()
	for sent = from; ; sent++ {
		ok, err := weir.TrySend(s, numbered(sent))
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return sent
		}
		simnet.Advance(time.Second) // it has left as far as it can
	}
}

// drain receives that many messages, in their order.
func drain(t *testing.T, s interface{ RecvMsg(m any) error }, from, to int) {
	t.Helper()
	for n := from; n < to; n++ {
		m := new(wrapperspb.BytesValue)
		if err := s.RecvMsg(m); err != nil {
			t.Fatalf("message %d of %d: %v", n, to, err)
		}
		if got := int(m.Value[0]) | int(m.Value[1])<<8; got != n {
			t.Fatalf("message %d came in the place of %d", got, n)
		}
	}
}

// play has a stream whose sender is s and whose receiver r reads when it is told:
// what was not sent is not received, and all else is, in its order.
func play(t *testing.T, s sender, receive func(from, to int)) (sent int) {
	t.Helper()
	sent = fill(t, s, 0)
	if sent < 7 || sent > 60 {
		t.Errorf("%d messages of 10,000 octets went without being read", sent)
	}
	start := time.Now()
	why := errors.New("patience")
	ctx, cancel := context.WithTimeoutCause(context.Background(), time.Second, why)
	defer cancel()
	err := weir.SendMsgContext(ctx, s, numbered(9999))
	if took := time.Since(start); took != time.Second || !errors.Is(err, weir.ErrNotSent) || !errors.Is(err, why) {
		t.Errorf("after %v: %v", took, err)
	}
	if status.Code(err) != codes.DeadlineExceeded || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the deadline gives %v", err)
	}

	// There is room again while it waits.
	ctx, cancel = context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	done := make(chan error)
	go func() { done <- weir.SendMsgContext(ctx, s, numbered(sent)) }()
	simnet.Advance(time.Second)
	select {
	case err := <-done:
		t.Errorf("it did not wait: %v", err)
	default:
	}
	receive(0, sent)
	if err := <-done; err != nil {
		t.Error(err)
	}
	receive(sent, sent+1)
	simnet.Advance(time.Second) // credit is on its way
	again := fill(t, s, sent+1)
	if again < sent+7 {
		t.Errorf("after %d messages were received only %d can be sent", sent, again-sent)
	}
	receive(sent+1, again)
	return again
}

// Feature: bounded and non-blocking sends on a stream.
func TestSendMsgContext_OfClient(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		var handler grpc.ServerStream
		begun, end := make(chan struct{}), make(chan struct{})
		w.stream = func(s grpc.ServerStream) error {
			handler = s
			close(begun)
			<-end
			return ignoreEOF(s.RecvMsg(new(wrapperspb.BytesValue)))
		}
		s, err := w.client.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, streamMethod)
		if err != nil {
			t.Fatal(err)
		}
		<-begun
		play(t, s, func(from, to int) { drain(t, handler, from, to) })
		if err := s.CloseSend(); err != nil {
			t.Error(err)
		}
		close(end)
		if err := s.RecvMsg(new(wrapperspb.BytesValue)); err != io.EOF {
			t.Errorf("the call ends with %v", err)
		}
	})
}

func TestSendMsgContext_OfServer(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		var handler grpc.ServerStream
		begun, end := make(chan struct{}), make(chan struct{})
		w.stream = func(s grpc.ServerStream) error {
			handler = s
			close(begun)
			<-end
			return nil
		}
		s, err := w.client.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, streamMethod)
		if err != nil {
			t.Fatal(err)
		}
		<-begun
		play(t, handler, func(from, to int) { drain(t, s, from, to) })
		close(end)
		if err := s.RecvMsg(new(wrapperspb.BytesValue)); err != io.EOF {
			t.Errorf("the call ends with %v", err)
		}
	})
}

// The end of the call ends the wait, as that of SendMsg.
func TestSendMsgContext_CallEnds(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		handler, result, wait := make(chan grpc.ServerStream), make(chan error, 1), make(chan struct{})
		w.stream = func(s grpc.ServerStream) error {
			handler <- s
			<-wait
			result <- weir.SendMsgContext(context.Background(), s, numbered(1))
			return nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		s, err := w.client.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, streamMethod)
		if err != nil {
			t.Fatal(err)
		}
		fill(t, s, 0)
		fill(t, <-handler, 0)
		close(wait)
		done := make(chan error)
		go func() { done <- weir.SendMsgContext(t.Context(), s, numbered(1)) }()
		simnet.Advance(time.Hour)
		cancel()
		if err := <-done; err != io.EOF {
			t.Errorf("the client's wait ends with %v", err)
		}
		if err := <-result; status.Code(err) != codes.Canceled || errors.Is(err, weir.ErrNotSent) {
			t.Errorf("the server's wait ends with %v", err)
		}
	})
}

package transport

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A StreamError is a status, compares by code and side, and unwraps to its
// cause.
func TestStreamError(t *testing.T) {
	lost := new(conn).connLost(&ConnError{By: ByPeer, Reason: "went away"}, true)
	if status.Code(lost) != codes.Unavailable || !lost.Unprocessed || !errors.Is(lost, net.ErrClosed) {
		t.Errorf("a lost connection gives %#v", lost)
	}
	if s, ok := status.FromError(lost); !ok || s != lost.Status || !strings.Contains(lost.Error(), "went away") {
		t.Errorf("FromError gave %v, %v", s, ok)
	}
	if !errors.Is(lost, &StreamError{Code: CodeNoError, By: ByPeer}) || errors.Is(lost, &StreamError{Code: CodeNoError, By: ByLocal}) ||
		errors.Is(lost, &StreamError{Code: CodeCancel, By: ByPeer}) {
		t.Error("Is does not compare code and side")
	}
}

// The error of a context that has ended says its cause.
func TestContextError_SaysItsCause(t *testing.T) {
	cause := errors.New("the user went home")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if e := contextError(ctx); e.Status.Code() != codes.Canceled || !errors.Is(e, cause) || !strings.Contains(e.Error(), "context canceled: the user went home") {
		t.Errorf("a cancelled context gives %v", e)
	}
	plain, stop := context.WithCancel(t.Context())
	stop()
	if e := contextError(plain); !errors.Is(e, context.Canceled) || strings.Count(e.Error(), "canceled") != 1+strings.Count(codes.Canceled.String(), "canceled") {
		t.Errorf("a cancelled context gives %v", e)
	}
	late, end := context.WithTimeoutCause(t.Context(), 0, cause)
	defer end()
	if e := contextError(late); e.Status.Code() != codes.DeadlineExceeded || !errors.Is(e, cause) {
		t.Errorf("a context that is late gives %v", e)
	}
}

package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A ConnError says who, why and with what code, and unwraps to net.ErrClosed
// and its cause.
func TestConnError(t *testing.T) {
	for _, tt := range []struct {
		err  ConnError
		says string
	}{
		{ConnError{By: ByPeer, Reason: "went away"}, "connection closed by peer: went away"},
		{ConnError{By: ByLocal, Code: CodeProtocol, Reason: "nonsense"}, "connection closed by local: nonsense (PROTOCOL_ERROR)"},
		{ConnError{By: ByNetwork, Reason: "cannot read", Cause: io.ErrUnexpectedEOF}, "connection closed by network: cannot read: unexpected EOF"},
		{ConnError{Reason: "zero"}, "connection closed by unknown: zero"},
	} {
		if tt.err.Error() != tt.says {
			t.Errorf("the error says %q, want %q", tt.err.Error(), tt.says)
		}
		if err := error(&tt.err); !errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrUnexpectedEOF) != (tt.err.Cause != nil) {
			t.Errorf("%v unwraps to %v", err, tt.err.Unwrap())
		}
	}
}

// A StreamError is a status, compares by code and side, and unwraps to its
// cause.
func TestStreamError(t *testing.T) {
	lost := connLost(&ConnError{By: ByPeer, Reason: "went away"}, true)
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

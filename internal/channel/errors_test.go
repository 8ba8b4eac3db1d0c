package channel

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
)

// The error of an attempt that took too long leads to both: what did not
// happen, and that it was a deadline.
func TestErrorOfAnAttemptThatTookTooLong(t *testing.T) {
	cause := &connectTimeoutError{3 * time.Second}
	ctx, cancel := context.WithCancelCause(context.Background())
	before := newConnectError(ctx, "a", stepDial, errBroken)
	wantWords(t, before, "cannot connect to a: broken cable")
	if errors.Is(before, context.DeadlineExceeded) {
		t.Error("there was time left")
	}
	cancel(cause)
	late := newConnectError(ctx, "a", stepDial, errBroken)
	wantWords(t, late, "cannot connect to a: broken cable: the connect timeout of 3s is over", "MinConnectTimeout")
	for _, target := range []error{errBroken, context.DeadlineExceeded} {
		if !errors.Is(late, target) {
			t.Errorf("%v is not %v", late, target)
		}
	}
	if itself := newConnectError(ctx, "a", stepDial, cause); itself.Err != error(cause) {
		t.Errorf("the cause is told twice: %v", itself)
	}
}

// All addresses are named, and the errors of all can be found.
func TestRoundError(t *testing.T) {
	err := error(&roundError{errs: []error{
		&ConnectError{Address: "a:1", Err: errBroken, step: stepDial},
		&ConnectError{Address: "b:1", Err: net.ErrClosed, step: stepHTTP2, hint: "try c"},
	}})
	if want := "cannot connect to a:1: broken cable; no HTTP/2 connection with b:1: use of closed network connection (try c)"; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
	if !errors.Is(err, errBroken) || !errors.Is(err, net.ErrClosed) {
		t.Error("the causes are not found")
	}
	if call := unavailable("dns:///x", err); !errors.Is(call, errBroken) || !errors.Is(call, net.ErrClosed) {
		t.Error("the causes are not found in the error of a call")
	}
	wantStatus(t, unavailable("dns:///x", err), codes.Unavailable, "dns:///x", err.Error(), "grpc.WaitForReady(true)", "WithConnectParams")
}

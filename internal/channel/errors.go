package channel

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// step is what failed.
type step string

const (
	stepResolve step = "cannot resolve"
	stepDial    step = "cannot connect to"
	stepSecure  step = "no secure connection with"
	stepHTTP2   step = "no HTTP/2 connection with"
)

// A ConnectError says why there is no connection to one address. errors.As finds
// it in the errors of calls that failed for want of one.
type ConnectError struct {
	// Address is what was dialed, or the host name if it was not found.
	Address string
	// Proxy is the proxy that was to lead there, as a URL without a password.
	// Empty means none.
	Proxy string
	// Permanent is set if time alone will not mend it: the configuration of the
	// client or of the server has to change. It is tried again all the same,
	// because servers get new certificates.
	Permanent bool
	// Err is the cause.
	Err error

	step step
	hint string
}

// newConnectError makes the error of a step. If it is due to the end of ctx it
// says why ctx ended.
func newConnectError(ctx context.Context, address string, s step, err error) *ConnectError {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		err = &endedError{err, cause}
	}
	return &ConnectError{Address: address, Err: err, step: s}
}

// Error names the address, the proxy, the cause and, where one helps, an option.
func (e *ConnectError) Error() string {
	text := string(e.step) + " " + e.Address
	if e.Proxy != "" {
		text += " through the proxy " + e.Proxy
	}
	text += ": " + e.Err.Error()
	if e.hint != "" {
		text += " (" + e.hint + ")"
	}
	return text
}

// Unwrap gives the cause.
func (e *ConnectError) Unwrap() error { return e.Err }

// endedError is what happened because a context ended.
type endedError struct{ err, cause error }

func (e *endedError) Error() string   { return e.err.Error() + ": " + e.cause.Error() }
func (e *endedError) Unwrap() []error { return []error{e.err, e.cause} }

// connectTimeoutError ends the context of an attempt that takes too long.
type connectTimeoutError struct{ after time.Duration }

func (e *connectTimeoutError) Error() string {
	return fmt.Sprintf("the connect timeout of %v is over (WithConnectParams: MinConnectTimeout)", e.after)
}

// Is makes it a context.DeadlineExceeded.
func (e *connectTimeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

// secureError is the error of a connection that was to be secured. A server
// may refuse the client's certificate when the client's handshake is over, so
// this is not only for the handshake.
func secureError(ctx context.Context, address string, s step, err error) *ConnectError {
	e := newConnectError(ctx, address, s, err)
	var (
		refused  *tls.CertificateVerificationError
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
		plain    tls.RecordHeaderError
		op       *net.OpError
	)
	switch {
	case errors.As(err, &refused), errors.As(err, &unknown), errors.As(err, &hostname), errors.As(err, &invalid):
		e.Permanent = true
		e.hint = "the credentials refuse the server's certificate, and time alone will not change that: WithTransportCredentials sets which are trusted and for what name"
	case errors.As(err, &plain):
		e.Permanent = true
		e.hint = "the server does not speak TLS here: WithTransportCredentials(insecure.NewCredentials()) does without"
	case errors.As(err, &op) && op.Op == "remote error": // crypto/tls's word for an alert
		e.Permanent = !strings.Contains(op.Err.Error(), "internal error")
		e.hint = "the server refuses the handshake: WithTransportCredentials sets certificate, protocol versions and server name"
	}
	return e
}

// roundError is why none of the addresses of a target can be used.
type roundError struct {
	errs []error // one for each address, in the order in which they failed
}

func (e *roundError) Error() string {
	if len(e.errs) == 1 {
		return e.errs[0].Error()
	}
	var b strings.Builder
	for i, err := range e.errs {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(err.Error())
	}
	return b.String()
}

// Unwrap gives the errors of the addresses.
func (e *roundError) Unwrap() []error { return e.errs }

var (
	errClosed = status.Error(codes.Canceled, "the client is closed")
	// errNotYet is no answer: the next picker may know.
	errNotYet = errors.New("no connection yet")
	// errNoSlot is no answer either: the connections are there, and full.
	errNoSlot = errors.New("no stream slot is free")
)

// unavailable is how calls fail that do not wait until a connection is ready.
func unavailable(target string, err error) error {
	return &unavailableError{status.Newf(codes.Unavailable,
		"no connection for %s: %v (grpc.WaitForReady(true) makes a call wait for one; WithConnectParams sets when the next attempt is)", target, err), err}
}

// unavailableError is a status with its cause: errors.As finds the ConnectError
// and transport.ConnError in it.
type unavailableError struct {
	status *status.Status
	err    error
}

func (e *unavailableError) Error() string              { return e.status.Err().Error() }
func (e *unavailableError) GRPCStatus() *status.Status { return e.status }
func (e *unavailableError) Unwrap() error              { return e.err }

// gaveUp is how a call ends whose context ended before there was a connection.
func (c *Channel) gaveUp(ctx context.Context, v *view, waitForReady bool) error {
	text := ctx.Err().Error()
	if cause := context.Cause(ctx); cause != ctx.Err() && cause.Error() != text {
		text += ": " + cause.Error()
	}
	text += fmt.Sprintf(": the call waited for a connection for %s, which is %v", c.first.dialer.target.Text, v.state)
	if waitForReady {
		text += " (grpc.WaitForReady is set)"
	}
	if h := c.first.hosted; h != nil && !h.heard.Load() {
		text += fmt.Sprintf("; the resolver for the scheme %q has said nothing yet", h.target.URL.Scheme)
	}
	if v.err != nil {
		text += "; the last error: " + v.err.Error()
	}
	return status.Error(status.FromContextError(ctx.Err()).Code(), text)
}

package weir

import (
	"time"

	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/keepalive"
)

// answerOptions say when a server is left that does not answer.
type answerOptions struct {
	set     bool
	timeout time.Duration
}

const (
	defaultAnswerTimeout = 20 * time.Second
	minAnswerTimeout     = 200 * time.Millisecond
)

// WithAnswerTimeout sets when the Client leaves a server from which nothing at
// all comes while calls wait for it: one whose packets get lost. Counted from
// the last octet that came, this happens:
//
//	at 3/8 to 1/2 of d   a PING frame asks the server, so that one that is there and
//	                     takes its time for calls is not left
//	at 5/8 to 3/4        another connection is looked for, to take the place of this
//	at 7/8 to 1          new calls go to another connection, or to another server
//	at 9/8 to 5/4        the calls that are still open here fail with UNAVAILABLE
//
// So with 1.5 s a server that is gone is left within 1.5 s, and its calls fail
// within 2 s. d should be ten round trips at least. Less than 200 ms counts as
// 200 ms; zero and negative values mean never.
//
// Without the option d is 20 s, or never if WithKeepaliveParams is set, whose
// PING frames find such a server too, after Time and Timeout. By default the
// open calls are left to TCP where it is known to end a connection on which
// nothing was acknowledged for 20 s (Linux, with a *net.TCPConn): so a server
// that is stopped in a debugger keeps its calls.
//
// No server's enforcement policy is offended by these PING frames: there is one
// until a call is answered, and another if a call is begun meanwhile. After
// that, only TCP and keepalive find out that a server is gone whose streams are
// all silent. grpc-go has no such option, and waits for ever without keepalive.
func WithAnswerTimeout(d time.Duration) DialOption {
	return dialOption(func(c *clientConfig) { c.answers = answerOptions{set: true, timeout: d} })
}

// policy gives what connections are told.
func (o *answerOptions) policy(k keepalive.ClientParameters) *transport.AnswerPolicy {
	switch {
	case o.set && o.timeout > 0:
		return &transport.AnswerPolicy{Timeout: max(o.timeout, minAnswerTimeout)}
	case o.set, k.Time > 0:
		return nil
	}
	return &transport.AnswerPolicy{Timeout: defaultAnswerTimeout, PatientCalls: true}
}

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

// WithAnswerTimeout sets how long nothing at all may come from a server while calls
// wait for it: then new calls go elsewhere, to another connection or to another
// server, and the calls that are open there fail with UNAVAILABLE a quarter of the
// time later. It finds servers whose packets get lost. Half of the time before or a
// little more, the server is asked with a PING, so that one that is there, and takes
// its time for calls, is not left; a quarter before, a connection to take the place
// of this one is looked for. So a time of 1.5 s leaves a server that is gone within
// 1.5 s, and fails its calls within 2 s. It should be ten round trips at least; less
// than 200 ms counts as that, and zero and less as never.
//
// Without the option it is 20 s, or never if WithKeepaliveParams is set, whose PING
// frames find such a server too: at Time and Timeout, of 10 s at least. The calls
// that are open are left to TCP then, where it is known to end a connection that
// acknowledges nothing for 20 s (Linux, and connections that are *net.TCPConn):
// so a server that is stopped in a debugger keeps them.
//
// The PING frames are permitted by servers whatever their enforcement policy is:
// there is one until a call is answered, and another if a call is begun meanwhile.
// Where there are more silent streams than answers, only TCP and keepalive find a
// server gone. grpc-go has no such option, and waits for ever without keepalive.
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

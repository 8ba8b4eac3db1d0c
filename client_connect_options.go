package weir

import (
	"errors"

	"google.golang.org/grpc"
)

// connectParams are checked when they are used, because an option has no error.
type connectParams grpc.ConnectParams

// WithConnectParams sets how long the Client waits between attempts to connect,
// and how long an attempt may take. Fields that are zero mean the defaults, for
// they are easily left out by mistake and would make it try without a pause: a
// BaseDelay of 1 s, a Multiplier of 1.6, a MaxDelay of 120 s, a
// MinConnectTimeout of 20 s, and, if all of Backoff is zero, a Jitter of 0.2.
// Beside other values a Jitter of zero is none. NewClient fails with negative
// values, and with a Jitter of more than 1.
//
// The wait is the time between the beginnings of two attempts. It starts from
// BaseDelay again when a connection is READY, that is, when the server's
// SETTINGS have arrived. Connecting to an address may take MinConnectTimeout or
// the time until the next attempt, whichever is longer.
func WithConnectParams(p grpc.ConnectParams) DialOption {
	return dialOption(func(c *clientConfig) { c.connect = connectParams(p) })
}

// WithEarlyCalls lets calls go right behind a connection's preface, over TLS
// right after the handshake, instead of waiting until the server's SETTINGS have
// come: the first calls of each connection are answered one round trip sooner.
// The Client is then READY before the server has said a word. What it costs:
//
//   - Calls go before the server's limits are known. Until then a call may send
//     65,535 octets, the calls of a connection may send as many together, at most
//     100 of them run at a time, and headers may be as large as they like. What a
//     server that allows fewer streams refuses is tried again, once, as ever.
//   - A server that accepts connections and does not speak HTTP/2, or does not
//     speak, gets calls. They fail with UNAVAILABLE when that is noticed, at the
//     end of the connect timeout at the latest (WithConnectParams:
//     MinConnectTimeout), even those with grpc.WaitForReady: whether a call was
//     acted on is known only where the server turns out to speak HTTP/1 or TLS.
//     Without the option they are not sent, and other addresses are tried.
//   - So the Client goes from READY to TRANSIENT_FAILURE then. The backoff starts
//     anew only with SETTINGS, and until a server has sent some, connections are
//     made as without the option.
func WithEarlyCalls() DialOption {
	return dialOption(func(c *clientConfig) { c.early = true })
}

var errConnectParams = errors.New("WithConnectParams: a time or factor is out of range: times and factors are not negative, and Jitter is at most 1")

func (p *connectParams) check() error {
	b := p.Backoff
	if b.BaseDelay < 0 || b.MaxDelay < 0 || p.MinConnectTimeout < 0 ||
		!(b.Multiplier >= 0) || !(b.Jitter >= 0 && b.Jitter <= 1) {
		return errConnectParams
	}
	return nil
}

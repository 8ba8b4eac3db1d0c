package weir

import (
	"errors"

	"google.golang.org/grpc"
)

// connectParams are checked when they are used, because an option has no error.
type connectParams grpc.ConnectParams

// WithConnectParams sets how long the Client waits between attempts to connect,
// and how long an attempt may take. As zero values of grpc.ConnectParams are
// easily left by mistake and would make it try without a pause, they mean the
// defaults here: a Backoff that is all zero, its BaseDelay (1 s), Multiplier
// (1.6) and MaxDelay (120 s), and MinConnectTimeout (20 s). Where Backoff is
// not all zero, a Jitter of zero is none; the default is 0.2.
//
// The time is that between the beginnings of two attempts. It starts anew when
// a connection is READY, which it is when the server's SETTINGS have arrived.
// Connecting to an address may take MinConnectTimeout or the time until the
// next attempt, whichever is longer.
func WithConnectParams(p grpc.ConnectParams) DialOption {
	return dialOption(func(c *clientConfig) { c.connect = connectParams(p) })
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

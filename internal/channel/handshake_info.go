package channel

import (
	"context"
	"time"

	"google.golang.org/grpc/credentials"
)

// handshakeInfoKey is the key under which credentials look for their
// credentials.ClientHandshakeInfo, learned from its getter: grpc-go keeps the
// setter to itself.
var handshakeInfoKey = func() any {
	var spy keySpy
	credentials.ClientHandshakeInfoFromContext(&spy)
	return spy.key
}()

// withHandshakeInfo gives the credentials what the resolver says of the address.
func (d *dialer) withHandshakeInfo(ctx context.Context, address string) context.Context {
	if d.hosted == nil || handshakeInfoKey == nil {
		return ctx
	}
	attrs := d.about(ctx, address).Attributes
	if attrs == nil {
		return ctx
	}
	return context.WithValue(ctx, handshakeInfoKey, credentials.ClientHandshakeInfo{Attributes: attrs})
}

// keySpy remembers the key that it was asked for.
type keySpy struct{ key any }

func (*keySpy) Deadline() (time.Time, bool) { return time.Time{}, false }
func (*keySpy) Done() <-chan struct{}       { return nil }
func (*keySpy) Err() error                  { return nil }
func (s *keySpy) Value(key any) any         { s.key = key; return nil }

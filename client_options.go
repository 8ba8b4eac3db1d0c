package weir

import (
	"context"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// A DialOption configures a Client.
type DialOption interface{ apply(*clientConfig) }

type clientConfig struct {
	creds     credentials.TransportCredentials
	dial      func(context.Context, string) (net.Conn, error)
	callOpts  []grpc.CallOption
	userAgent string
}

type dialOption func(*clientConfig)

func (f dialOption) apply(c *clientConfig) { f(c) }

// WithTransportCredentials sets how connections are secured. It is required:
// insecure.NewCredentials() says that they are not.
func WithTransportCredentials(creds credentials.TransportCredentials) DialOption {
	return dialOption(func(c *clientConfig) { c.creds = creds })
}

// WithDefaultCallOptions sets options for every call, before the call's own.
func WithDefaultCallOptions(opts ...grpc.CallOption) DialOption {
	return dialOption(func(c *clientConfig) { c.callOpts = append(c.callOpts, opts...) })
}

// WithContextDialer sets how connections are made. The function gets the
// address of the target: host and port, or the path of a unix socket.
func WithContextDialer(dial func(ctx context.Context, address string) (net.Conn, error)) DialOption {
	return dialOption(func(c *clientConfig) { c.dial = dial })
}

// WithUserAgent puts a name in front of weir's own in the user-agent.
func WithUserAgent(name string) DialOption {
	return dialOption(func(c *clientConfig) { c.userAgent = name })
}

package weir

import (
	"context"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
)

// A DialOption configures a Client.
type DialOption interface{ apply(*clientConfig) }

type clientConfig struct {
	creds     credentials.TransportCredentials
	dial      func(context.Context, string) (net.Conn, error)
	callOpts  []grpc.CallOption
	userAgent string
	connect   connectParams
	observer  func(from, to connectivity.State, err error)
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

// WithContextDialer sets how connections are made. As in grpc-go the function
// gets the endpoint of a passthrough target as it is, an address of a dns
// target after its host was resolved, and a unix socket as unix:///absolute or
// unix:relative. Its context ends with the connect timeout and with the Client.
// The connection of a function that does not heed it is closed when it comes.
func WithContextDialer(dial func(ctx context.Context, address string) (net.Conn, error)) DialOption {
	return dialOption(func(c *clientConfig) { c.dial = dial })
}

// WithUserAgent puts a name in front of weir's own in the user-agent.
func WithUserAgent(name string) DialOption {
	return dialOption(func(c *clientConfig) { c.userAgent = name })
}

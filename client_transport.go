package weir

import (
	"context"
	"errors"
	"net"

	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/credentials"
)

// A TransportFunc makes the connection to one address of a Client's target. Its
// context ends with the connect timeout and with the Client, and it must heed
// that. cfg has what the Client's options say, and the user-agent and authority
// of its calls. The connection belongs to the Client.
type TransportFunc func(ctx context.Context, address string, cfg transport.ClientConfig) (transport.ClientTransport, error)

// WithTransport makes the Client get its connections from f instead of dialing
// them: a connection that is there already (transport.NewHTTP2Client), one
// without a socket (package inproc), or one through a proxy of your own. When a
// connection ends, the next call makes another, with the pauses of
// WithConnectParams if f fails. How it is secured is for f to decide:
// WithTransportCredentials is not required, and nothing of it is used but its
// name for the server. WithContextDialer has no effect. grpc-go has no such
// option.
func WithTransport(f TransportFunc) DialOption {
	return dialOption(func(c *clientConfig) {
		c.transport = f
		if c.creds == nil {
			c.creds = transportSecurity{}
		}
	})
}

// transportSecurity stands for what a TransportFunc does: the AuthInfo of each
// connection says how secure it is.
type transportSecurity struct{}

var errTransportSecurity = errors.New("the function of WithTransport secures the connection, there is no handshake")

func (transportSecurity) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errTransportSecurity
}

func (transportSecurity) ServerHandshake(net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errTransportSecurity
}

func (transportSecurity) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "transport"}
}

func (transportSecurity) Clone() credentials.TransportCredentials { return transportSecurity{} }
func (transportSecurity) OverrideServerName(string) error         { return errTransportSecurity }

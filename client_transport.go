package weir

import (
	"context"
	"errors"
	"net"

	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/credentials"
)

// A TransportFunc makes the connection to an address that a Client's target
// stands for. Its context ends with the connect timeout and with the Client,
// and it must heed that. cfg is what the Client's options say, and the
// user-agent and authority of its calls. The Client owns the connection.
type TransportFunc func(ctx context.Context, address string, cfg transport.ClientConfig) (transport.ClientTransport, error)

// WithTransport has the Client make its connections with f instead of dialing
// them: a connection that is there already (transport.NewHTTP2Client), one
// without a socket (package inproc), or a proxy's. When one ends, the next call
// makes another, with the pauses of WithConnectParams if f fails. What secures
// it is up to f, so that WithTransportCredentials is not required and has no
// effect but its name for the server; WithContextDialer has none. grpc-go has
// no such option.
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

package weir

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/weir-rpc/weir/internal/channel"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
)

// A DialOption configures a Client.
type DialOption interface{ apply(*clientConfig) }

type clientConfig struct {
	creds     credentials.TransportCredentials
	bundle    credentials.Bundle
	perRPC    []credentials.PerRPCCredentials
	bundled   int // how many of perRPC are of bundle: the last, or none
	dial      func(context.Context, string) (net.Conn, error)
	network   network
	callOpts  []grpc.CallOption
	userAgent string
	authority string
	keepalive keepalive.ClientParameters
	answers   answerOptions
	connect   connectParams
	observer  func(from, to connectivity.State, err error)
	stats     statsHandlers
	inspect   inspectConfig
	conn      transport.ConnConfig
	early     bool
	sizes     sizes
	messages  messageConfig
	service   serviceOptions
	transport TransportFunc // nil: connections are dialed
	handOver  bool
	telemetry telemetryConfig

	connections connections

	interceptors []grpc.DialOption // grpc-go's own, which keeps their order

	fault optionFault
}

type dialOption func(*clientConfig)

func (f dialOption) apply(c *clientConfig) { f(c) }

// take applies the options of NewClient.
func (c *clientConfig) take(opts []DialOption) error {
	for i, o := range opts {
		if o == nil {
			c.fault.note("NewClient", absent("option", i, len(opts)))
			continue
		}
		o.apply(c)
	}
	return c.fault.err
}

// WithTransportCredentials sets how connections are secured: credentials.NewTLS
// encrypts them, insecure.NewCredentials() says that nothing does. NewClient
// fails without it, unless WithCredentialsBundle or WithTransport is given.
func WithTransportCredentials(creds credentials.TransportCredentials) DialOption {
	return dialOption(func(c *clientConfig) { c.creds = creds })
}

// WithAuthority sets the :authority of calls, which is also the name that the
// server's certificate is checked for. Without it that is the server name that
// the credentials set, else the target's host and port. NewClient fails if this
// option and the credentials set different names. A call may set its own with
// grpc.CallAuthority, if the credentials find it valid.
func WithAuthority(authority string) DialOption {
	return dialOption(func(c *clientConfig) { c.authority = authority })
}

// checkFields refuses what a server would take for a malformed request. A name
// that was read from a file may have the end of its line.
func (c *clientConfig) checkFields() error {
	for _, f := range []struct{ option, value string }{{"WithAuthority", c.authority}, {"WithUserAgent", c.userAgent}} {
		if strings.ContainsAny(f.value, "\x00\r\n") {
			return fmt.Errorf("weir: %s(%q): no header field may have a NUL or the end of a line", f.option, f.value)
		}
	}
	return nil
}

// authorityFor gives the :authority of the calls to a target.
func (c *clientConfig) authorityFor(t channel.Target) (string, error) {
	name := c.creds.Info().ServerName //nolint:staticcheck // still how an override is told
	switch {
	case name == "" && c.authority == "":
		return t.Authority, nil
	case c.authority == "" || c.authority == name:
		return name, nil
	case name == "":
		return c.authority, nil
	}
	return "", fmt.Errorf("weir: WithAuthority says %q and the credentials have the server name %q: leave one of them out", c.authority, name)
}

// WithUnaryInterceptor sets the outermost interceptor of unary calls. Given
// twice, the last one counts; WithChainUnaryInterceptor is for several.
//
// Interceptors get a *grpc.ClientConn. Its Target, Invoke and NewStream are the
// Client's; a call that an interceptor makes with them passes all interceptors
// again, as in grpc-go. It has no connection of its own and stays IDLE,
// whatever the Client does.
func WithUnaryInterceptor(f grpc.UnaryClientInterceptor) DialOption {
	return dialOption(func(c *clientConfig) { c.intercept(grpc.WithUnaryInterceptor(f)) })
}

// WithChainUnaryInterceptor adds interceptors of unary calls. The first one is
// the outermost, but inside that of WithUnaryInterceptor.
func WithChainUnaryInterceptor(fs ...grpc.UnaryClientInterceptor) DialOption {
	return dialOption(func(c *clientConfig) {
		c.intercept(grpc.WithChainUnaryInterceptor(chained(&c.fault, "WithChainUnaryInterceptor", fs)...))
	})
}

// WithStreamInterceptor sets the outermost interceptor of streams. See
// WithUnaryInterceptor.
func WithStreamInterceptor(f grpc.StreamClientInterceptor) DialOption {
	return dialOption(func(c *clientConfig) { c.intercept(grpc.WithStreamInterceptor(f)) })
}

// WithChainStreamInterceptor adds interceptors of streams. The first one is the
// outermost, but inside that of WithStreamInterceptor.
func WithChainStreamInterceptor(fs ...grpc.StreamClientInterceptor) DialOption {
	return dialOption(func(c *clientConfig) {
		c.intercept(grpc.WithChainStreamInterceptor(chained(&c.fault, "WithChainStreamInterceptor", fs)...))
	})
}

func (c *clientConfig) intercept(o grpc.DialOption) { c.interceptors = append(c.interceptors, o) }

// WithDefaultCallOptions sets options for every call. They are applied before
// the call's own, which therefore count more. Given several times, they add up.
func WithDefaultCallOptions(opts ...grpc.CallOption) DialOption {
	return dialOption(func(c *clientConfig) { c.callOpts = append(c.callOpts, opts...) })
}

// WithContextDialer sets the function that makes connections. Without it the
// Client dials TCP and unix sockets itself. As in grpc-go the function gets the
// endpoint of a passthrough target as it is, an address of a dns target after
// its host was resolved, and a unix socket as unix:///absolute or
// unix:relative. Its context ends with the connect timeout (WithConnectParams)
// and with the Client. If the function does not heed that, its connection is
// closed when it comes.
func WithContextDialer(dial func(ctx context.Context, address string) (net.Conn, error)) DialOption {
	return dialOption(func(c *clientConfig) { c.dial = dial })
}

// WithUserAgent puts a name in front of weir's own user-agent, "grpc-go-weir/"
// and the version, which is all of it without the option.
func WithUserAgent(name string) DialOption {
	return dialOption(func(c *clientConfig) { c.userAgent = name })
}

// WithKeepaliveParams switches keepalive on: if nothing has come from the
// server for Time, the Client sends a PING frame, and if nothing comes for
// Timeout after that, it gives the connection up. Its calls then fail with
// UNAVAILABLE, and the next call connects. As in grpc-go, a Time of less than
// 10 s or zero counts as 10 s, a Timeout of zero is 20 s, and while there is no
// call nothing is sent unless PermitWithoutStream is set.
//
// Without this option there is no keepalive. A silent server is then asked
// while calls wait for it: see WithAnswerTimeout, which this option switches
// off unless that one is given, too.
//
// On Linux, Timeout is also TCP_USER_TIMEOUT: how long what was sent may stay
// unacknowledged. Without this option that is 20 s. A *net.TCPConn of
// WithContextDialer that has a user timeout already keeps it.
//
// Time should not be less than the MinTime of the server's
// KeepaliveEnforcementPolicy, 5 min by default: a server that gets too many
// PING frames ends the connection, and the Client's next one has twice the
// Time.
func WithKeepaliveParams(p keepalive.ClientParameters) DialOption {
	p.Time = max(p.Time, minKeepaliveTime)
	return dialOption(func(c *clientConfig) { c.keepalive = p })
}

// minKeepaliveTime is the least Time of a client, as in grpc-go.
const minKeepaliveTime = 10 * time.Second

package weir

import (
	"crypto/tls"
	"net/url"
	"time"

	"github.com/weir-rpc/weir/internal/channel"
	"google.golang.org/grpc/resolver"
)

// network is how a Client gets to its servers.
type network struct {
	noProxy  bool
	find     func(address string) (*url.URL, error) // of WithProxy; may be nil
	proxyTLS *tls.Config
	localDNS bool
	idle     time.Duration
	dns      DNS

	resolvers []resolver.Builder
}

// proxy gives the way that connections take. As in grpc-go, a dialer of the
// user's own does without what the environment says.
func (c *clientConfig) proxy() channel.Proxy {
	n := &c.network
	p := channel.Proxy{For: n.find, LocalDNS: n.localDNS, TLS: n.proxyTLS}
	switch {
	case n.noProxy:
		p.For = nil
	case p.For == nil && c.dial == nil:
		p.For = channel.EnvironmentProxy()
	}
	return p
}

// WithNoProxy makes the Client connect without a proxy, whatever the
// environment and WithProxy say.
func WithNoProxy() DialOption {
	return dialOption(func(c *clientConfig) { c.network.noProxy = true })
}

// WithProxy sets the function that gives the proxy for an address. Without it,
// and with nil, that is what HTTPS_PROXY and NO_PROXY of the environment say.
// The function gives nil for no proxy, or a URL:
//
//	http://host:port     a proxy that takes CONNECT requests
//	https://host:port    the same over TLS: see WithProxyTLS
//	socks5://host:port   SOCKS5; socks5h:// is the same
//
// A port that is left out is 80, 443 or 1080. user:password@ stands before the
// host if the proxy wants it.
//
// The function is asked whenever a connection is made, by several goroutines at
// a time: about the host and port of a dns target as they are in the target,
// and else about the address. It is not asked about unix sockets. If it gives
// an error, there is no connection. The proxy looks the host of a dns target
// up, unless WithLocalDNSResolution is set.
//
// With WithContextDialer the environment's proxy is not used, as in grpc-go.
// That of WithProxy is: the dialer then gets the proxy's host and port. grpc-go
// has no such option, and knows only HTTP proxies without TLS.
func WithProxy(find func(address string) (*url.URL, error)) DialOption {
	return dialOption(func(c *clientConfig) { c.network.find = find })
}

// WithProxyTLS sets the TLS configuration for proxies whose URL has the scheme
// https. Without it, and with nil, the proxy's certificate has to be for the
// host in the URL, by an authority that the system trusts. It has no effect on
// the connection to the server behind the proxy. grpc-go has no such proxies.
func WithProxyTLS(cfg *tls.Config) DialOption {
	return dialOption(func(c *clientConfig) { c.network.proxyTLS = cfg.Clone() })
}

// WithLocalDNSResolution makes the Client look the host of a dns target up also
// if its connections go through a proxy, which then gets an IP address. Without
// it the proxy looks the host up. Without a proxy it has no effect.
func WithLocalDNSResolution() DialOption {
	return dialOption(func(c *clientConfig) { c.network.localDNS = true })
}

// defaultIdleTimeout is grpc-go's.
const defaultIdleTimeout = 30 * time.Minute

// WithIdleTimeout sets how long the Client may be without calls before it
// closes its connection, or stops trying to make one, and is IDLE. The next
// call connects. The default is 30 minutes, as in grpc-go; zero and negative
// values mean never. An open stream is a call. It takes up to an eighth of the
// time longer, and with a balancer up to twice the time. The state observer is
// told transport.ErrIdle. A connection of WithTransport ends as its function
// decides.
func WithIdleTimeout(d time.Duration) DialOption {
	return dialOption(func(c *clientConfig) { c.network.idle = max(d, 0) })
}

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

// WithNoProxy makes the Client connect without a proxy, whatever the environment
// and WithProxy say.
func WithNoProxy() DialOption {
	return dialOption(func(c *clientConfig) { c.network.noProxy = true })
}

// WithProxy sets the function that gives the proxy for an address, in place of
// HTTPS_PROXY and NO_PROXY of the environment: a URL http://host:port (which is
// sent CONNECT requests), https://host:port (the same over TLS: WithProxyTLS),
// socks5://host:port or socks5h://host:port, with user:password@ before the host
// if the proxy wants that; or nil for no proxy. Without a port it is 80, 443 or
// 1080. nil, which is the default, leaves it to the environment.
//
// The function is asked whenever a connection is made, by several goroutines at a
// time: about the host and port of a dns target as they are in the target, and
// else about the address. It is not asked about unix sockets. An error of it is
// one of the connection. The proxy looks the host of a dns target up, unless
// WithLocalDNSResolution is set.
//
// Under WithContextDialer the environment's proxy is not used, as in grpc-go. That
// of WithProxy is: the dialer gets the proxy's host and port then. grpc-go has no
// such option, and knows HTTP proxies without TLS only.
func WithProxy(find func(address string) (*url.URL, error)) DialOption {
	return dialOption(func(c *clientConfig) { c.network.find = find })
}

// WithProxyTLS sets the configuration of TLS with proxies whose URL has the scheme
// https. Without it, or with nil, they are checked for the name in the URL with the
// system's certificates. The connection to the server behind the proxy is not
// concerned. grpc-go has no such proxies.
func WithProxyTLS(cfg *tls.Config) DialOption {
	return dialOption(func(c *clientConfig) { c.network.proxyTLS = cfg.Clone() })
}

// WithLocalDNSResolution makes the Client look the host of a dns target up also if
// its connections go through a proxy, which then gets an IP address. Without it
// the proxy looks the host up. Without a proxy it means nothing.
func WithLocalDNSResolution() DialOption {
	return dialOption(func(c *clientConfig) { c.network.localDNS = true })
}

// defaultIdleTimeout is grpc-go's.
const defaultIdleTimeout = 30 * time.Minute

// WithIdleTimeout sets how long the Client may be without calls until it ends its
// connection, or its attempts to make one, and is IDLE: 30 minutes without it, as
// in grpc-go. The next call connects. Zero, and less, is never. A stream that is
// open is a call; it takes up to an eighth of the time longer. The state observer
// is told transport.ErrIdle. What WithTransport connects ends as its function has
// it.
func WithIdleTimeout(d time.Duration) DialOption {
	return dialOption(func(c *clientConfig) { c.network.idle = max(d, 0) })
}

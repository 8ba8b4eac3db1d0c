package channel

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"

	"golang.org/x/net/http/httpproxy"
	"golang.org/x/net/proxy"
)

// Proxy says through what a channel connects. The zero value is no proxy.
type Proxy struct {
	// For gives the proxy for an address, or nil for none. It is asked each time
	// a connection is made, and not about sockets of this machine. Nil means none.
	For func(address string) (*url.URL, error)
	// LocalDNS has the channel look the host of a dns target up. Without it the
	// proxy does.
	LocalDNS bool
	// TLS configures the connection to a proxy with the scheme https. It may be
	// nil.
	TLS *tls.Config
}

// EnvironmentProxy reads HTTPS_PROXY and NO_PROXY, in capitals or not, as net/http
// does for URLs with https. It gives nil if they name no proxy.
func EnvironmentProxy() func(address string) (*url.URL, error) {
	env := httpproxy.FromEnvironment()
	if env.HTTPSProxy == "" {
		return nil
	}
	find := env.ProxyFunc()
	return func(address string) (*url.URL, error) {
		return find(&url.URL{Scheme: "https", Host: address})
	}
}

// proxyPorts are the schemes of proxies, with the ports of those that name none.
var proxyPorts = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}

// proxyFor gives the proxy for an address, or nil.
func (d *dialer) proxyFor(address string) (*url.URL, error) {
	if d.proxy == nil || d.target.Network != "tcp" || d.whole != nil {
		return nil, nil
	}
	if _, ok := d.socketPath(address); ok {
		return nil, nil
	}
	if d.target.Lookup {
		address = d.target.Address // what the host's name stands for is not what NO_PROXY has
	}
	via, err := d.proxy.For(address)
	if err != nil {
		return nil, fmt.Errorf("which proxy to use is not known: %w", err)
	}
	if via != nil && (proxyPorts[via.Scheme] == "" || via.Hostname() == "") {
		return nil, fmt.Errorf("the proxy %s is none that is known: use a URL http://host:port, https://host:port, socks5://host:port or socks5h://host:port", via.Redacted())
	}
	return via, nil
}

// proxyName is how a proxy is told to people: without a password.
func proxyName(via *url.URL) string { return via.Scheme + "://" + via.Host }

// remoteDNS reports whether the proxy looks the target's host up.
func (d *dialer) remoteDNS() bool {
	if d.proxy.LocalDNS {
		return false
	}
	via, err := d.proxyFor(d.target.Address)
	return via != nil || err != nil // dialing tells of the error
}

// through makes nc, a connection to a proxy, one to address. If that fails nc is
// closed.
func (d *dialer) through(ctx context.Context, nc net.Conn, via *url.URL, address string) (net.Conn, error) {
	stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
	far, err := d.tunnel(ctx, nc, via, address)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = nc.Close()
		return nil, err
	}
	return far, nil
}

func (d *dialer) tunnel(ctx context.Context, nc net.Conn, via *url.URL, address string) (net.Conn, error) {
	switch via.Scheme {
	case "https":
		cfg := d.proxy.TLS.Clone()
		if cfg == nil {
			cfg = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		cfg.ServerName = cmp.Or(cfg.ServerName, via.Hostname())
		secured := tls.Client(nc, cfg)
		if err := secured.HandshakeContext(ctx); err != nil {
			return nil, fmt.Errorf("no TLS with the proxy: %w", err)
		}
		nc = secured
	case "socks5", "socks5h":
		return nc, socks(ctx, nc, via, address)
	}
	return connectHTTP(nc, via.User, address, d.transport.UserAgent)
}

// socks asks a SOCKS5 proxy for a connection. It knows the name: socks5 is not
// told from socks5h here, as by net/http.
func socks(ctx context.Context, nc net.Conn, via *url.URL, address string) error {
	var auth *proxy.Auth
	if via.User != nil {
		password, _ := via.User.Password()
		auth = &proxy.Auth{User: via.User.Username(), Password: password}
	}
	d, err := proxy.SOCKS5("tcp", via.Host, auth, nil)
	if err != nil {
		return err
	}
	// Its Dial would hide that nc is a *net.TCPConn.
	over, ok := d.(interface {
		DialWithConn(ctx context.Context, nc net.Conn, network, address string) (net.Addr, error)
	})
	if !ok {
		return errors.New("golang.org/x/net/proxy does not take a connection")
	}
	// Its own watch over ctx would say that nc is slow, and not why it ended.
	if _, err := over.DialWithConn(context.WithoutCancel(ctx), nc, "tcp", address); err != nil {
		if op, ok := errors.AsType[*net.OpError](err); ok { // its text would name the proxy once more
			err = op.Err
		}
		return fmt.Errorf("the SOCKS5 proxy does not connect: %w", err)
	}
	return nil
}

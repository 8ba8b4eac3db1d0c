package channel

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/resolver"
)

// dialer connects to one address: it dials, secures the connection and, unless
// calls are early, waits for the server's SETTINGS, all within one context.
type dialer struct {
	target      Target
	custom      func(ctx context.Context, address string) (net.Conn, error) // may be nil
	whole       func(ctx context.Context, address string, cfg transport.ClientConfig) (transport.ClientTransport, error)
	credentials credentials.TransportCredentials
	mu          sync.Mutex
	transport   transport.ClientConfig // guarded by mu, its Keepalive changes
	proxy       *Proxy                 // nil if there is none
	hosted      *hosted                // may be nil
	measured    *measured              // may be nil
}

// connect connects, and counts what fails.
func (d *dialer) connect(ctx context.Context, address string, early bool) (transport.ClientTransport, error) {
	tr, err := d.attempt(ctx, address, early)
	d.measured.attempted(ctx, err)
	return tr, err
}

// attempt connects, by way of a proxy if there is one for the address.
func (d *dialer) attempt(ctx context.Context, address string, early bool) (transport.ClientTransport, error) {
	if d.whole != nil {
		return d.connectWhole(ctx, address, early)
	}
	via, err := d.proxyFor(address)
	if err != nil {
		e := newConnectError(ctx, address, stepDial, err)
		e.Permanent = true
		e.hint = "HTTPS_PROXY in the environment, or WithProxy; WithNoProxy connects without"
		return nil, e
	}
	tr, err := d.connectVia(ctx, via, address, early)
	var e *ConnectError
	if via != nil && errors.As(err, &e) {
		e.Proxy = proxyName(via)
	}
	return tr, err
}

func (d *dialer) connectVia(ctx context.Context, via *url.URL, address string, early bool) (transport.ClientTransport, error) {
	nc, watched, err := d.open(ctx, via, address)
	if err != nil {
		return nil, newConnectError(ctx, address, stepDial, err)
	}
	name := d.nameOf(ctx, address)
	secured, info, err := d.secure(d.withHandshakeInfo(ctx, address), nc, name)
	if err != nil {
		_ = nc.Close()
		e := secureError(ctx, address, stepSecure, err)
		if isALPN(err) {
			e.Permanent, e.hint = true, hintALPN
		}
		return nil, e
	}
	cfg := d.config()
	cfg.AuthInfo, cfg.EarlyCalls, cfg.Authority = info, early, name
	cfg.Exclusive = d.custom == nil
	if !watched {
		cfg.Answers = impatient(cfg.Answers)
	}
	if orderOf(ctx) != nil {
		cfg.IdleTimeout = 0 // the channel has one
	}
	if deadline, ok := ctx.Deadline(); ok && cfg.SettingsTimeout == 0 {
		// It runs from now on too: a server that says nothing gets the connect
		// timeout, and the error names that.
		cfg.SettingsTimeout = max(transport.DefaultSettingsTimeout, time.Until(deadline)+time.Second)
	}
	tr, err := transport.NewHTTP2Client(ctx, secured, cfg)
	if err != nil {
		return nil, d.http2Error(ctx, address, err)
	}
	return tr, nil
}

// connectWhole has the user's function make the connection.
func (d *dialer) connectWhole(ctx context.Context, address string, early bool) (transport.ClientTransport, error) {
	cfg := d.config()
	cfg.EarlyCalls, cfg.Authority = early, d.nameOf(ctx, address)
	if orderOf(ctx) != nil {
		cfg.IdleTimeout = 0 // the channel has one
	}
	tr, err := d.whole(ctx, d.target.forDialer(address), cfg)
	if err == nil && tr == nil {
		err = errNoTransport
	}
	if err != nil {
		return nil, newConnectError(ctx, address, stepDial, err)
	}
	return tr, nil
}

var errNoTransport = errors.New("the function of WithTransport gave neither a connection nor an error")

// http2Error is the error of a server that has not sent its SETTINGS.
func (d *dialer) http2Error(ctx context.Context, address string, err error) *ConnectError {
	e := secureError(ctx, address, stepHTTP2, err)
	if d.credentialsFor(ctx).Info().SecurityProtocol == "insecure" {
		e.hint = "is it a gRPC server? One that wants TLS needs other credentials: WithTransportCredentials"
	}
	return e
}

// provenWrong is http2Error for a server that early calls went to.
func (d *dialer) provenWrong(ctx context.Context, address string, err error) error {
	e := d.http2Error(ctx, address, err)
	if via, _ := d.proxyFor(address); via != nil {
		e.Proxy = proxyName(via)
	}
	return e
}

// socketPath reads an address that a resolver has made of a unix target.
func (d *dialer) socketPath(address string) (Target, bool) {
	path, ok := strings.CutPrefix(address, "unix:")
	if !ok || d.hosted == nil {
		return Target{}, false
	}
	t, err := parseUnix(path)
	return t, err == nil
}

// nameOf gives the name that the server at an address is to prove, which is the
// :authority of calls on the connection: that of the target, unless its resolver has another for the address and no option does.
func (d *dialer) nameOf(ctx context.Context, address string) string {
	if d.hosted != nil && d.transport.Authority == d.target.Authority {
		if name := d.about(ctx, address).ServerName; name != "" {
			return name
		}
	}
	return d.transport.Authority
}

// about gives what is said of an address: by the balancer that connects to it,
// else by the resolver.
func (d *dialer) about(ctx context.Context, address string) resolver.Address {
	if o := orderOf(ctx); o != nil {
		return o.address
	}
	return d.hosted.aboutAddress(address)
}

// credentialsFor gives what secures a connection: what the balancer says that
// wants it, else what the Client has.
func (d *dialer) credentialsFor(ctx context.Context) credentials.TransportCredentials {
	if o := orderOf(ctx); o != nil && o.bundle != nil {
		if own := o.bundle.TransportCredentials(); own != nil {
			return own
		}
	}
	return d.credentials
}

// secure makes the security handshake. Credentials that do not heed ctx find
// the connection closed when it ends.
func (d *dialer) secure(ctx context.Context, nc net.Conn, name string) (net.Conn, credentials.AuthInfo, error) {
	stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
	secured, info, err := d.credentialsFor(ctx).ClientHandshake(ctx, name, nc)
	if !stop() && err == nil {
		_ = secured.Close()
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, nil, err
	}
	if err := CheckALPN(info); err != nil {
		_ = secured.Close()
		return nil, nil, err
	}
	return secured, info, nil
}

// CheckALPN refuses a TLS connection that was not made for HTTP/2: the other end
// may take what it is sent for something else.
//
// "HTTP/2 connections over TLS MUST use protocol negotiation in TLS"
// https://www.rfc-editor.org/rfc/rfc9113#section-3.3
func CheckALPN(info credentials.AuthInfo) error {
	var state *tls.ConnectionState
	switch info := info.(type) {
	case credentials.TLSInfo:
		state = &info.State
	case *credentials.TLSInfo:
		state = &info.State
	default:
		return nil
	}
	if state.NegotiatedProtocol != "h2" {
		return &alpnError{state.NegotiatedProtocol}
	}
	return nil
}

// alpnError is a TLS connection for another protocol than HTTP/2, or for none.
type alpnError struct{ protocol string }

func (e *alpnError) Error() string {
	if e.protocol == "" {
		return `TLS agreed on no protocol by ALPN, and gRPC needs "h2": the server does not know it, or the client's credentials did not offer it`
	}
	return fmt.Sprintf(`TLS agreed on the protocol %q by ALPN, and gRPC needs "h2": the server does not know it or prefers the other, or the client's credentials did not offer it`, e.protocol)
}

const hintALPN = `"h2" has to be in NextProtos of the server's tls.Config, before any other, and of the client's if its WithTransportCredentials are not those of credentials.NewTLS, which adds it`

// isALPN reports whether a handshake failed for want of "h2". Neither
// credentials.NewTLS nor crypto/tls, with the server's alert, has a type for it.
func isALPN(err error) bool {
	var e *alpnError
	return errors.As(err, &e) || strings.Contains(err.Error(), "ALPN") || strings.Contains(err.Error(), "no application protocol")
}

// open makes a connection to address on which nothing was said yet.
//
// It is watched if the operating system ends it when the peer's host is silent.
func (d *dialer) open(ctx context.Context, via *url.URL, address string) (nc net.Conn, watched bool, err error) {
	to := address
	if via != nil {
		to = net.JoinHostPort(via.Hostname(), cmp.Or(via.Port(), proxyPorts[via.Scheme]))
	}
	nc, err = d.dial(ctx, to)
	if err != nil {
		if via != nil {
			err = fmt.Errorf("the proxy is not reached: %w", err)
		}
		return nil, false, err
	}
	watched = SetUserTimeout(nc, ClientUserTimeout(d.config().Keepalive))
	if via != nil {
		nc, err = d.through(ctx, nc, via, address)
	}
	return nc, watched, err
}

// impatient gives a policy for a connection that nothing ends but it.
func impatient(p *transport.AnswerPolicy) *transport.AnswerPolicy {
	if p == nil || !p.PatientCalls {
		return p
	}
	return &transport.AnswerPolicy{Timeout: p.Timeout}
}

var defaultDialer net.Dialer

var errNoConn = errors.New("the function of WithContextDialer gave neither a connection nor an error")

// dial makes a connection. A dialer of the user that does not heed ctx is left
// behind when ctx ends; what it gives later is closed.
func (d *dialer) dial(ctx context.Context, address string) (net.Conn, error) {
	if d.custom == nil {
		network := d.target.Network
		if u, ok := d.socketPath(address); ok {
			network, address = u.Network, u.Address
		}
		return defaultDialer.DialContext(ctx, network, address)
	}
	type result struct {
		nc  net.Conn
		err error
	}
	results := make(chan result)
	go func() {
		var r result
		r.nc, r.err = d.custom(ctx, d.target.forDialer(address))
		select {
		case results <- r:
		case <-ctx.Done():
			if r.nc != nil {
				_ = r.nc.Close()
			}
		}
	}()
	select {
	case r := <-results:
		if r.err == nil && r.nc == nil {
			r.err = errNoConn
		}
		return r.nc, r.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

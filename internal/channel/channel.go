// Package channel turns a target into connections: it resolves, dials, secures
// and backs off, and gives each call the connection to run on.
package channel

import (
	"context"
	"net"
	"sync/atomic"
	"time"

	"github.com/weir-rpc/weir/internal/wait"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/stats"
)

// Config says how a Channel connects.
type Config struct {
	Target Target
	// Credentials secure each connection.
	Credentials credentials.TransportCredentials
	// Dial makes a connection to an address. Nil means net.Dialer.
	Dial func(ctx context.Context, address string) (net.Conn, error)
	// Proxy is the way to addresses that are no sockets of this machine.
	Proxy Proxy
	// Connect makes the whole connection instead of Dial and Credentials. Nil
	// means those.
	Connect func(ctx context.Context, address string, cfg transport.ClientConfig) (transport.ClientTransport, error)
	// Transport configures each connection; its AuthInfo and TooManyPings
	// are set here. The Time of its Keepalive is doubled whenever a server says
	// that it gets too many PING frames. Its IdleTimeout is also how long the
	// channel goes on trying to connect when there are no calls.
	Transport transport.ClientConfig
	// Backoff is the time between attempts. Zero means gRPC's defaults.
	Backoff backoff.Config
	// MinConnectTimeout is the least time that connecting to an address gets.
	// Zero means 20 s.
	MinConnectTimeout time.Duration
	// Resolver looks the host of a dns target up. Nil means the system's, or
	// the name server that the target names.
	Resolver Resolver
	// DNS says what is asked of it, and how often.
	DNS DNS
	// ServiceConfig reads the service config of a resolver, as JSON, and gives what
	// makes it effective. An empty one means that the resolver has none. Nil
	// ignores what they say.
	ServiceConfig func(js string) (ServiceConfig, error)
	// MaxConnectionsPerAddress is how many connections may serve an address at a
	// time until a service config of a resolver says it: see subchannel. Less than 2
	// is one.
	MaxConnectionsPerAddress int
	// ResolverEnds is called before the resolver is closed whose state was applied last:
	// nobody uses what came with its states when it returns. It may be nil.
	ResolverEnds func()
	// Balancing is for more than one connection.
	Balancing Balancing
	// Observer is told of each change of state, in order, one at a time and
	// without a lock held. The error is why a connection ended (to IDLE) or
	// could not be made (to TRANSIENT_FAILURE). It may be nil.
	Observer func(from, to connectivity.State, err error)
	// Stats is told of each connection. It may be nil.
	Stats stats.Handler
	// Log is told of each connection. It may be nil.
	Log *ConnLog
}

// A Channel keeps a connection to its target as long as it is used: the first
// call connects, and so does the first call after a connection has ended. All
// methods may be called by several goroutines at a time.
type Channel struct {
	states states
	first  pickFirst
	of     *Channel // whose end is this one's; nil if it has one of its own

	unserved    unserved
	slotWaiters atomic.Int64
}

// New makes a Channel. It does no I/O.
func New(cfg Config) *Channel {
	c := new(Channel)
	c.states.observer = cfg.Observer
	p := &c.first
	p.states = &c.states
	p.dialer = &dialer{
		target:      cfg.Target,
		custom:      cfg.Dial,
		whole:       cfg.Connect,
		credentials: cfg.Credentials,
		transport:   cfg.Transport,
	}
	cfg.DNS.TXT = cfg.DNS.TXT && cfg.ServiceConfig != nil
	p.addresses = newAddresses(&p.dialer.target, cfg.Resolver, cfg.DNS)
	if cfg.Proxy.For != nil {
		p.dialer.proxy = new(cfg.Proxy)
		p.addresses.remote = p.dialer.remoteDNS
	}
	p.use.timeout = cfg.Transport.IdleTimeout
	if cfg.Target.builder == nil && (cfg.Balancing.Policy != nil || cfg.DNS.listed(&cfg.Target)) {
		p.dialer.target.listed(&listing{addresses: p.addresses, dns: cfg.DNS, pacing: &p.pacing, idle: c.isIdle, moved: make(chan struct{}, 1)})
	}
	if p.dialer.target.builder != nil {
		p.host(&cfg)
	}
	p.stats, p.log, p.early = withMetrics(cfg.Stats, cfg.Balancing.Metrics, cfg.Target.Text), cfg.Log, cfg.Transport.EarlyCalls
	p.dialer.measured, _ = p.stats.(*measured)
	p.allow(cfg.MaxConnectionsPerAddress)
	p.pacing = newPacing(cfg.Backoff, cfg.MinConnectTimeout)
	c.states.begin(p.idle())
	return c
}

// Pick gives the connection for an attempt of a call, which p tells of; p.End has
// to be called when the attempt is over. While there is none a call waits as long
// as ctx allows, which connects if nothing else does. In the state
// TRANSIENT_FAILURE a call that does not wait for ready fails at once.
func (c *Channel) Pick(ctx context.Context, waitForReady bool, p *Pick) (transport.ClientTransport, error) {
	tr, err := c.states.current.Load().picker.pick(ctx, p)
	if err == nil {
		return tr, nil
	}
	if err == errNoSlot {
		tr, err = c.slot(ctx, tr, p)
	}
	if err != nil && !slotless(err) && !Dropped(err) { // who drops is not asked again
		tr, err = c.await(ctx, waitForReady, p)
	}
	if err != nil {
		c.unserved.Add(1)
	}
	return tr, err
}

// await is Pick when there is no connection yet.
func (c *Channel) await(ctx context.Context, waitForReady bool, p *Pick) (transport.ClientTransport, error) {
	c.first.use.begin()
	defer c.first.use.end()
	for {
		v := c.states.current.Load()
		if ctx.Err() != nil {
			return nil, c.gaveUp(ctx, v, waitForReady)
		}
		tr, err := v.picker.pick(ctx, p)
		if err == errNoSlot {
			tr, err = c.slot(ctx, tr, p)
		}
		switch {
		case err == nil:
			return tr, nil
		case err == errNotYet:
		case err == errClosed, !waitForReady, Dropped(err), slotless(err):
			return nil, err
		}
		next := c.states.next(v)
		if next == nil {
			continue
		}
		p.Waited = true
		if wait.For(ctx, wait.Connect, wait.Holder{}, next) != nil {
			return nil, c.gaveUp(ctx, c.states.current.Load(), waitForReady)
		}
	}
}

// slot waits for a stream slot of the subchannel that was picked. errNotYet means
// that it takes no more calls.
func (c *Channel) slot(ctx context.Context, picked transport.ClientTransport, p *Pick) (transport.ClientTransport, error) {
	c.first.use.begin()
	defer c.first.use.end()
	c.slotWaiters.Add(1)
	defer c.slotWaiters.Add(-1)
	tr, err := picked.(*subchannel).wait(ctx)
	if tr != nil {
		p.Slot = true
		return tr, nil
	}
	if err == nil {
		err = errNotYet
	}
	p.drop(err)
	return nil, err
}

// slotless reports whether a call has waited for a stream slot in vain.
func slotless(err error) bool {
	_, ok := err.(*transport.StreamError) //nolint:errorlint // nobody wraps it on the way
	return ok
}

// State gives the state of the channel.
func (c *Channel) State() connectivity.State {
	return c.states.current.Load().state
}

func (c *Channel) isIdle() bool { return c.State() == connectivity.Idle }

// WaitForStateChange waits until the state is another than source, or was
// another for some time after the call. It reports false if ctx ended before.
func (c *Channel) WaitForStateChange(ctx context.Context, source connectivity.State) bool {
	return c.states.wait(ctx, source)
}

// Connect leaves IDLE. It does not wait, and does nothing in other states.
func (c *Channel) Connect() { c.first.wake() }

// ResetConnectBackoff makes the next attempt begin now if the channel waits for
// it, and the time between attempts start from its base.
func (c *Channel) ResetConnectBackoff() { c.first.resetBackoff() }

// Closed gives what Close closes, before it waits.
func (c *Channel) Closed() <-chan struct{} {
	if c.of != nil {
		return c.of.Closed()
	}
	p := &c.first
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shut == nil {
		p.shut = make(chan struct{})
		if p.closed {
			close(p.shut)
		}
	}
	return p.shut
}

// Close ends every connection and every call on them, and waits until they
// have ended. Calls that wait for a connection fail with CANCELLED.
func (c *Channel) Close() error {
	if !c.first.close() {
		return errClosed
	}
	return nil
}

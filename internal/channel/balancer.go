package channel

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/weir-rpc/weir/inspect"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	estats "google.golang.org/grpc/experimental/stats"
	"google.golang.org/grpc/resolver"
)

// Balancing says who connects in the place of the channel, which by itself has
// one connection.
type Balancing struct {
	// Policy is that of a target without a resolver that has one. Nil means
	// pick_first as the channel has it by itself.
	Policy Policy
	// Bundle is what Credentials are of; nil if they are of none. A resolver is told.
	Bundle credentials.Bundle
	// Metrics is what resolvers record their measurements with.
	Metrics estats.MetricsRecorder
	// New makes a Balancer, which calls the functions of its site.
	New func(Site) Balancer
}

// A Policy is a balancer and its configuration.
type Policy interface{ Name() string }

// ServiceConfig is one that was read.
type ServiceConfig struct {
	// Apply makes it effective, but for the policy, with what else the resolver says.
	// It may be nil.
	Apply func(resolver.State)
	// Policy is the balancer that it names. Nil means pick_first.
	Policy Policy
	// MaxConnectionsPerAddress is in the place of Config's, for connections that are
	// made from now on and for those that others may join already.
	MaxConnectionsPerAddress int
}

// A Balancer makes connections and says which calls go to which.
type Balancer interface {
	// Update tells it what a resolver says. A nil policy is pick_first.
	Update(p Policy, s resolver.State) error
	ResolverError(err error)
	ExitIdle()
	ResetBackoff()
	// Inspect gives the name of the balancer, or nothing if there is none yet, and what
	// it chooses from.
	Inspect() (name string, all []inspect.Subchannel)
	// Close ends it. Calls on its connections finish.
	Close()
}

// Site is what a Balancer works with. See Config of internal/balance.
type Site struct {
	Target     resolver.Target
	Connect    func(ctx context.Context, a resolver.Address, b credentials.Bundle, timeout time.Duration, lost func()) (transport.ClientTransport, error)
	Pace       func(failures int) (delay, timeout time.Duration)
	Publish    func(s balancer.State, err error)
	ResolveNow func()
}

// balancing is the balancer of a channel, while it has one. Guarded by
// pickFirst.mu, but for what its functions say.
type balancing struct {
	p     *pickFirst
	make  func(Site) Balancer
	waits bool // a balancer was to be from the beginning

	balancer Balancer // nil if there is none
	site     int      // of balancer: others are heard no more
	shown    *view    // the latest of balancer; nil if it has said nothing
	rest     *time.Timer
	used     atomic.Bool // a call was made since rest began to run
}

var (
	errBalanced = errors.New("a balancer connects")
	closedChan  = func() chan struct{} { c := make(chan struct{}); close(c); return c }()
)

// open gives the balancer that is to hear what a resolver says, and makes one if
// the policy wants it. It is nil if there is none. Without mu.
func (b *balancing) open(c *hostedConn, policy Policy) Balancer {
	p := b.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || !p.hosted.is(c) || b.make == nil {
		return nil
	}
	if b.balancer == nil && policy != nil {
		b.beginLocked()
	}
	return b.balancer
}

func (b *balancing) beginLocked() {
	p := b.p
	b.site++
	site := b.site
	b.balancer = b.make(Site{
		Target:     p.hosted.target,
		Connect:    p.connectFor,
		Pace:       p.pace,
		Publish:    func(s balancer.State, err error) { b.publish(site, s, err) },
		ResolveNow: p.resolveSoon,
	})
	if d := p.use.timeout; d > 0 {
		b.used.Store(true)
		b.rest = time.AfterFunc(d, func() { b.resting(site) })
	}
}

// publish shows what the balancer says. The one connection that there was before
// is in use until the balancer has one, or says that it has none.
func (b *balancing) publish(site int, s balancer.State, err error) {
	p := b.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if b.site != site || b.balancer == nil || p.closed {
		return
	}
	if s.ConnectivityState == connectivity.Ready || s.ConnectivityState == connectivity.Connecting {
		err = nil
	}
	b.shown = &view{state: s.ConnectivityState, picker: &spread{balancing: b, picker: s.Picker}, err: err}
	if p.current != nil {
		if s.ConnectivityState == connectivity.Connecting {
			return
		}
		p.current.GracefulClose()
		p.current = nil
	}
	b.showLocked()
}

func (b *balancing) showLocked() {
	if v := b.shown; v != nil {
		b.p.states.set(v.state, v.picker, v.err)
	} else {
		b.p.states.set(connectivity.Connecting, without{errNotYet}, nil)
	}
}

// resting makes the channel IDLE when no call was made for the idle timeout, and
// none is open.
func (b *balancing) resting(site int) {
	p := b.p
	p.mu.Lock()
	if b.site != site || b.balancer == nil || p.closed {
		p.mu.Unlock()
		return
	}
	if b.used.Swap(false) || p.use.calls.Load() > 0 || p.openStreams() {
		b.rest.Reset(p.use.timeout)
		p.mu.Unlock()
		return
	}
	p.states.set(connectivity.Idle, p.idle(), p.use.error())
	end := p.dropResolver()
	p.work.Add(1)
	p.mu.Unlock()
	end()
	p.work.Done()
}

// resolveSoon asks the resolver, without waiting for it: it may call back.
func (p *pickFirst) resolveSoon() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.work.Go(p.hosted.resolveNow)
	}
}

// openStreams is with mu.
func (p *pickFirst) openStreams() bool {
	var open inspect.Open
	for _, c := range p.connections() {
		open.Add(c.Inspect(false).Open)
	}
	return open.Streams > 0
}

// current gives the balancer, or nil.
func (b *balancing) current() Balancer {
	if b == nil {
		return nil
	}
	return b.balancer
}

// detach takes the balancer out of use, and gives what closes it, without mu.
func (b *balancing) detach() (end func()) {
	if b == nil {
		return func() {}
	}
	old := b.balancer
	b.balancer, b.shown = nil, nil
	if b.rest != nil {
		b.rest.Stop()
		b.rest = nil
	}
	if old == nil {
		return func() {}
	}
	return old.Close
}

// resolverError is without mu.
func (b *balancing) resolverError(err error) {
	b.p.mu.Lock()
	own := b.balancer
	b.p.mu.Unlock()
	if own != nil {
		own.ResolverError(err)
	}
}

// unlessBalanced gives err, or errBalanced if a balancer connects.
func (p *pickFirst) unlessBalanced(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.balancing.current() != nil {
		return errBalanced
	}
	return err
}

// pace is the backoff, for a connection of a balancer.
func (p *pickFirst) pace(failures int) (delay, timeout time.Duration) {
	delay = p.pacing.randomDelay(failures)
	return delay, p.pacing.connectTimeout(delay)
}

// orderKey is of the context in which a connection is made for a balancer.
type orderKey struct{}

// order is what a balancer says of a connection that it wants. Immutable.
type order struct {
	address resolver.Address
	bundle  credentials.Bundle // nil if the credentials are the Client's
}

// orderOf gives what a balancer says of the connection that is made, or nil.
func orderOf(ctx context.Context) *order {
	o, _ := ctx.Value(orderKey{}).(*order)
	return o
}

// connectFor makes a connection for a balancer.
func (p *pickFirst) connectFor(ctx context.Context, a resolver.Address, b credentials.Bundle, timeout time.Duration, lost func()) (transport.ClientTransport, error) {
	o := &order{a, b}
	ctx, cancel := context.WithTimeoutCause(context.WithValue(ctx, orderKey{}, o), timeout, &connectTimeoutError{timeout})
	defer cancel()
	tr, err := p.dialer.connect(ctx, a.Addr, false)
	if err != nil {
		return nil, err
	}
	ended := connBegins(p.stats, p.log, tr)
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		tr.Close(closedReason)
		ended()
		return nil, errClosed
	}
	p.live = append(p.live, tr)
	p.work.Add(1)
	p.mu.Unlock()
	whole := p.several(tr, a.Addr, o)
	p.follow(tr, whole, ended, lost)
	return whole, nil
}

package balance

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	estats "google.golang.org/grpc/experimental/stats"
	"google.golang.org/grpc/resolver"
)

// Config is what a Host does its work with. None of its functions may call the
// Host.
type Config struct {
	// Target is the text of the channel's target.
	Target string
	// Options are for the balancers.
	Options balancer.BuildOptions
	// Connect makes a connection to an address, with the credentials of the bundle
	// unless that is nil. It calls lost, once and on a goroutine of its own, when the
	// connection takes no more calls.
	Connect func(ctx context.Context, a resolver.Address, b credentials.Bundle, timeout time.Duration, lost func()) (transport.ClientTransport, error)
	// Pace gives how long after the start of an attempt the next may start, if so
	// many have failed in a row with this one, and how long it may take.
	Pace func(failures int) (delay, timeout time.Duration)
	// Metrics is what balancers record their measurements with. Nil records none.
	Metrics estats.MetricsRecorder
	// Publish takes what calls go by from now on. The error is the latest of a
	// connection, and may be nil.
	Publish func(s balancer.State, err error)
	// ResolveNow asks for the addresses anew. It does not wait.
	ResolveNow func()
	// Over gives what a balancer makes calls of its own with, over one
	// connection at a time: a grpc.ClientConnInterface. It may be nil.
	Over func(current func() transport.ClientTransport) any
	// Health tells of the health of a service behind a connection, each time that
	// it is said, until that ends or cannot be known: the error says why. Nil checks
	// no health.
	Health func(ctx context.Context, current func() transport.ClientTransport, service string, tell func(serving bool, said string)) error
}

// Host has one balancer, or two while one takes over from the other. All methods
// may be called by several goroutines at a time, but not by balancers.
type Host struct {
	cfg   Config
	queue queue
	work  sync.WaitGroup // of connections that are being made

	mu      sync.Mutex
	current *child   // whose pickers count; nil before the first
	pending *child   // that is to follow it; may be nil
	retired []*child // that the queue took no more
	closed  bool
	service *string // of the latest policy
	err     error   // the latest of a connection
}

var errClosed = errors.New("the balancer is closed")

// New makes a Host that has no balancer yet.
func New(cfg Config) *Host { return &Host{cfg: cfg} }

// Update gives the balancer of a policy what a resolver says. If that is another
// balancer than before, it takes over when it is ready, or when the other is not.
// A nil policy is pick_first. The error is the balancer's.
func (h *Host) Update(p *Policy, s resolver.State) error {
	if p == nil {
		p = &Policy{builder: balancer.Get(pickFirst)}
	}
	fillIn(&s)
	result := make(chan error, 1)
	if !h.queue.put(func() { result <- h.update(p, s) }) {
		return errClosed
	}
	return <-result
}

func (h *Host) update(p *Policy, s resolver.State) error {
	h.mu.Lock()
	h.service = p.service
	c := h.pending
	if c == nil {
		c = h.current
	}
	h.mu.Unlock()
	if c == nil || c.name != p.Name() {
		c = h.build(p)
	}
	return c.balancer.UpdateClientConnState(balancer.ClientConnState{ResolverState: s, BalancerConfig: p.config})
}

// build makes the balancer of a policy the one that is to be.
func (h *Host) build(p *Policy) *child {
	c := &child{host: h, name: p.Name(), subConns: make(map[*subConn]struct{})}
	c.state.ConnectivityState = connectivity.Connecting
	h.mu.Lock()
	old := h.pending
	if h.current == nil {
		h.current = c
	} else {
		h.pending = c
	}
	h.mu.Unlock()
	if old != nil {
		old.close()
	}
	c.balancer = p.builder.Build(c, h.cfg.Options)
	return c
}

// ResolverError tells the balancer that a resolver has failed.
func (h *Host) ResolverError(err error) {
	h.each(func(b balancer.Balancer) { b.ResolverError(err) })
}

// ExitIdle makes the balancer connect if it has stopped to.
func (h *Host) ExitIdle() {
	h.each(func(b balancer.Balancer) { b.ExitIdle() })
}

// each has the latest balancer called.
func (h *Host) each(f func(balancer.Balancer)) {
	h.queue.put(func() {
		h.mu.Lock()
		c := h.pending
		if c == nil {
			c = h.current
		}
		h.mu.Unlock()
		if c != nil {
			f(c.balancer)
		}
	})
}

// ResetBackoff makes attempts begin now that wait for their time.
func (h *Host) ResetBackoff() {
	for _, sc := range h.subConns() {
		sc.resetBackoff()
	}
}

// Close closes the balancers and waits until they make no more connections. The
// calls on those that there are finish.
func (h *Host) Close() {
	h.queue.close(func() {
		h.mu.Lock()
		h.closed = true
		h.retired = append(h.retired, h.pending, h.current)
		all := h.retired
		h.mu.Unlock()
		for _, c := range all {
			if c != nil {
				c.close()
			}
		}
	})
	h.work.Wait()
}

func (h *Host) subConns() (all []*subConn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range []*child{h.pending, h.current} {
		if c != nil {
			for sc := range c.subConns {
				all = append(all, sc)
			}
		}
	}
	return all
}

// failed notes why a connection could not be made, or has ended.
func (h *Host) failed(err error) {
	h.mu.Lock()
	h.err = err
	h.mu.Unlock()
}

// fillIn has balancers find addresses in either way that there is of saying them.
func fillIn(s *resolver.State) {
	switch {
	case len(s.Endpoints) == 0:
		s.Endpoints = make([]resolver.Endpoint, len(s.Addresses))
		for i, a := range s.Addresses {
			attrs := a.BalancerAttributes //nolint:staticcheck // resolvers have it
			a.BalancerAttributes = nil    //nolint:staticcheck // the same
			s.Endpoints[i] = resolver.Endpoint{Addresses: []resolver.Address{a}, Attributes: attrs}
		}
	case len(s.Addresses) == 0:
		for _, e := range s.Endpoints {
			s.Addresses = append(s.Addresses, e.Addresses...)
		}
	}
}

// child is a balancer of a Host, and its balancer.ClientConn.
type child struct {
	balancer.ClientConn // nil: nobody outside grpc-go can implement it whole

	host     *Host
	name     string
	balancer balancer.Balancer // owned by what the queue runs

	// Guarded by Host.mu.
	state    balancer.State
	subConns map[*subConn]struct{}
	over     bool

	lastReady lastReady
}

// close is by what the queue runs.
func (c *child) close() {
	h := c.host
	h.mu.Lock()
	c.over = true
	h.mu.Unlock()
	c.balancer.Close()
	h.mu.Lock()
	left := c.subConns
	c.subConns = nil
	h.mu.Unlock()
	for sc := range left {
		sc.Shutdown()
	}
}

// NewSubConn is balancer.ClientConn's.
func (c *child) NewSubConn(list []resolver.Address, o balancer.NewSubConnOptions) (balancer.SubConn, error) {
	if len(list) == 0 {
		return nil, errors.New("a SubConn needs an address")
	}
	sc := newSubConn(c, list, o)
	h := c.host
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.over || h.closed {
		return nil, errClosed
	}
	c.subConns[sc] = struct{}{}
	return sc, nil
}

// RemoveSubConn is balancer.ClientConn's.
func (*child) RemoveSubConn(sc balancer.SubConn) { sc.Shutdown() }

// UpdateAddresses is balancer.ClientConn's.
func (*child) UpdateAddresses(sc balancer.SubConn, list []resolver.Address) {
	sc.UpdateAddresses(list) //nolint:staticcheck // balancers have it
}

// UpdateState is balancer.ClientConn's.
func (c *child) UpdateState(s balancer.State) {
	h := c.host
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.over || h.closed {
		return
	}
	c.state = s
	next := h.pending
	switch {
	case next == nil:
	case c == next && s.ConnectivityState == connectivity.Connecting && h.current.state.ConnectivityState == connectivity.Ready:
		return // the other goes on for the time being
	case c != next && s.ConnectivityState == connectivity.Ready:
	default:
		old := h.current
		old.over = true
		h.current, h.pending = next, nil
		if !h.queue.put(old.close) {
			h.retired = append(h.retired, old)
		}
		if s = next.state; s.Picker == nil {
			return // it has said nothing yet
		}
	}
	h.cfg.Publish(s, h.err)
}

// ResolveNow is balancer.ClientConn's.
func (c *child) ResolveNow(resolver.ResolveNowOptions) { c.host.cfg.ResolveNow() }

// Target is balancer.ClientConn's.
func (c *child) Target() string { return c.host.cfg.Target }

// MetricsRecorder is balancer.ClientConn's.
func (c *child) MetricsRecorder() estats.MetricsRecorder {
	if m := c.host.cfg.Metrics; m != nil {
		return m
	}
	return estats.UnimplementedMetricsRecorder{}
}

// String names the balancer.
func (c *child) String() string { return "balancer " + c.name }

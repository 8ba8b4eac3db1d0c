package channel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-rpc/weir/internal/wait"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/serviceconfig"
)

// hosted is a resolver of grpc's public interface, and the latest that it said.
// It is built when the channel needs addresses, and closed when the channel is
// closed or has been without calls for the idle timeout; it is then built anew.
//
// A resolver may call back from within Build, ResolveNow or on a goroutine of its
// own: none of them is called with a lock held, and what one says after it was
// closed counts for nothing.
type hosted struct {
	builder resolver.Builder
	target  resolver.Target
	options resolver.BuildOptions
	parse   func(js string) (ServiceConfig, error) // may be nil
	listed  func(balanced bool)                    // the list is another one, for a balancer or not
	balance *balancing
	use     *use
	ends    func()      // the resolver whose state is in use is about to be closed
	allow   func(n int) // connections to an address

	updates sync.Mutex // held while one update takes effect; before mu

	mu       sync.Mutex
	closed   bool        // for ever
	conn     *hostedConn // nil if there is no resolver
	resolver resolver.Resolver
	known    []string
	about    map[string]resolver.Address // what is said of some besides
	err      error                       // the latest, unless addresses have come since
	heard    atomic.Bool                 // addresses or an error have come; written with mu
	news     chan struct{}               // closed when they do

	// Guarded by updates.
	configured bool        // a service config, or none, is in effect
	policy     Policy      // that it has; nil means pick_first
	inUse      *hostedConn // whose state was applied last
}

// hostedConn is what a resolver talks to.
type hostedConn struct {
	h    *hosted
	talk sync.WaitGroup // what it says, and is asked; begins with hosted.mu, while it is in use
}

var (
	errNobodyWaits = errors.New("nobody waits for a connection any more")
	errNoAddresses = errors.New("the resolver has no addresses for it")
	errOutdated    = errors.New("the resolver is closed")
)

// list gives the latest addresses and the latest error, and waits until there is
// one of the two. It asks the resolver, if there is one already, to look again.
func (h *hosted) list(ctx context.Context) ([]string, error) {
	built, err := h.open()
	if err != nil {
		return nil, h.fault(err)
	}
	if !built {
		h.resolveNow() // unless it is being built
	}
	for {
		h.mu.Lock()
		heard, news := h.heard.Load(), h.news
		h.mu.Unlock()
		if heard {
			return h.latest()
		}
		left := time.NewTimer(h.use.left())
		select {
		case <-news:
		case <-left.C:
			if h.use.left() <= 0 {
				return nil, errNobodyWaits
			}
		case <-ctx.Done():
			left.Stop()
			return nil, context.Cause(ctx)
		}
		left.Stop()
	}
}

// latest gives what the resolver has said; no addresses without an error.
func (h *hosted) latest() ([]string, error) {
	h.mu.Lock()
	known, err := h.known, h.err
	h.mu.Unlock()
	if err == nil && len(known) == 0 {
		err = errNoAddresses
	}
	if err != nil {
		err = h.fault(err)
	}
	return known, err
}

// fault is an error of the resolver, for calls.
func (h *hosted) fault(err error) error {
	if _, ok := errors.AsType[*ConnectError](err); ok {
		return err // of a listing
	}
	return &ConnectError{Address: h.target.Endpoint(), Err: err, step: stepResolve}
}

// open builds the resolver unless there is one.
func (h *hosted) open() (built bool, err error) {
	h.mu.Lock()
	if h.conn != nil {
		h.mu.Unlock()
		return false, nil
	}
	if h.closed {
		h.mu.Unlock()
		return false, errOutdated
	}
	conn := &hostedConn{h: h}
	h.forget()
	h.conn = conn
	h.mu.Unlock()
	r, err := h.builder.Build(h.target, conn, h.options)
	if err == nil && r == nil {
		err = errors.New("its Build gave neither a resolver nor an error")
	}
	h.mu.Lock()
	outdated := h.conn != conn
	switch {
	case outdated:
	case err != nil:
		h.forget()
		h.hear() // calls that wait get the error
	default:
		h.resolver = r
	}
	h.mu.Unlock()
	switch {
	case err != nil:
		return false, fmt.Errorf("the resolver for the scheme %q: %w", h.target.URL.Scheme, err)
	case outdated: // closed while it was built
		conn.end(r)
		return false, errOutdated
	}
	return true, nil
}

// forget is with mu.
func (h *hosted) forget() {
	h.conn, h.resolver = nil, nil
	h.known, h.about, h.err = nil, nil, nil
	if h.heard.Swap(false) {
		h.news = make(chan struct{})
	}
}

// hear is with mu.
func (h *hosted) hear() {
	if !h.heard.Swap(true) {
		close(h.news)
	}
}

// detach takes the resolver out of use, and gives what closes it.
func (h *hosted) detach() (end func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	conn, r := h.conn, h.resolver
	h.forget()
	if r == nil {
		return func() {}
	}
	return func() { conn.end(r) }
}

// end closes a resolver that is out of use, when it is asked nothing, nothing is made
// of what it has said, and nobody uses that any more.
func (c *hostedConn) end(r resolver.Resolver) {
	c.talk.Wait()
	h := c.h
	h.updates.Lock()
	if h.inUse == c { // else the next resolver has spoken
		h.ends()
	}
	h.updates.Unlock()
	r.Close()
}

// resolveNow tells the resolver, if there is one, that a connection has failed.
func (h *hosted) resolveNow() {
	h.mu.Lock()
	conn, r := h.conn, h.resolver
	if r != nil {
		conn.talk.Add(1)
	}
	h.mu.Unlock()
	if r != nil {
		defer conn.talk.Done()
		r.ResolveNow(resolver.ResolveNowOptions{})
	}
}

// knows reports whether an address is on the list.
func (h *hosted) knows(address string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Contains(h.known, address)
}

// left gives what is on the list of those.
func (h *hosted) left(of []string) (list []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, a := range of {
		if slices.Contains(h.known, a) {
			list = append(list, a)
		}
	}
	return list
}

// adds reports whether an address is on the list that is not among those.
func (h *hosted) adds(to []string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.ContainsFunc(h.known, func(a string) bool { return !slices.Contains(to, a) })
}

// aboutAddress gives what the resolver says of an address besides: the name that
// the server is to prove, and attributes for its credentials.
func (h *hosted) aboutAddress(address string) resolver.Address {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.about[address]
}

// close is detach for ever: nobody waits any more.
func (h *hosted) close() (end func()) {
	h.mu.Lock()
	h.closed = true // who connects may be about to build
	h.mu.Unlock()
	end = h.detach()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hear()
	return end
}

// await waits until the resolver has said something.
func (h *hosted) await(ctx context.Context) error {
	h.mu.Lock()
	heard, news := h.heard.Load(), h.news
	h.mu.Unlock()
	if heard {
		return nil
	}
	return wait.For(ctx, wait.Resolve, wait.Holder{}, news)
}

// UpdateState is resolver.ClientConn's.
func (c *hostedConn) UpdateState(s resolver.State) error {
	h := c.h
	if !c.speaks() {
		return errOutdated
	}
	defer c.talk.Done()
	h.updates.Lock()
	defer h.updates.Unlock()
	if !h.is(c) {
		return errOutdated
	}
	apply, configErr := c.configure(&s)
	list, about := addressesOf(&s)
	var own Balancer // before anyone hears of addresses that are not for him
	if h.configured || configErr == nil {
		own = h.balance.open(c, h.policy)
	}
	if own == nil || !h.heard.Load() { // else calls may be told of what the balancer does not know yet
		apply()
		apply = func() {}
	}
	h.mu.Lock()
	if h.conn != c {
		h.mu.Unlock()
		return errOutdated
	}
	if configErr != nil && !h.configured {
		list = nil // calls must not go without one
	}
	h.configured = h.configured || configErr == nil
	h.known, h.about, h.err = list, about, configErr
	if len(list) == 0 && configErr == nil {
		h.err = errNoAddresses
	}
	err := h.err
	h.hear()
	h.mu.Unlock()
	h.listed(own != nil)
	if own != nil {
		err = cmp.Or(configErr, own.Update(h.policy, s))
		if h.is(c) { // else another resolver says what counts
			apply()
		}
	}
	return err
}

// speaks begins something that the resolver says, unless it is out of use.
func (c *hostedConn) speaks() bool {
	c.h.mu.Lock()
	defer c.h.mu.Unlock()
	if c.h.conn != c {
		return false
	}
	c.talk.Add(1)
	return true
}

func (h *hosted) is(c *hostedConn) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.conn == c
}

// ReportError is resolver.ClientConn's. Addresses that are known stay in use.
func (c *hostedConn) ReportError(err error) {
	h := c.h
	if err == nil {
		err = errors.New("it reports an error and does not say which")
	}
	h.mu.Lock()
	if h.conn != c {
		h.mu.Unlock()
		return
	}
	h.err = err
	h.hear()
	h.mu.Unlock()
	h.balance.resolverError(err)
}

// NewAddress is resolver.ClientConn's.
func (c *hostedConn) NewAddress(list []resolver.Address) {
	_ = c.UpdateState(resolver.State{Addresses: list})
}

// ParseServiceConfig is resolver.ClientConn's.
func (c *hostedConn) ParseServiceConfig(js string) *serviceconfig.ParseResult {
	parsed := new(serviceConfig)
	if c.h.parse != nil {
		own, err := c.h.parse(js)
		if err != nil {
			return &serviceconfig.ParseResult{Err: err}
		}
		parsed.own = own
	}
	return &serviceconfig.ParseResult{Config: parsed}
}

// serviceConfig is one that was parsed. It embeds the interface because nobody
// outside grpc-go can implement it.
type serviceConfig struct {
	serviceconfig.Config
	own ServiceConfig
}

// configure reads a service config, and gives what makes it effective but for the
// policy, which is from now on. One that is wrong leaves what is. It is with updates.
func (c *hostedConn) configure(s *resolver.State) (apply func(), err error) {
	h := c.h
	apply = func() {}
	if h.parse == nil {
		return apply, nil
	}
	var own ServiceConfig
	switch r := s.ServiceConfig; {
	case r == nil:
		if own, err = h.parse(""); err != nil {
			return apply, err
		}
	case r.Err != nil:
		return apply, fmt.Errorf("its service config: %w", r.Err)
	default:
		parsed, ok := r.Config.(*serviceConfig)
		if !ok {
			return apply, errors.New("its service config was not parsed by ParseServiceConfig of its ClientConn")
		}
		own = parsed.own
	}
	h.policy = own.Policy
	h.allow(own.MaxConnectionsPerAddress)
	if own.Apply != nil {
		apply = func() {
			h.inUse = c
			own.Apply(*s)
		}
	}
	return apply, nil
}

// addressesOf gives the addresses of a state, in the order in which to try them,
// and those with a server name or attributes. Endpoints count if there are some,
// as resolvers fill them in beside Addresses or alone.
func addressesOf(s *resolver.State) (list []string, about map[string]resolver.Address) {
	add := func(a resolver.Address) {
		list = append(list, a.Addr)
		if a.ServerName != "" || a.Attributes != nil {
			if about == nil {
				about = make(map[string]resolver.Address)
			}
			about[a.Addr] = a
		}
	}
	for _, e := range s.Endpoints {
		for _, a := range e.Addresses {
			add(a)
		}
	}
	if len(s.Endpoints) == 0 {
		for _, a := range s.Addresses {
			add(a)
		}
	}
	return inTurns(list), about
}

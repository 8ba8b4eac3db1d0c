package channel

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/resolver"
)

// relist is what pickFirst keeps about lists of a resolver that may change at any
// time. Guarded by pickFirst.mu.
type relist struct {
	tried []string                // by the latest round, and on the list ever since
	renew context.CancelCauseFunc // of the round
	rest  *time.Timer             // until a channel that has lost its connection rests; may be nil
}

var errRelisted = errors.New("the resolver has other addresses")

// host has a resolver of the user say what the addresses are.
func (p *pickFirst) host(cfg *Config) {
	t := &p.dialer.target
	h := &hosted{
		builder: t.builder,
		target:  resolver.Target{URL: *t.url},
		options: resolver.BuildOptions{
			DisableServiceConfig: cfg.ServiceConfig == nil,
			DialCreds:            cfg.Credentials,
			CredsBundle:          cfg.Balancing.Bundle,
			MetricsRecorder:      cfg.Balancing.Metrics,
			Dialer:               cfg.Dial,
			Authority:            cfg.Transport.Authority,
		},
		parse:  cfg.ServiceConfig,
		listed: p.relisted,
		policy: cfg.Balancing.Policy,
		use:    &p.use,
		ends:   cfg.ResolverEnds,
		allow:  p.allow,
		news:   make(chan struct{}),
	}
	if h.ends == nil {
		h.ends = func() {}
	}
	p.hosted, p.dialer.hosted = h, h
	p.balancing = &balancing{p: p, make: cfg.Balancing.New, waits: cfg.Balancing.Policy != nil}
	h.balance = p.balancing
}

// list gives the addresses for a round, or why there are none.
func (p *pickFirst) list(ctx context.Context, timeout time.Duration) ([]string, error) {
	if p.hosted != nil {
		return p.hosted.list(ctx)
	}
	return p.addresses.list(ctx, timeout)
}

// renewable gives the list for a round, and its context: that ends with errRelisted
// if there are addresses besides.
func (p *pickFirst) renewable(ctx context.Context) (round context.Context, list []string, end func(), err error) {
	round, cancel := context.WithCancelCause(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	list, err = p.hosted.latest()
	p.relist.tried, p.relist.renew = list, cancel
	return round, list, func() {
		p.mu.Lock()
		p.relist.renew = nil
		p.mu.Unlock()
		cancel(nil)
	}, err
}

// relisted hears that the list of addresses is another one. A connection whose
// address is on it stays; else the calls on it finish, and another is made. Where
// there is none, addresses that were not tried are tried at once, by a balancer if
// there is one.
func (p *pickFirst) relisted(balanced bool) {
	if p.hosted == nil {
		return
	}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.relist.tried = p.hosted.left(p.relist.tried)
	gone := p.current
	switch {
	case gone == nil:
		if balanced || p.hosted.adds(p.relist.tried) {
			p.hurryLocked()
		}
	case p.balancing.current() != nil: // which is to take over
		gone = nil
	case p.unproven, p.hosted.knows(p.at): // proven asks again
		gone = nil
	default:
		p.current = nil
		err := fmt.Errorf("the resolver has %s no more", p.at)
		p.states.set(connectivity.Idle, p.idle(), err)
		if r := p.replacement; r != nil && r.runs { // towards addresses that were
			p.hurryLocked()
			p.states.set(connectivity.Connecting, without{errNotYet}, err) // it may be READY before wake
		}
	}
	p.mu.Unlock()
	if gone != nil {
		gone.GracefulClose()
		p.wake()
	}
}

// hurryLocked begins a round with the new addresses: in the place of the one that
// runs, or of the pause until the next.
func (p *pickFirst) hurryLocked() {
	if p.relist.renew != nil {
		p.relist.renew(errRelisted)
	}
	p.endBackoffLocked()
}

// hearsResolver tells the resolver of a connection that drains: what ended it may
// be why its server has moved. One that ended for want of calls takes the resolver
// with it, and where no call comes after another end, that has its time as well.
func (p *pickFirst) hearsResolver(tr transport.ClientTransport) {
	if p.hosted == nil {
		return
	}
	p.mu.Lock()
	closed, end := p.closed, func() {}
	idle := errors.Is(tr.Err(), transport.ErrIdle)
	switch {
	case closed:
	case idle && p.restingLocked():
		end = p.dropResolver()
	case p.use.timeout <= 0:
	case p.relist.rest == nil:
		p.relist.rest = time.AfterFunc(p.use.timeout, p.restLost)
	default:
		p.relist.rest.Reset(p.use.timeout)
	}
	p.mu.Unlock()
	end()
	if !idle && !closed {
		p.hosted.resolveNow()
	}
}

// movedLocked has weir's own names looked up at once when the connection has ended.
// A resolver of the user's knows itself what hurries.
func (p *pickFirst) movedLocked(err error) {
	if p.hosted == nil || errors.Is(err, transport.ErrIdle) {
		return
	}
	if l, ok := p.hosted.builder.(*listing); ok {
		l.lost()
	}
}

// restingLocked reports whether the channel is IDLE and has no balancer.
func (p *pickFirst) restingLocked() bool {
	return p.life == nil && p.balancing.current() == nil && p.states.current.Load().state == connectivity.Idle
}

// restLost closes the resolver of a channel that is IDLE for the idle timeout, since
// it has lost a connection.
func (p *pickFirst) restLost() {
	p.mu.Lock()
	if p.closed || !p.restingLocked() {
		if r := p.replacement; r != nil && r.runs && !p.closed { // and may leave the channel IDLE
			p.relist.rest.Reset(p.use.timeout)
		}
		p.mu.Unlock()
		return
	}
	end := p.dropResolver()
	p.work.Add(1)
	p.mu.Unlock()
	end()
	p.work.Done()
}

// dropResolver takes the resolver out of use, with mu, and gives what closes it,
// without.
func (p *pickFirst) dropResolver() (end func()) {
	if p.hosted == nil {
		return func() {}
	}
	forget, stop := p.hosted.detach(), p.balancing.detach()
	return func() {
		forget()
		stop()
	}
}

// AwaitResolver waits until the resolver of a target that has one of the user's
// has said something, so that the service config is known that counts for a call.
// It connects, as a call does, and fails if ctx ends.
func (c *Channel) AwaitResolver(ctx context.Context) error {
	h := c.first.hosted
	if h == nil || h.heard.Load() {
		return nil
	}
	c.first.use.begin()
	defer c.first.use.end()
	c.first.wake()
	if h.await(ctx) != nil {
		return c.gaveUp(ctx, c.states.current.Load(), false)
	}
	return nil
}

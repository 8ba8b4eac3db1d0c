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
	added bool                    // there are new addresses since the round began
	renew context.CancelCauseFunc // of the round
}

var errRelisted = errors.New("the resolver has other addresses")

// host has a resolver of the user say what the addresses are.
func (p *pickFirst) host(cfg *Config) {
	t := &p.dialer.target
	h := &hosted{
		builder: t.builder,
		target:  resolver.Target{URL: t.url},
		options: resolver.BuildOptions{
			DisableServiceConfig: cfg.ServiceConfig == nil,
			DialCreds:            cfg.Credentials,
			Dialer:               cfg.Dial,
			Authority:            cfg.Transport.Authority,
		},
		parse:  cfg.ServiceConfig,
		listed: p.relisted,
		policy: cfg.Balancing.Policy,
		use:    &p.use,
		news:   make(chan struct{}),
	}
	p.hosted, p.dialer.hosted = h, h
	p.balancing = balancing{p: p, make: cfg.Balancing.New}
	h.balance = &p.balancing
}

// list gives the addresses for a round, or why there are none.
func (p *pickFirst) list(ctx context.Context, timeout time.Duration) ([]string, error) {
	if p.hosted != nil {
		return p.hosted.list(ctx)
	}
	return p.addresses.list(ctx, timeout)
}

// renewable gives the context of a round: it ends with errRelisted if there are new
// addresses from now on.
func (p *pickFirst) renewable(ctx context.Context) (round context.Context, end func()) {
	round, cancel := context.WithCancelCause(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.relist = relist{renew: cancel}
	return round, func() {
		p.mu.Lock()
		p.relist.renew = nil
		p.mu.Unlock()
		cancel(nil)
	}
}

// relisted hears that the list of addresses is another one. A connection whose
// address is on it stays; else the calls on it finish, and another is made. Where
// there is none, new addresses are tried at once.
func (p *pickFirst) relisted(added bool) {
	if p.hosted == nil {
		return
	}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.relist.added = p.relist.added || added
	gone := p.current
	switch {
	case gone == nil:
		if added {
			p.hurryLocked()
		}
	case p.balancing.balancer != nil: // which is to take over
		gone = nil
	case p.unproven, p.hosted.knows(p.at): // proven asks again
		gone = nil
	default:
		p.current = nil
		p.states.set(connectivity.Idle, p.idle(), fmt.Errorf("the resolver has %s no more", p.at))
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
	if p.hurry != nil {
		close(p.hurry)
		p.hurry = nil
	}
}

// hearsResolver tells the resolver of a connection that drains: what ended it may
// be why its server has moved. One that ended for want of calls takes the resolver
// with it.
func (p *pickFirst) hearsResolver(tr transport.ClientTransport) {
	if p.hosted == nil {
		return
	}
	p.mu.Lock()
	closed, end := p.closed, func() {}
	idle := errors.Is(tr.Err(), transport.ErrIdle)
	if idle && !closed && p.life == nil && p.states.current.Load().state == connectivity.Idle {
		end = p.dropResolver()
	}
	p.mu.Unlock()
	end()
	if !idle && !closed {
		p.hosted.resolveNow()
	}
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

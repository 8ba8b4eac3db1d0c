package channel

import (
	"errors"
	"fmt"

	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/connectivity"
)

// replacement is what pickFirst does about a connection that is about to go.
// Guarded by pickFirst.mu.
type replacement struct {
	old transport.ClientTransport // that told of its end
	why string
	// runs says that another connection is being made, on the goroutine that
	// connects: who wakes the channel leaves it to that.
	runs bool
}

// replaceable has pickFirst replace tr before it goes. Without mu.
func (p *pickFirst) replaceable(tr transport.ClientTransport) {
	if r, ok := tr.(transport.Replaceable); ok {
		r.BeforeDraining(func(why string) bool { return p.replace(tr, why) })
	}
}

// replace makes another connection while calls go on old, and then makes calls run
// on it, in one step: the state remains READY. It reports false if there is none.
//
// If old is gone before, it makes the connection that is missing then.
func (p *pickFirst) replace(old transport.ClientTransport, why string) bool {
	p.mu.Lock()
	if p.closed || p.current != old || p.unproven || p.life != nil || p.balancing.current() != nil {
		p.mu.Unlock()
		return false
	}
	own := &replacement{old: old, why: why, runs: true}
	p.replacement = own
	ctx, over := p.beginLocked()
	p.work.Add(1)
	p.mu.Unlock()
	defer p.work.Done()
	defer over()

	a := p.attempt()
	tr, address, err := p.round(ctx, a.timeout, false)
	for errors.Is(err, errRelisted) {
		tr, address, err = p.round(ctx, a.timeout, false)
	}
	if err == nil {
		return p.connected(ctx, tr, address, a.timeout, false) == nil
	}
	p.mu.Lock()
	own.runs = false
	missing := p.states.current.Load().state == connectivity.Connecting
	p.mu.Unlock()
	if missing && !p.finish(ctx, a, nil, "", err) {
		p.connect(ctx)
	}
	return false
}

// leaving is why tr takes no more calls, if it has not ended. With mu.
func (p *pickFirst) leaving(tr transport.ClientTransport) error {
	if r := p.replacement; r != nil && r.old == tr {
		return fmt.Errorf("the connection to the server at %v takes no more calls: %s", tr.Peer().Addr, r.why)
	}
	return fmt.Errorf("the server at %v ends the connection when the calls on it are over (GOAWAY)", tr.Peer().Addr)
}

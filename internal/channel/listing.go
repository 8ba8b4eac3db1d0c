package channel

import (
	"context"
	"math/rand/v2"
	"net/url"
	"sync"
	"time"

	"google.golang.org/grpc/resolver"
)

// listing is the resolver of targets whose addresses this package knows, or asks
// DNS for, when a balancer is to have them, or DNS is to be asked again and again
// or for a service config.
type listing struct {
	dns    DNS
	pacing *pacing
	idle   func() bool   // whether the channel is IDLE
	moved  chan struct{} // of one: the connection has ended, whose server may have moved

	mu        sync.Mutex // one lister may begin before another has ended
	addresses *addresses
}

// listed makes t a target whose resolver is l.
func (t *Target) listed(l *listing) {
	u, err := url.Parse(t.canonical())
	if err != nil {
		u = &url.URL{Scheme: "dns", Path: "/" + t.Text}
	}
	t.url = u
	t.builder = l
}

func (*listing) Scheme() string { return "" }

// Build is resolver.Builder's.
func (l *listing) Build(_ resolver.Target, cc resolver.ClientConn, _ resolver.BuildOptions) (resolver.Resolver, error) {
	r := &lister{listing: l, cc: cc, asked: make(chan struct{}, 1)}
	ctx, end := context.WithCancel(context.Background())
	r.end = end
	r.work.Go(func() { r.run(ctx) })
	return r, nil
}

// lister lists addresses once, and again when the interval of DNS is over or it is
// asked to, as often as it may.
type lister struct {
	*listing
	cc    resolver.ClientConn
	asked chan struct{} // of one
	end   context.CancelFunc
	work  sync.WaitGroup
}

// ResolveNow is resolver.Resolver's.
func (r *lister) ResolveNow(resolver.ResolveNowOptions) {
	select {
	case r.asked <- struct{}{}:
	default:
	}
}

// Close is resolver.Resolver's.
func (r *lister) Close() {
	r.end()
	r.work.Wait()
}

func (r *lister) run(ctx context.Context) {
	for failures, soon := 0, false; ; {
		next, err := r.list(ctx, soon)
		soon = false
		var rest time.Duration
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			failures++
			rest = r.pacing.randomDelay(failures)
		case next.IsZero():
			return // there is nothing to ask
		default:
			failures = 0
			r.due(ctx)
			rest = time.Until(next)
		}
		pause := time.NewTimer(rest)
		select {
		case <-pause.C:
		case <-r.moved:
			soon = true
		case <-ctx.Done():
		}
		pause.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// list tells what there is, by a lookup at once if it is to be soon, and gives the
// earliest time of the next one: zero if there is to be none. The error is one for
// which there is to be another.
func (r *lister) list(ctx context.Context, soon bool) (next time.Time, err error) {
	s, next, err := r.look(ctx, soon)
	switch {
	case ctx.Err() != nil:
		return next, ctx.Err()
	case err != nil:
		r.cc.ReportError(err)
		return next, err
	}
	if err = r.cc.UpdateState(s); err != nil && !next.IsZero() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.addresses.outdate()
		return next, err
	}
	return next, nil // who gets addresses that are for ever tries what there is
}

func (r *lister) look(ctx context.Context, soon bool) (s resolver.State, next time.Time, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if soon {
		r.addresses.outdate()
	}
	list, err := r.addresses.list(ctx, r.pacing.connectTimeout(0))
	if err != nil {
		return s, next, err
	}
	s.Addresses = make([]resolver.Address, len(list))
	for i, a := range list {
		s.Addresses[i].Addr = a
	}
	s.ServiceConfig = r.addresses.txt.parsed(r.cc)
	return s, r.addresses.next, nil
}

// due waits until there is a reason to look again. While the channel is IDLE the
// interval is none: who connects then asks.
func (r *lister) due(ctx context.Context) {
	var over <-chan time.Time
	if r.dns.Interval > 0 {
		interval := time.NewTimer(r.dns.interval(rand.Float64()))
		defer interval.Stop()
		over = interval.C
	}
	for {
		select {
		case <-over:
			if !r.idle() {
				return
			}
			over = nil
		case <-r.asked:
			return
		case <-ctx.Done():
			return
		}
	}
}

// lost has the name looked up at once, as the first to hear of a lost connection.
func (l *listing) lost() {
	select {
	case l.moved <- struct{}{}:
	default:
	}
}

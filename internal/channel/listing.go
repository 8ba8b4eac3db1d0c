package channel

import (
	"context"
	"net/url"
	"sync"
	"time"

	"google.golang.org/grpc/resolver"
)

// listing is the resolver of targets whose addresses this package knows, or asks
// DNS for, when a balancer is to have them.
type listing struct {
	addresses *addresses
	pacing    *pacing
}

// listed makes t a target whose resolver is l.
func (t *Target) listed(l *listing) {
	t.url = url.URL{Scheme: "dns", Path: "/" + t.Text} // if it is no URL
	if u, err := url.Parse(t.canonical()); err == nil {
		t.url = *u
	}
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

// lister lists addresses once, and again as often as it is asked to and may.
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
	for failures := 0; ; {
		list, err := r.addresses.list(ctx, r.pacing.connectTimeout(0))
		var rest time.Duration
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			failures++
			rest = r.pacing.randomDelay(failures)
			r.cc.ReportError(err)
		default:
			failures = 0
			s := resolver.State{Addresses: make([]resolver.Address, len(list))}
			for i, a := range list {
				s.Addresses[i].Addr = a
			}
			_ = r.cc.UpdateState(s) // who gets it tries what there is
			if r.addresses.next.IsZero() {
				return // there is nothing to ask
			}
			select {
			case <-r.asked:
			case <-ctx.Done():
				return
			}
			rest = time.Until(r.addresses.next)
		}
		pause := time.NewTimer(rest)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return
		}
	}
}

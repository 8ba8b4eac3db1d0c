package balance

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"
)

// health is who wants to know whether the server behind a connection is well.
// Without a policy that has it checked, one that is connected is well. Guarded by
// subConn.mu.
type health struct {
	told  connectivity.State // what the balancer knows of the connection
	epoch int                // of the listener: an older one is told no more
	stop  func()             // of the check; may be nil
}

// toldLocked says that the balancer hears of a state now, which is the end of a
// listener to health. After SHUTDOWN, which it does not wait for, there is none: an
// earlier state may come behind it.
func (h *health) toldLocked(s connectivity.State) {
	if h.told != connectivity.Shutdown {
		h.told = s
		h.nextLocked()
	}
}

// nextLocked is the end of a listener.
func (h *health) nextLocked() {
	h.epoch++
	if h.stop != nil {
		h.stop()
		h.stop = nil
	}
}

// RegisterHealthListener is balancer.SubConn's.
func (sc *subConn) RegisterHealthListener(listener func(balancer.SubConnState)) {
	h := sc.child.host
	service, checks := h.checks()
	sc.mu.Lock()
	defer sc.mu.Unlock()
	if sc.told != connectivity.Ready {
		return
	}
	sc.nextLocked()
	if listener == nil {
		return
	}
	epoch := sc.epoch
	tell := func(to connectivity.State, err error) {
		h.queue.put(func() {
			sc.mu.Lock()
			current := sc.epoch == epoch
			sc.mu.Unlock()
			if current {
				listener(balancer.SubConnState{ConnectivityState: to, ConnectionError: err})
			}
		})
	}
	if !checks {
		tell(connectivity.Ready, nil)
		return
	}
	var ctx context.Context
	ctx, sc.stop = context.WithCancel(context.Background())
	h.work.Go(func() { sc.check(ctx, service, tell) })
}

// check tells of the health of a service until ctx ends, or the server turns out
// not to know of health, which makes it healthy.
//
// https://github.com/grpc/grpc/blob/master/doc/health-checking.md
func (sc *subConn) check(ctx context.Context, service string, tell func(connectivity.State, error)) {
	cfg := &sc.child.host.cfg
	tell(connectivity.Connecting, nil)
	for failures := 1; ; failures++ {
		on := sc.ready.Load()
		run, end := context.WithCancel(ctx)
		err := cfg.Health(run, sc.lasting, service, func(serving bool, said string) {
			failures = 1
			if serving {
				tell(connectivity.Ready, nil)
			} else {
				tell(connectivity.TransientFailure, fmt.Errorf("the server is connected, and says of its service %q: %s", service, said))
			}
		})
		end()
		switch now := sc.ready.Load(); {
		case ctx.Err() != nil:
			return
		case now != nil && now != on: // replaced: it goes on there
			failures = 0
			continue
		case status.Code(err) == codes.Unimplemented:
			tell(connectivity.Ready, nil)
			return
		}
		tell(connectivity.TransientFailure, fmt.Errorf("the server is connected, and does not say how its service %q is: %w", service, err))
		delay, _ := cfg.Pace(failures)
		pause := time.NewTimer(delay)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return
		}
	}
}

// checks gives the service whose health counts, if any does.
func (h *Host) checks() (service string, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.service == nil || h.cfg.Health == nil {
		return "", false
	}
	return *h.service, true
}

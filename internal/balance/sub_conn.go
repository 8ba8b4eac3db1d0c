package balance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/resolver"
)

// subConn is one connection at a time, to the first of its addresses that gives
// one, when the balancer asks for it:
//
//	IDLE ── Connect ──> CONNECTING ── connected ──> READY ── lost ──> IDLE
//	 ^                      │ failed
//	 └─── after backoff ── TRANSIENT_FAILURE
//
// It has a goroutine in CONNECTING and in TRANSIENT_FAILURE.
type subConn struct {
	balancer.SubConn // nil: nobody outside grpc-go can implement it whole

	child     *child
	listener  func(balancer.SubConnState)   // may be nil
	bundle    credentials.Bundle            // in the place of the Client's; may be nil
	perRPC    credentials.PerRPCCredentials // of bundle; may be nil
	ready     atomic.Pointer[established]   // nil unless READY; written with mu
	checked   bool                          // READY means healthy
	producers producers

	mu        sync.Mutex // before Host.mu
	addresses []resolver.Address
	state     connectivity.State
	attempt   *attempt // that goes on; nil in IDLE, READY and SHUTDOWN
	failures  int      // in a row

	health
	account
	replacement replacement
}

// attempt is one run through the addresses, with the backoff behind it.
type attempt struct {
	ctx   context.Context
	end   context.CancelCauseFunc
	hurry chan struct{} // closed by resetBackoff, once; nil then
}

var errShutdown = errors.New("the balancer has no use for the connection any more")

func newSubConn(c *child, list []resolver.Address, o balancer.NewSubConnOptions) *subConn {
	sc := &subConn{child: c, addresses: slices.Clone(list), listener: o.StateListener, account: newAccount()}
	sc.bundle = o.CredsBundle //nolint:staticcheck // balancers have it
	if sc.bundle != nil {
		sc.perRPC = sc.bundle.PerRPCCredentials() // once: they may remember their tokens
	}
	sc.checked = o.HealthCheckEnabled
	sc.producers.over = c.host.cfg.Over
	return sc
}

// Transport gives the connection, or nil if there is none that takes calls.
func (sc *subConn) Transport() transport.ClientTransport {
	e := sc.ready.Load()
	if e == nil {
		return nil
	}
	select {
	case <-e.tr.Draining():
		return nil // the balancer hears of it
	default:
		return e.tr
	}
}

// PerRPC gives the credentials for calls of the bundle that the balancer has chosen
// for it: nil if that has none, and false if there is no bundle.
func (sc *subConn) PerRPC() (own credentials.PerRPCCredentials, bundled bool) {
	return sc.perRPC, sc.bundle != nil
}

// Connect is balancer.SubConn's.
func (sc *subConn) Connect() {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	if sc.state == connectivity.Idle {
		sc.setLocked(connectivity.Connecting, nil)
		sc.beginLocked()
	}
}

// beginLocked begins an attempt, in the place of the one that goes on.
func (sc *subConn) beginLocked() {
	if sc.attempt != nil {
		sc.attempt.end(errShutdown)
	}
	a := &attempt{hurry: make(chan struct{})}
	a.ctx, a.end = context.WithCancelCause(context.Background())
	sc.attempt = a
	list, failures := sc.addresses, sc.failures+1
	sc.child.host.work.Go(func() {
		sc.run(a, list, failures)
		a.end(nil)
	})
}

func (sc *subConn) run(a *attempt, list []resolver.Address, failures int) {
	cfg := &sc.child.host.cfg
	start := time.Now()
	delay, timeout := cfg.Pace(failures)
	e, err := sc.try(a.ctx, list, timeout)
	if e == nil {
		sc.child.hold(a.ctx, sc)
	}
	sc.mu.Lock()
	if sc.attempt != a {
		sc.mu.Unlock()
		if e != nil {
			e.tr.GracefulClose()
		}
		return
	}
	if e != nil {
		sc.attempt, sc.failures = nil, 0
		sc.ready.Store(e)
		sc.add(e.tr)
		sc.setLocked(connectivity.Ready, nil)
		sc.child.triedLocked(sc, true)
		sc.mu.Unlock()
		sc.used(e)
		return
	}
	sc.failures++
	hurry := a.hurry
	sc.child.host.failed(err)
	sc.retry = start.Add(delay)
	sc.setLocked(connectivity.TransientFailure, err)
	sc.child.triedLocked(sc, false)
	sc.mu.Unlock()
	cfg.ResolveNow()
	pause := time.NewTimer(delay - time.Since(start))
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-hurry:
	case <-a.ctx.Done():
		return
	}
	sc.mu.Lock()
	defer sc.mu.Unlock()
	if sc.attempt == a {
		sc.attempt = nil
		sc.setLocked(connectivity.Idle, err)
	}
}

// try gives a connection to the first address that has one, or why none has.
func (sc *subConn) try(ctx context.Context, list []resolver.Address, timeout time.Duration) (*established, error) {
	var errs []error
	for _, at := range list {
		var tr transport.ClientTransport
		known := make(chan struct{})
		tr, err := sc.child.host.cfg.Connect(ctx, at, sc.bundle, timeout, func() {
			<-known
			sc.lost(tr)
		})
		close(known)
		if err == nil {
			return newEstablished(tr, at), nil
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	if len(errs) == 1 {
		return nil, errs[0]
	}
	return nil, errors.Join(errs...)
}

// lost hears that a connection takes no more calls.
func (sc *subConn) lost(tr transport.ClientTransport) {
	if e := sc.ready.Load(); e != nil && e.tr == tr {
		sc.child.hurryOthers(sc)
	}
	sc.mu.Lock()
	defer sc.mu.Unlock()
	e := sc.ready.Load()
	if e == nil || e.tr != tr {
		return
	}
	err := tr.Err()
	if err == nil {
		err = sc.leaving(e)
	}
	sc.ready.Store(nil)
	sc.replacement.stop()
	sc.child.host.failed(err)
	sc.err = err
	sc.setLocked(connectivity.Idle, nil)
}

// UpdateAddresses is balancer.SubConn's. The connection stays if its address does.
func (sc *subConn) UpdateAddresses(list []resolver.Address) {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	if slices.EqualFunc(sc.addresses, list, resolver.Address.Equal) {
		return
	}
	sc.addresses = slices.Clone(list)
	switch sc.state {
	case connectivity.Ready:
		e := sc.ready.Load()
		if slices.ContainsFunc(list, e.at.Equal) {
			return
		}
		sc.ready.Store(nil)
		sc.replacement.stop()
		e.tr.GracefulClose()
		sc.setLocked(connectivity.Connecting, nil)
		sc.beginLocked()
	case connectivity.Connecting:
		sc.beginLocked()
	}
}

// Shutdown is balancer.SubConn's. Calls on the connection finish.
func (sc *subConn) Shutdown() {
	defer sc.producers.close()
	sc.mu.Lock()
	defer sc.mu.Unlock()
	if sc.state == connectivity.Shutdown {
		return
	}
	if sc.attempt != nil {
		sc.attempt.end(errShutdown)
		sc.attempt = nil
	}
	sc.replacement.stop()
	if e := sc.ready.Swap(nil); e != nil {
		e.tr.GracefulClose()
	}
	sc.toldLocked(connectivity.Shutdown)
	sc.setLocked(connectivity.Shutdown, nil)
	sc.child.triedLocked(sc, false)
	h := sc.child.host
	h.mu.Lock()
	delete(sc.child.subConns, sc)
	h.mu.Unlock()
}

func (sc *subConn) resetBackoff() {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	sc.failures = 0
	sc.hurryLocked()
}

// setLocked changes the state and has the balancer told.
func (sc *subConn) setLocked(to connectivity.State, err error) {
	sc.state = to
	sc.changed(err)
	h := sc.child.host
	h.queue.put(func() {
		h.mu.Lock()
		over := sc.child.over
		h.mu.Unlock()
		sc.producers.close()
		if over {
			return
		}
		sc.mu.Lock()
		sc.toldLocked(to)
		sc.mu.Unlock()
		if _, checks := h.checks(); checks && sc.checked && to == connectivity.Ready {
			sc.RegisterHealthListener(sc.tell)
			return
		}
		sc.tell(balancer.SubConnState{ConnectivityState: to, ConnectionError: err})
	})
}

// tell is by what the queue runs.
func (sc *subConn) tell(s balancer.SubConnState) {
	if sc.listener != nil {
		sc.listener(s)
	} else {
		sc.child.balancer.UpdateSubConnState(sc, s) //nolint:staticcheck // balancers have it
	}
}

// String names the connection by its addresses.
func (sc *subConn) String() string {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	return fmt.Sprintf("SubConn %v (%v)", sc.addresses, sc.state)
}

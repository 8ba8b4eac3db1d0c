package channel

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/stats"
)

// pickFirst keeps one connection, to the first address that gives one:
//
//	IDLE ── wake ──> CONNECTING ── connected ──> READY ── lost ──> IDLE
//	                     │                         ^
//	                  failed                   connected
//	                     v                         │
//	              TRANSIENT_FAILURE ───────────────┘
//	                  failed: stays, and tries again after the backoff
//
//	any ── close ──> SHUTDOWN
//
// It connects on one goroutine, which ends when the state is READY; then
// another waits for the end of the connection. In IDLE it has none.
type pickFirst struct {
	target    string
	states    *states
	addresses *addresses // owned by the goroutine that connects
	dialer    *dialer
	pacing    pacing
	stats     stats.Handler // may be nil

	life context.Context // ends with close
	end  context.CancelCauseFunc
	work sync.WaitGroup

	// Guarded by mu, as is the order of states.set.
	mu       sync.Mutex
	current  transport.ClientTransport          // in READY
	live     map[transport.ClientTransport]bool // that may not have ended
	failures int                                // rounds in a row
	hurry    chan struct{}                      // of a backoff that runs: closing it ends it
	closed   bool
}

func (p *pickFirst) idle() picker { return idle{p.wake} }

// wake leaves IDLE.
func (p *pickFirst) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	v := p.states.current.Load()
	if p.closed || v.state != connectivity.Idle {
		return
	}
	p.states.set(connectivity.Connecting, without{errNotYet}, v.err)
	p.work.Go(p.connect)
}

// connect runs rounds until there is a connection or the channel is closed.
func (p *pickFirst) connect() {
	for {
		start := time.Now()
		p.mu.Lock()
		delay := p.pacing.delay(p.failures+1, rand.Float64())
		p.mu.Unlock()
		tr, err := p.round(p.pacing.connectTimeout(delay))
		if err == nil {
			p.connected(tr)
			return
		}
		hurry := p.failed(err)
		pause := time.NewTimer(time.Until(start.Add(delay)))
		select {
		case <-pause.C:
		case <-hurry:
		case <-p.life.Done():
			pause.Stop()
			return
		}
		pause.Stop()
	}
}

// round tries each address once.
func (p *pickFirst) round(timeout time.Duration) (transport.ClientTransport, error) {
	ctx, cancel := context.WithTimeoutCause(p.life, timeout, &connectTimeoutError{timeout})
	list, lookupErr := p.addresses.list(ctx)
	cancel()
	if len(list) == 0 {
		return nil, lookupErr
	}
	r := round{connect: p.dialer.connect, timeout: timeout, work: &p.work}
	tr, errs := r.run(p.life, list)
	if tr != nil {
		// What the target stands for may have changed when this one ends.
		p.addresses.outdate()
		return tr, nil
	}
	if lookupErr != nil {
		errs = append(errs, lookupErr)
	}
	return nil, &roundError{errs: errs}
}

// connected makes calls run on tr. The backoff starts anew with the next loss.
func (p *pickFirst) connected(tr transport.ClientTransport) {
	ended := connBegins(p.stats, tr.Peer())
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		tr.Close(closedReason)
		ended()
		return
	}
	p.current, p.failures = tr, 0
	p.live[tr] = true
	p.states.set(connectivity.Ready, &single{tr, p.lost}, nil)
	p.work.Go(func() { p.watch(tr, ended) })
	p.mu.Unlock()
}

// failed publishes why there is no connection: calls that do not wait fail
// with it, from now on until there is one. It gives what ends the backoff.
func (p *pickFirst) failed(err error) (hurry <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failures++
	p.hurry = make(chan struct{})
	p.states.set(connectivity.TransientFailure, without{unavailable(p.target, err)}, err)
	return p.hurry
}

// watch waits for the end of a connection.
func (p *pickFirst) watch(tr transport.ClientTransport, ended func()) {
	<-tr.Draining()
	p.lost(tr)
	<-tr.Done()
	ended()
	p.mu.Lock()
	delete(p.live, tr)
	p.mu.Unlock()
}

// lost makes the channel IDLE if tr was its connection.
func (p *pickFirst) lost(tr transport.ClientTransport) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.current != tr {
		return
	}
	p.current = nil
	err := tr.Err()
	if err == nil {
		err = fmt.Errorf("the server at %v ends the connection when the calls on it are over (GOAWAY)", tr.Peer().Addr)
	}
	p.states.set(connectivity.Idle, p.idle(), err)
}

// resetBackoff forgets the failures, and begins the next round at once if the
// channel waits for it.
func (p *pickFirst) resetBackoff() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failures = 0
	if p.hurry != nil {
		close(p.hurry)
		p.hurry = nil
	}
}

const closedReason = "the client is closed"

// close ends every connection and waits until nothing is left but dialers of
// the user that do not heed their context. It reports false the second time.
func (p *pickFirst) close() bool {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return false
	}
	p.closed, p.current = true, nil
	p.states.set(connectivity.Shutdown, without{errClosed}, nil)
	for tr := range p.live {
		p.work.Go(func() { tr.Close(closedReason) })
	}
	p.mu.Unlock()
	p.end(errClosed)
	p.work.Wait()
	return true
}

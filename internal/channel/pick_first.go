package channel

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
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
// It connects on one goroutine, which ends when the state is READY and the
// server's SETTINGS have come. From then on, and in IDLE, it has none. A
// connection that ends before its server's SETTINGS, which with early calls was
// READY already, is a failure too; it goes from READY to TRANSIENT_FAILURE.
type pickFirst struct {
	states    *states
	addresses *addresses // owned by the goroutine that connects, or by a listing
	hosted    *hosted    // who knows the addresses in place of addresses; may be nil
	balancing *balancing // who may connect in its place; nil without hosted
	dialer    *dialer
	pacing    pacing
	stats     stats.Handler // may be nil
	log       *ConnLog
	early     bool         // calls do not wait for SETTINGS
	wary      bool         // the latest early call was too early; owned by the goroutine that connects
	most      atomic.Int32 // connections to an address; written with mu

	work sync.WaitGroup
	use  use

	// Guarded by mu, as is the order of states.set.
	mu       sync.Mutex
	life     context.Context // of connect, ends with close; nil while nothing connects
	end      context.CancelCauseFunc
	current  transport.ClientTransport // in READY
	at       string                    // the address of current
	relist   relist
	live     []transport.ClientTransport // that may not have ended
	failures int                         // rounds in a row
	retry    *retry                      // nil unless a round waits for its time
	unproven bool                        // the SETTINGS of current have not come yet
	closed   bool
	shut     chan struct{} // closed with it; nil until somebody asks
	past     *past         // nil until a connection has ended

	replacement *replacement // nil until a connection tells of its end
	subchannels map[*subchannel]struct{}
}

// retry is a backoff that runs.
type retry struct {
	at    time.Time     // when the round may begin
	hurry chan struct{} // closing it ends the backoff
}

func (p *pickFirst) idle() picker { return idle{p.wake} }

// wake leaves IDLE.
func (p *pickFirst) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	v := p.states.current.Load()
	if b := p.balancing.current(); b != nil && !p.closed {
		b.ExitIdle()
		return
	}
	if p.closed || v.state != connectivity.Idle {
		return
	}
	p.states.set(connectivity.Connecting, without{errNotYet}, v.err)
	if p.replacement != nil && p.replacement.runs {
		return
	}
	ctx, over := p.beginLocked()
	p.work.Go(func() {
		p.connect(ctx)
		over()
	})
}

// beginLocked is the beginning of the goroutine that connects, and gives its end.
func (p *pickFirst) beginLocked() (ctx context.Context, over func()) {
	p.use.now()
	ctx, end := context.WithCancelCause(context.Background())
	p.life, p.end = ctx, end
	return ctx, func() {
		end(nil)
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.life == ctx { // else there is another connect already
			p.life, p.end = nil, nil
		}
	}
}

// attempt is a round, and when the next may begin.
type attempt struct {
	start          time.Time
	delay, timeout time.Duration
	early          bool
}

func (p *pickFirst) attempt() attempt {
	a := attempt{start: time.Now()}
	p.mu.Lock()
	p.retry = nil
	a.delay = p.pacing.delay(p.failures+1, rand.Float64())
	p.mu.Unlock()
	a.timeout = p.pacing.connectTimeout(a.delay)
	return a
}

// connect runs rounds until there is a connection, nobody wants one any more or
// the channel is closed.
func (p *pickFirst) connect(ctx context.Context) {
	for {
		a := p.attempt()
		a.early = p.early && !p.wary
		tr, address, err := p.round(ctx, a.timeout, a.early)
		if p.finish(ctx, a, tr, address, err) {
			return
		}
	}
}

// finish makes what a round gave effective. It reports false if another is due,
// which it waits for.
func (p *pickFirst) finish(ctx context.Context, a attempt, tr transport.ClientTransport, address string, err error) (done bool) {
	switch {
	case err == nil:
		err = p.connected(ctx, tr, address, a.timeout, a.early)
	case errors.Is(err, errRelisted):
		return false // nothing has failed
	case errors.Is(err, errNobodyWaits):
		p.rest()
		return true
	case errors.Is(err, errBalanced):
		return true
	}
	if err == nil {
		return true
	}
	next := a.start.Add(a.delay)
	return !p.pause(ctx, next, p.failed(err, next))
}

// pause waits until the next round is due, or hurry. It reports false if there is
// to be none: the channel was closed, or is IDLE for want of calls.
func (p *pickFirst) pause(ctx context.Context, next time.Time, hurry <-chan struct{}) bool {
	for {
		pause := time.NewTimer(min(time.Until(next), p.use.left()))
		select {
		case <-pause.C:
		case <-hurry:
			pause.Stop()
			return true
		case <-ctx.Done():
			pause.Stop()
			return false
		}
		if p.use.left() <= 0 {
			p.rest()
			return false
		}
		if !time.Now().Before(next) {
			return true
		}
	}
}

// rest makes the channel IDLE: nobody has called for the idle timeout.
func (p *pickFirst) rest() {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.failures, p.retry = 0, nil
	p.states.set(connectivity.Idle, p.idle(), p.use.error())
	end := p.dropResolver()
	p.mu.Unlock()
	end()
}

// round tries each address once, and gives that of the connection.
func (p *pickFirst) round(ctx context.Context, timeout time.Duration, early bool) (transport.ClientTransport, string, error) {
	list, lookupErr := p.list(ctx, timeout)
	if len(list) == 0 {
		return nil, "", p.unlessBalanced(lookupErr)
	}
	if err := p.unlessBalanced(nil); err != nil {
		return nil, "", err
	}
	if p.hosted != nil {
		var end func()
		ctx, list, end, lookupErr = p.renewable(ctx)
		defer end()
	}
	r := round{timeout: timeout, work: &p.work, connect: func(ctx context.Context, address string) (transport.ClientTransport, error) {
		return p.dialer.connect(ctx, address, early)
	}}
	tr, errs := r.run(ctx, list)
	if tr != nil {
		if p.hosted == nil {
			// What the target stands for may have changed when this one ends.
			p.addresses.outdate()
		}
		return tr, r.address, nil
	}
	if context.Cause(ctx) == errRelisted {
		return nil, "", errRelisted
	}
	if lookupErr != nil {
		errs = append(errs, lookupErr)
	}
	return nil, "", &roundError{errs: errs}
}

// connected makes calls run on tr. If they are early, it then waits for the
// server's SETTINGS, and gives the error of a server that turns out to be none.
// When they have come, the backoff starts anew with the next loss.
func (p *pickFirst) connected(ctx context.Context, tr transport.ClientTransport, address string, timeout time.Duration, early bool) error {
	ended := connBegins(p.stats, p.log, tr)
	whole := p.several(tr, address, nil)
	p.mu.Lock()
	p.replacement = nil
	if p.closed || p.balancing.current() != nil {
		p.mu.Unlock()
		tr.Close("nobody needs the connection any more")
		ended()
		return nil
	}
	if v := p.states.current.Load(); v.state == connectivity.Idle { // what tr replaces was lost, and nobody has called since
		p.states.set(connectivity.Connecting, without{errNotYet}, v.err)
	}
	p.current, p.at, p.unproven = whole, address, early
	p.live = append(p.live, tr)
	p.states.set(connectivity.Ready, p.pickerOf(whole), nil)
	p.work.Add(1)
	p.wary = false
	if !early {
		p.failures = 0
	}
	p.mu.Unlock()
	p.follow(tr, whole, ended, nil)
	p.replaceable(whole)
	if early {
		return p.proven(ctx, tr, whole, address, timeout)
	}
	p.relisted(false)
	return nil
}

// proven waits for the SETTINGS of a server to which calls go already.
//
// When they do not come, the next connections are waited for as if calls were
// not early, until one has succeeded: then the addresses are tried in their
// order, and what a server is, calls hear without being sent to it.
func (p *pickFirst) proven(ctx context.Context, tr, whole transport.ClientTransport, address string, timeout time.Duration) error {
	<-tr.Ready() // it has a bound: the time for connecting
	err := tr.Err()
	p.mu.Lock()
	p.unproven = false
	if p.wary = err != nil; p.wary && !p.closed {
		p.current = nil
		p.mu.Unlock()
		if errors.Is(err, context.DeadlineExceeded) {
			err = &endedError{err, &connectTimeoutError{timeout}}
		}
		return p.dialer.provenWrong(ctx, address, err)
	}
	p.failures = 0
	p.mu.Unlock()
	select {
	case <-whole.Draining():
		p.lost(whole) // who noticed before was not heard
	default:
		p.relisted(false)
	}
	return nil
}

// failed publishes why there is no connection: calls that do not wait fail
// with it, from now on until there is one. It gives what ends the backoff before
// the next round may begin.
func (p *pickFirst) failed(err error, next time.Time) (hurry <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.balancing.current() != nil {
		return closedChan
	}
	p.failures++
	p.retry = &retry{next, make(chan struct{})}
	hurry = p.retry.hurry
	if p.hosted != nil && p.hosted.adds(p.relist.tried) { // since the addresses were listed that have failed
		p.endBackoffLocked()
	}
	p.states.set(connectivity.TransientFailure, without{unavailable(p.dialer.target.Text, err)}, err)
	return hurry
}

// ends is the end of a connection, from its draining on.
func (p *pickFirst) ends(tr transport.ClientTransport, ended func()) {
	defer p.work.Done()
	p.lost(tr)
	p.hearsResolver(tr)
	<-tr.Done()
	ended()
	last := lastLook(tr)
	p.mu.Lock()
	if p.past == nil {
		p.past = new(past)
	}
	p.past.add(&last)
	i := slices.Index(p.live, tr)
	p.live = slices.Delete(p.live, i, i+1)
	p.mu.Unlock()
}

// lost makes the channel IDLE if tr was its connection. While tr is unproven,
// that is for proven to say.
func (p *pickFirst) lost(tr transport.ClientTransport) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.current != tr || p.unproven {
		return
	}
	p.current = nil
	if p.balancing.current() != nil {
		p.balancing.showLocked()
		return
	}
	err := tr.Err()
	if err == nil {
		err = p.leaving(tr)
	}
	p.states.set(connectivity.Idle, p.idle(), err)
	p.movedLocked(err)
}

// resetBackoff forgets the failures, and begins the next round at once if the
// channel waits for it.
func (p *pickFirst) resetBackoff() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failures = 0
	p.endBackoffLocked()
	if b := p.balancing.current(); b != nil {
		p.work.Go(b.ResetBackoff)
	}
}

func (p *pickFirst) endBackoffLocked() {
	if p.retry != nil {
		close(p.retry.hurry)
		p.retry = nil
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
	if p.shut != nil {
		close(p.shut)
	}
	p.states.set(connectivity.Shutdown, without{errClosed}, nil)
	for _, tr := range p.live {
		p.work.Go(func() { tr.Close(closedReason) })
	}
	if p.end != nil {
		p.end(errClosed)
	}
	stop := p.balancing.detach()
	if p.relist.rest != nil {
		p.relist.rest.Stop()
	}
	p.mu.Unlock()
	if p.hosted != nil {
		p.hosted.close()()
	}
	stop()
	p.work.Wait()
	return true
}

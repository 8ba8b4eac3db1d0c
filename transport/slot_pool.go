package transport

import (
	"context"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-rpc/weir/internal/sched"
	"github.com/weir-rpc/weir/internal/wait"
	"google.golang.org/grpc/codes"
)

// A SlotPool gives calls the stream slots of several connections: what the
// SETTINGS_MAX_CONCURRENT_STREAMS of each allows. The oldest connection is filled
// first. Calls that find no slot wait in one line for the next that is free on any
// of them, also on one that joins later.
//
// A slot is taken before its call is made, with Call.Slot set, on the connection
// that it is of; or it is given back by ReturnSlot. The zero value has no
// connections. All methods may be called by several goroutines at a time.
type SlotPool struct {
	// Crowded is called when a call finds no slot on a connection that can send at
	// once: another one would serve it better. It must not wait, and may be nil. It
	// is not changed once the pool is in use.
	Crowded func()

	conns   atomic.Pointer[[]*http2Client] // the oldest first; replaced with mu held
	waiting atomic.Int32                   // line.Len()

	mu    sync.Mutex // after conn.mu
	line  sched.Line[poolWaiter]
	ended bool
}

type poolWaiter struct {
	given chan struct{} // closed when the wait is over
	since time.Time
	t     *http2Client // whose slot it is; nil if the pool has ended
}

// PoolLoad says how crowded a SlotPool is.
type PoolLoad struct {
	// Waiting are the calls in line, and Longest is how long the first of them has
	// waited.
	Waiting int
	Longest time.Duration
	// Busy says that every connection has more to send than its socket or its
	// server's window takes.
	Busy bool
	// Streams is the sum of what the connections allow, 2^32-1 or less for each.
	Streams uint64
	// Connections is how many there are.
	Connections int
}

// Add lets a connection give its slots to the pool. It reports false if the
// connection cannot do that, because it is not one of NewHTTP2Client. A
// connection is in one pool at most.
func (p *SlotPool) Add(tr ClientTransport) bool {
	t, ok := tr.(*http2Client)
	if !ok {
		return false
	}
	p.change(func(all []*http2Client) []*http2Client { return append(all, t) })
	t.mu.Lock()
	t.slots.pool = p
	t.slots.grantLocked(t)
	t.mu.Unlock()
	return true
}

// Remove makes a connection give no more slots. Slots that are taken stay
// taken.
func (p *SlotPool) Remove(tr ClientTransport) {
	t, ok := tr.(*http2Client)
	if !ok {
		return
	}
	p.change(func(all []*http2Client) []*http2Client {
		return slices.DeleteFunc(all, func(x *http2Client) bool { return x == t })
	})
	t.mu.Lock()
	t.slots.pool = nil
	t.mu.Unlock()
}

// change replaces the list of connections by what f makes of a copy.
func (p *SlotPool) change(f func([]*http2Client) []*http2Client) {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := f(slices.Clone(p.all()))
	p.conns.Store(&next)
}

func (p *SlotPool) all() []*http2Client {
	if list := p.conns.Load(); list != nil {
		return *list
	}
	return nil
}

// End turns away all calls that wait, and all that come.
func (p *SlotPool) End() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	for p.line.Len() > 0 {
		close(p.line.Next().given)
	}
	p.waiting.Store(0)
}

// Take takes a slot without waiting, and gives its connection. It gives nil if
// none is free, or if others wait.
func (p *SlotPool) Take() ClientTransport {
	if p.waiting.Load() > 0 {
		return nil // first come, first served
	}
	var least *http2Client // of those that are busy
	var queue int
	for _, t := range p.all() {
		switch taken, busy, size := t.takeSlot(false); {
		case taken:
			return t
		case busy && (least == nil || size < queue):
			least, queue = t, size
		}
	}
	if least == nil {
		return nil
	}
	p.crowded()
	if taken, _, _ := least.takeSlot(true); taken {
		return least
	}
	return nil
}

func (p *SlotPool) crowded() {
	if p.Crowded != nil {
		p.Crowded()
	}
}

// takeSlot takes a slot; of a connection that is busy, or about to go, only if that
// does not matter. If it has one it says how much it has to send.
func (t *http2Client) takeSlot(anyhow bool) (taken, busy bool, size int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.life != lifeOpen || t.slots.pool == nil || !t.slots.freeLocked(t) {
		return false, false, 0
	}
	switch {
	case anyhow:
	case t.ending != nil && t.ending.why != "":
		return false, true, math.MaxInt // it is about to go
	case t.busyLocked():
		return false, true, t.out.size + t.round.Len()*quantum
	}
	t.slots.taken++
	return true, false, 0
}

// busyLocked reports whether more is to be sent than the socket or the
// connection's window takes.
func (c *conn) busyLocked() bool {
	return c.stall.behind || c.round.Len() > 0 && c.sendFlow.Available() == 0
}

// Wait waits in line for a slot as long as ctx allows, and gives its connection.
// It gives nil and no error if the pool has ended. Errors are *StreamError.
func (p *SlotPool) Wait(ctx context.Context) (ClientTransport, error) {
	p.mu.Lock()
	if p.ended {
		p.mu.Unlock()
		return nil, nil
	}
	w := p.line.Join(poolWaiter{given: make(chan struct{}), since: time.Now()})
	p.waiting.Store(int32(p.line.Len()))
	p.mu.Unlock()
	for _, t := range p.all() { // who gave a slot back before did not see w
		t.mu.Lock()
		t.slots.grantLocked(t)
		t.mu.Unlock()
	}
	p.crowded()
	if wait.For(ctx, wait.StreamSlot, wait.Holder{}, w.Who.given) != nil {
		return nil, p.leave(ctx, w)
	}
	if w.Who.t == nil {
		return nil, nil
	}
	return w.Who.t, nil
}

// leave takes one out of the line whose context has ended.
func (p *SlotPool) leave(ctx context.Context, w *sched.Place[poolWaiter]) error {
	p.mu.Lock()
	if p.line.Leave(w) {
		p.waiting.Store(int32(p.line.Len()))
	}
	late := w.Who.t
	p.mu.Unlock()
	if late != nil {
		late.returnSlot()
	}
	e := contextError(ctx)
	e.Unprocessed, e.Unsent = true, true
	load := p.Load()
	e.Status = statusf(e.Status.Code(), "%s while it waited for a stream slot: the server allows %d streams at a time on the %d connections there are (option MaxConcurrentStreams of the server)",
		e.Status.Message(), load.Streams, load.Connections)
	return e
}

// give gives a slot of t to the first in line. It reports false if there is
// nobody. With t.mu held.
func (p *SlotPool) give(t *http2Client) bool {
	if p.waiting.Load() == 0 {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.line.Len() == 0 {
		return false
	}
	w := p.line.Next()
	p.waiting.Store(int32(p.line.Len()))
	w.t = t
	close(w.given)
	return true
}

// Waiting is how many calls are in line.
func (p *SlotPool) Waiting() int { return int(p.waiting.Load()) }

// Load tells how crowded the pool is.
func (p *SlotPool) Load() PoolLoad {
	var l PoolLoad
	p.mu.Lock()
	if l.Waiting = p.line.Len(); l.Waiting > 0 {
		l.Longest = time.Since(p.line.Front().Who.since)
	}
	p.mu.Unlock()
	all := p.all()
	l.Connections, l.Busy = len(all), len(all) > 0
	for _, t := range all {
		t.mu.Lock()
		l.Streams += uint64(t.settings.maxStreams)
		l.Busy = l.Busy && t.busyLocked()
		t.mu.Unlock()
	}
	return l
}

// ReturnSlot gives the slot of a SlotPool back for which no call was made.
func ReturnSlot(tr ClientTransport) {
	if t, ok := tr.(*http2Client); ok {
		t.returnSlot()
	}
}

func (t *http2Client) returnSlot() {
	t.mu.Lock()
	t.slots.releaseLocked(t)
	t.mu.Unlock()
}

// acquireTaken is acquire for a call that has its slot.
func (t *http2Client) acquireTaken(ctx context.Context, call *Call) *StreamError {
	err := call.check()
	if err == nil && ctx.Err() != nil {
		err = contextError(ctx)
		err.Unprocessed, err.Unsent = true, true
	}
	t.mu.Lock()
	if err == nil {
		err = t.refusedLocked()
	}
	if err == nil && t.slots.taken > t.settings.maxStreams {
		err = &StreamError{Code: CodeRefusedStream, By: ByLocal, Unprocessed: true, Unsent: true,
			Status: statusf(codes.Unavailable, "the server has lowered the number of streams that it allows at a time, to %d", t.settings.maxStreams)}
	}
	if err != nil {
		t.slots.releaseLocked(t)
		t.mu.Unlock()
	}
	return err
}

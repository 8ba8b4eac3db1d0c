package transport

import (
	"bytes"
	"context"
	"runtime"
	"runtime/pprof"
	"sync"
	"time"

	"github.com/weir-rpc/weir/internal/sched"
)

// chain runs the handlers of a connection's unary requests, one after the
// other on one goroutine as long as they are quick. Before each, it makes a
// stand-by runnable if there is more to do: should the handler block, Go's
// scheduler runs the stand-by, and nobody waits for anybody.
//
// Whenever a request is queued or a reply is not flushed, a goroutine that is
// not in a handler is runnable, or about to become so, and will see to it.
type chain struct {
	s       *http2Server
	workers *Workers
	own     bool

	mu sync.Mutex
	// Guarded by mu.
	queue   sched.Queue[*http2ServerStream]
	standby bool // a worker is on its way
	dirty   bool // there are replies that nobody has flushed
}

// A chain flushes its replies when it has gathered so many, or for so long.
const (
	flushEvery = 32
	flushAfter = 100 * time.Microsecond
)

func (ch *chain) init(s *http2Server, w *Workers) {
	ch.s, ch.workers = s, w
	if w == nil {
		ch.workers, ch.own = NewWorkers(), true
	}
}

func (ch *chain) close() {
	if ch.own {
		ch.workers.Close()
	}
}

// add queues requests. It does not wait for anything.
func (ch *chain) add(requests []*http2ServerStream) {
	ch.mu.Lock()
	for _, st := range requests {
		ch.queue.Push(st)
	}
	ch.callLocked()
	ch.mu.Unlock()
}

// callLocked makes a stand-by runnable unless one is on its way.
func (ch *chain) callLocked() {
	if !ch.standby {
		ch.standby = true
		ch.workers.run(ch)
	}
}

// work runs handlers until none waits, then flushes. It reports whether a
// handler has left the goroutine locked to its thread, which must end then:
// nobody knows what that thread has become.
func (ch *chain) work(w *worker) (locked bool) {
	handled := ch.s.hasHandler()
	flushed := time.Now()
	ch.mu.Lock()
	ch.standby = false
	for n := 1; ch.queue.Len() > 0; n++ {
		st := ch.queue.Pop()
		if ch.queue.Len() > 0 || ch.dirty {
			ch.callLocked()
		}
		ch.mu.Unlock()
		if handled {
			ch.handle(st)
		} else {
			st.returned()
		}
		locked = st.suspect && w.lockedToThread()
		ch.mu.Lock()
		ch.dirty = true
		if locked {
			ch.callLocked()
			ch.mu.Unlock()
			return true
		}
		switch {
		case time.Since(flushed) > flushAfter:
			ch.flushLocked(flushNow) // whoever would join may take as long
		case n%flushEvery == 0:
			ch.flushLocked(flushInline)
		default:
			continue
		}
		flushed = time.Now()
	}
	if !ch.standby {
		ch.flushLocked(flushInline) // else the stand-by will, with what comes until then
	}
	ch.mu.Unlock()
	if w.ends++; w.ends%lockCheckEvery == 0 {
		return w.lockedToThread()
	}
	return false
}

// lockCheckEvery is how many chains a worker runs from one look at its lock to
// the next.
const lockCheckEvery = 16

// lockedToThread reports whether the goroutine is locked to its thread. The
// runtime tells only in its traces, which takes half a microsecond: so it is
// asked after the first calls of a method, and now and then at the end of a
// chain.
func (w *worker) lockedToThread() bool {
	return bytes.Contains(w.trace[:runtime.Stack(w.trace[:], false)], []byte("locked to thread"))
}

// flushLocked writes the replies. It lets go of the lock meanwhile.
func (ch *chain) flushLocked(mode flushMode) {
	if !ch.dirty {
		return
	}
	ch.dirty = false
	ch.mu.Unlock()
	ch.s.mu.Lock()
	ch.s.flush(mode)
	ch.mu.Lock()
}

// handle runs one handler. One that ends its goroutine takes nobody with it.
func (ch *chain) handle(st *http2ServerStream) {
	st.chained = true
	if st.ctx.ended() {
		st.returned() // its deadline passed, or its client left, in the queue
		return
	}
	normal := false
	defer func() {
		if !normal { // runtime.Goexit, or a panic
			if p := recover(); p != nil {
				panic(p) // ends the process: nobody shall hear of the call before
			}
			st.returned()
			ch.mu.Lock()
			ch.dirty = true
			ch.callLocked()
			ch.mu.Unlock()
		}
	}()
	ch.s.handle(st)
	normal = true
	st.returned()
	pprof.SetGoroutineLabels(context.Background()) // the handler's labels are its own
}

// Workers are the goroutines on which the unary handlers of a server run. They
// stay for a while, with the stacks that they have grown. The zero value is
// not usable: NewWorkers makes them. Whoever made them closes them.
type Workers struct {
	mu sync.Mutex
	// Guarded by mu.
	idle   []*worker
	most   int // of them
	closed bool
}

type worker struct {
	next  chan task
	ends  int      // of chains
	trace [80]byte // room for the first line of a trace
}

// NewWorkers makes Workers, of which none runs yet.
func NewWorkers() *Workers {
	p := new(Workers)
	p.KeepIdle(0)
	return p
}

// KeepIdle sets how many goroutines wait for work at the most: zero and less
// mean 8 for each processor.
func (p *Workers) KeepIdle(n int) {
	if n <= 0 {
		n = 8 * runtime.GOMAXPROCS(0)
	}
	p.mu.Lock()
	p.most = n
	p.mu.Unlock()
}

// Close ends the goroutines that have nothing to do, and the others when they
// are done. Work that comes later runs all the same, on goroutines that end.
func (p *Workers) Close() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	p.mu.Unlock()
	for _, w := range idle {
		close(w.next)
	}
}

// task is what a worker does: the requests of a chain, or one function.
type task interface {
	// work reports whether the goroutine has been left locked to its thread.
	work(w *worker) (locked bool)
}

// Go runs f on a goroutine that has a stack already, if one is idle, or on a
// new one. It does not wait. A f that ends its goroutine takes nobody with it.
func (p *Workers) Go(f func()) { p.run(function(f)) }

type function func()

func (f function) work(w *worker) (locked bool) {
	f()
	pprof.SetGoroutineLabels(context.Background()) // those of f are its own
	w.ends++
	return w.ends%lockCheckEvery == 1 && w.lockedToThread()
}

// run has a worker do t. It does not wait.
func (p *Workers) run(t task) {
	p.mu.Lock()
	n := len(p.idle)
	if n == 0 {
		p.mu.Unlock()
		go p.loop(t)
		return
	}
	w := p.idle[n-1]
	p.idle[n-1] = nil
	p.idle = p.idle[:n-1]
	p.mu.Unlock()
	w.next <- t // has room for one
}

func (p *Workers) loop(t task) {
	w := &worker{next: make(chan task, 1)}
	for ok := true; ok; {
		if t.work(w) || !p.park(w) {
			return
		}
		t, ok = <-w.next
	}
}

// park puts w among the idle, if there is room.
func (p *Workers) park(w *worker) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle) >= p.most {
		return false
	}
	p.idle = append(p.idle, w)
	return true
}

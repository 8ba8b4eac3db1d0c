package leak

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"google.golang.org/grpc/mem"
)

// Pool gives a buffer pool of the test's own. When the test is over, buffers
// that were not returned fail it, each with the stack that took it. So does a
// buffer returned twice, returned though the pool never gave it, or written to
// after its return. Contents of a buffer do not survive its return.
//
// No buffer is ever given out twice. The pool is safe for use by several
// goroutines, and works in synctest bubbles.
func Pool(t testing.TB) mem.BufferPool {
	t.Helper()
	return newPool(t)
}

const (
	poison = 0xdb
	// quarantine bounds the octets that are kept to see writes after return.
	quarantine = 4 << 20
)

type pool struct {
	t tester

	mu       sync.Mutex
	out      map[*byte]*loan // by first octet of the buffer
	returned map[*byte]*loan
	kept     int // octets in returned
	over     bool
}

// A loan is a buffer with the stacks that took and returned it.
type loan struct {
	buf         []byte // with its full capacity
	taken, back stack
}

func newPool(t tester) *pool {
	p := &pool{t: t, out: make(map[*byte]*loan), returned: make(map[*byte]*loan)}
	t.Cleanup(p.close)
	return p
}

// Get implements mem.BufferPool. The buffer is not zeroed.
func (p *pool) Get(n int) *[]byte {
	buf := make([]byte, n, max(n, 1))
	l := &loan{buf: buf[:cap(buf)], taken: callers()}
	for i := range l.buf {
		l.buf[i] = poison
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out[unsafe.SliceData(l.buf)] = l
	return &buf
}

// Put implements mem.BufferPool.
func (p *pool) Put(b *[]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return // the test has its verdict
	}
	if b == nil {
		p.t.Errorf("nil was returned to the pool by\n%s", callers())
		return
	}
	first := unsafe.SliceData(*b)
	l, ok := p.out[first]
	if !ok {
		if l, twice := p.returned[first]; twice {
			p.t.Errorf("a buffer of %d octets was returned twice\ntaken by\n%sreturned by\n%sand again by\n%s",
				len(l.buf), l.taken, l.back, callers())
			return
		}
		p.t.Errorf("a buffer of %d octets was returned that is not of this pool, by\n%s", cap(*b), callers())
		return
	}
	delete(p.out, first)
	l.back = callers()
	for i := range l.buf {
		l.buf[i] = poison
	}
	if p.kept+len(l.buf) <= quarantine {
		p.kept += len(l.buf)
		p.returned[first] = l
	}
}

// close gives the verdict. Whoever still runs gets some time to return what
// it holds.
func (p *pool) close() {
	settle(patience, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.out) == 0
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	for _, l := range p.out {
		p.t.Errorf("a buffer of %d octets was not returned to its pool, taken by\n%s", len(l.buf), l.taken)
	}
	for _, l := range p.returned {
		for i, c := range l.buf {
			if c != poison {
				p.t.Errorf("octet %d of a buffer was written after its return\ntaken by\n%sreturned by\n%s", i, l.taken, l.back)
				break
			}
		}
	}
}

// A stack is the calls that led to a loan, innermost first.
type stack []uintptr

func callers() stack {
	var pcs [32]uintptr
	return append(stack(nil), pcs[:runtime.Callers(3, pcs[:])]...)
}

func (s stack) String() string {
	var b strings.Builder
	frames := runtime.CallersFrames(s)
	for {
		f, more := frames.Next()
		if f.Function != "" && !strings.HasPrefix(f.Function, "runtime.") {
			fmt.Fprintf(&b, "%s()\n\t%s:%d\n", f.Function, f.File, f.Line)
		}
		if !more {
			return b.String()
		}
	}
}

package buffer

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// A Leak is a buffer that was taken from a pool and not returned.
type Leak struct {
	Size  int    // in octets, as asked for
	Stack string // of the Get, innermost call first
}

func (l Leak) String() string {
	return fmt.Sprintf("%d octets, taken by\n%s", l.Size, l.Stack)
}

// Track makes Default remember who takes buffers. See [Pool.Track].
func Track() (stop func() []Leak) { return Default.Track() }

// Outstanding lists what was taken from Default. See [Pool.Outstanding].
func Outstanding() []Leak { return Default.Outstanding() }

// Track makes the pool remember the stack of every Get, until stop, which
// lists what was taken since Track and is not returned, the oldest first. It
// is for tests. Meanwhile a buffer is overwritten when it is returned, and Put
// panics if one is returned twice or was taken before Track. A pool is tracked
// by one at a time: Track puts an end to the one before.
func (p *Pool) Track() (stop func() []Leak) {
	t := &tracker{loans: make(map[*[]byte]loan)}
	p.tracking.Store(t)
	return func() []Leak {
		p.tracking.CompareAndSwap(t, nil)
		return t.outstanding()
	}
}

// Outstanding lists the buffers that were taken since Track and are
// not returned, the oldest first. There are none if nobody tracks the pool.
func (p *Pool) Outstanding() []Leak {
	if t := p.tracking.Load(); t != nil {
		return t.outstanding()
	}
	return nil
}

// A tracker knows who has what.
type tracker struct {
	mu    sync.Mutex
	loans map[*[]byte]loan
	last  uint64 // number of the last loan
}

type loan struct {
	number uint64
	size   int
	stack  []uintptr
}

func (t *tracker) took(b *[]byte) {
	var pcs [32]uintptr
	stack := slices.Clone(pcs[:runtime.Callers(3, pcs[:])])
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last++
	t.loans[b] = loan{number: t.last, size: len(*b), stack: stack}
}

func (t *tracker) returned(b *[]byte) {
	t.mu.Lock()
	_, ok := t.loans[b]
	delete(t.loans, b)
	t.mu.Unlock()
	if !ok {
		panic("BUG: buffer returned twice, or never taken")
	}
	overwrite((*b)[:cap(*b)])
}

// overwrite makes b useless for those who read it after its return. Those who
// write it meanwhile have a data race with it.
func overwrite(b []byte) {
	if len(b) == 0 {
		return
	}
	b[0] = 0xdb
	for n := 1; n < len(b); n *= 2 {
		copy(b[n:], b[:n])
	}
}

func (t *tracker) outstanding() []Leak {
	t.mu.Lock()
	defer t.mu.Unlock()
	loans := make([]loan, 0, len(t.loans))
	for _, l := range t.loans {
		loans = append(loans, l)
	}
	slices.SortFunc(loans, func(a, b loan) int { return cmp.Compare(a.number, b.number) })
	leaks := make([]Leak, len(loans))
	for i, l := range loans {
		leaks[i] = Leak{Size: l.size, Stack: l.text()}
	}
	return leaks
}

func (l loan) text() string {
	var b strings.Builder
	frames := runtime.CallersFrames(l.stack)
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

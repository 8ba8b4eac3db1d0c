package buffer

import (
	"fmt"
	"runtime"
	"sync"
)

// A Leak is a buffer that was taken and not given back.
type Leak struct {
	Size  int    // its capacity in octets
	Stack string // of the Get
}

// String tells both.
func (l Leak) String() string { return fmt.Sprintf("%d octets, taken at\n%s", l.Size, l.Stack) }

// tracker remembers the buffers that are out.
type tracker struct {
	mu  sync.Mutex
	out map[*[]byte]string // stacks
}

// Track makes the pool remember, until stop, where each buffer was taken, and
// panic if one is given back that is not out. It is for tests. Buffers that
// were taken before Track and come back later are no concern of it.
func (p *Pool) Track() (stop func()) {
	p.tracking.Store(&tracker{out: make(map[*[]byte]string)})
	return func() { p.tracking.Store(nil) }
}

// Outstanding lists the buffers taken since Track that are not back.
func (p *Pool) Outstanding() []Leak {
	t := p.tracking.Load()
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	leaks := make([]Leak, 0, len(t.out))
	for b, stack := range t.out {
		leaks = append(leaks, Leak{cap(*b), stack})
	}
	return leaks
}

func (t *tracker) took(b *[]byte) {
	stack := make([]byte, 4<<10)
	stack = stack[:runtime.Stack(stack, false)]
	t.mu.Lock()
	defer t.mu.Unlock()
	t.out[b] = string(stack)
}

func (t *tracker) gave(b *[]byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.out[b]; !ok {
		panic("BUG: a buffer given back that is not out")
	}
	delete(t.out, b)
}

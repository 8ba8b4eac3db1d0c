package buffer

import (
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/mem"
)

// A Pool keeps returned buffers until they are asked for again or the garbage
// collector wants them. It holds octets only, so it may outlive whoever used
// it. The zero value is ready; it is safe for use by several goroutines, and
// must not be copied after first use.
type Pool struct {
	free     [classes]sync.Pool      // of *[]byte
	tracking atomic.Pointer[tracker] // nil unless a test watches
}

var _ mem.BufferPool = (*Pool)(nil)

// Default is the pool of the whole process.
var Default = &Pool{}

// Get takes a buffer from Default. See [Pool.Get].
func Get(n int) *[]byte { return Default.Get(n) }

// Put returns a buffer to Default. See [Pool.Put].
func Put(b *[]byte) { Default.Put(b) }

// Grow makes a buffer of Default larger. See [Pool.Grow].
func Grow(b *[]byte, n int) *[]byte { return Default.Grow(b, n) }

// Get gives a buffer of n octets. Its contents are undefined: mostly what its
// last owner left. Its capacity is that of its class, which is n or up to a
// quarter more, at least 256 octets; above 8 MiB it is n, and the memory comes
// from the heap.
func (p *Pool) Get(n int) *[]byte {
	b := p.take(n)
	if t := p.tracking.Load(); t != nil {
		t.took(b)
	}
	return b
}

func (p *Pool) take(n int) *[]byte {
	if n > maxCapacity {
		b := make([]byte, n)
		return &b
	}
	class := classFor(n)
	if b, ok := p.free[class].Get().(*[]byte); ok {
		*b = (*b)[:n]
		return b
	}
	b := make([]byte, n, classCapacity(class))
	return &b
}

// Put returns a buffer. It may have grown or been cut since Get: its capacity
// counts, down to the class below, and less than 256 octets or more than 8 MiB
// are left to the garbage collector. The pointer is Put's from now on, so it
// must not be returned twice.
func (p *Pool) Put(b *[]byte) {
	if t := p.tracking.Load(); t != nil {
		t.returned(b)
	}
	n := cap(*b)
	if n < minCapacity || n > maxCapacity {
		return
	}
	class := classWithin(n)
	capacity := classCapacity(class)
	*b = (*b)[:0:capacity]
	p.free[class].Put(b)
}

// Grow gives a buffer of n octets that begins with those of b. If b has the
// capacity it is b itself; else b is returned, and nobody may touch it any
// more. n is at least the length of b.
func (p *Pool) Grow(b *[]byte, n int) *[]byte {
	if n <= cap(*b) {
		*b = (*b)[:n]
		return b
	}
	next := p.Get(n)
	copy(*next, *b)
	p.Put(b)
	return next
}

// Package buffer keeps octet buffers to be used again, by size.
package buffer

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// The sizes. A buffer has one of a row of capacities, four to each power of
// two, so that no more than a quarter of it is wasted: 256, 320, 384, 448, 512,
// 640 and so on. A larger one is made anew each time.
const (
	minShift = 8  // 256 octets
	maxShift = 23 // 8 MiB
	steps    = 4  // to each power of two
	classes  = (maxShift-minShift)*steps + 1
)

// Pool is a pool of buffers by size. It is the mem.BufferPool of
// google.golang.org/grpc/mem. The zero value is ready; a Pool may be used by
// several goroutines at a time. It holds octets only, so that it may outlive
// whoever used it.
type Pool struct {
	classes  [classes]sync.Pool
	tracking atomic.Pointer[tracker] // nil unless a test watches
}

// Default is the pool that weir uses.
var Default = &Pool{}

// Get gives a buffer of n octets of Default. See Pool.Get.
func Get(n int) *[]byte { return Default.Get(n) }

// Put gives a buffer back to Default. See Pool.Put.
func Put(b *[]byte) { Default.Put(b) }

// Get gives a buffer of n octets. What is in them is undefined.
func (p *Pool) Get(n int) *[]byte {
	b := p.get(n)
	if t := p.tracking.Load(); t != nil {
		t.took(b)
	}
	return b
}

func (p *Pool) get(n int) *[]byte {
	c := classAbove(n)
	if c >= classes {
		b := make([]byte, n)
		return &b
	}
	if b, ok := p.classes[c].Get().(*[]byte); ok {
		*b = (*b)[:n]
		return b
	}
	b := make([]byte, n, classSize(c))
	return &b
}

// Put gives b back, which nobody may use any more. A buffer that is too small
// or too large for the pool, wherever it comes from, is left to the garbage
// collector; one of another capacity serves as one of the next smaller size.
func (p *Pool) Put(b *[]byte) {
	if t := p.tracking.Load(); t != nil {
		t.gave(b)
	}
	if n := cap(*b); n >= 1<<minShift && n <= 1<<maxShift {
		p.classes[classBelow(n)].Put(b)
	}
}

// Grow gives a buffer of n octets that begins with those of b, and gives b
// back. n is not less than the length of b.
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

// classSize gives the capacity of class c.
func classSize(c int) int {
	return (steps + c%steps) << (minShift - 2 + c/steps)
}

// classBelow gives the largest class whose capacity is at most n, for n from
// the smallest capacity to the largest.
func classBelow(n int) int {
	shift := bits.Len(uint(n)) - 1
	return (shift-minShift)*steps + n>>(shift-2) - steps
}

// classAbove gives the smallest class whose capacity is at least n. It is
// classes or more if there is none.
func classAbove(n int) int {
	if n <= 1<<minShift {
		return 0
	}
	return classBelow(n-1) + 1
}

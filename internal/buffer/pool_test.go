package buffer

import (
	"bytes"
	"sync"
	"testing"
	"unsafe"

	"google.golang.org/grpc/mem"
)

func TestGet(t *testing.T) {
	for _, tt := range []struct{ n, capacity int }{
		{0, 256}, {1, 256}, {256, 256}, {257, 320}, {320, 320}, {321, 384}, {16 << 10, 16 << 10},
		{16<<10 + 9, 20 << 10}, {1<<20 + 5, 1280 << 10}, {8 << 20, 8 << 20}, {8<<20 + 1, 8<<20 + 1},
	} {
		b := Get(tt.n)
		if len(*b) != tt.n || cap(*b) != tt.capacity {
			t.Errorf("Get(%d): length %d, capacity %d, want capacity %d", tt.n, len(*b), cap(*b), tt.capacity)
		}
		Put(b)
	}
}

// What is filed under a class has its capacity, whatever was returned.
func TestPut(t *testing.T) {
	for _, tt := range []struct {
		name     string
		returned []byte
		n        int  // is asked for then
		kept     bool // and what was returned is given
	}{
		{"as it was taken", make([]byte, 300, 320), 310, true},
		{"cut to nothing", make([]byte, 0, 320), 320, true},
		{"grown by append, to no class", make([]byte, 848), 768, true},
		{"cut at its front", make([]byte, 512)[5:], 448, true},
		{"the smallest", make([]byte, 256), 1, true},
		{"the largest", make([]byte, 8<<20), 8 << 20, true},
		{"too small to keep", make([]byte, 255), 1, false},
		{"too large to keep", make([]byte, 8<<20+1), 8 << 20, false},
		{"no memory", nil, 1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var p Pool
			array := unsafe.SliceData(tt.returned)
			kept := false
			for range 100 { // under the race detector a sync.Pool drops some
				back := tt.returned
				p.Put(&back)
				b := p.Get(tt.n)
				if len(*b) != tt.n || cap(*b) != classCapacity(classFor(tt.n)) {
					t.Fatalf("Get(%d): length %d, capacity %d", tt.n, len(*b), cap(*b))
				}
				kept = kept || unsafe.SliceData(*b) == array
			}
			if kept != tt.kept {
				t.Errorf("the buffer is given again: %t, want %t", kept, tt.kept)
			}
		})
	}
}

func TestGrow(t *testing.T) {
	for _, tt := range []struct {
		name   string
		length int
		n      int
		same   bool
	}{
		{"room enough", 100, 256, true},
		{"by nothing", 300, 300, true},
		{"one octet more", 256, 257, false},
		{"large", 1000, 1 << 20, false},
		{"above every class", 1000, 9 << 20, false},
		{"from above every class", 9 << 20, 10 << 20, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := Get(tt.length)
			for i := range *b {
				(*b)[i] = byte(i)
			}
			want := bytes.Clone(*b)
			got := Grow(b, tt.n)
			defer Put(got)
			if (got == b) != tt.same {
				t.Errorf("the same buffer: %t, want %t", got == b, tt.same)
			}
			if len(*got) != tt.n || !bytes.Equal((*got)[:tt.length], want) {
				t.Errorf("%d octets, the first as before: %t; want %d", len(*got), bytes.Equal((*got)[:tt.length], want), tt.n)
			}
		})
	}
}

// Buffers of grpc's own kind come back when their last reference is gone.
func TestMemBuffer(t *testing.T) {
	var p Pool
	defer p.Track()()
	b := mem.Copy(make([]byte, 4096), &p)
	if n := len(p.Outstanding()); n != 1 {
		t.Fatalf("%d buffers are taken, want 1", n)
	}
	b.Ref()
	b.Free()
	if n := len(p.Outstanding()); n != 1 {
		t.Fatalf("%d buffers are taken with a reference left, want 1", n)
	}
	b.Free()
	if n := len(p.Outstanding()); n != 0 {
		t.Errorf("%d buffers are not returned", n)
	}
}

// Nobody else has the buffer that one has: the race detector looks on.
func TestPoolConcurrently(t *testing.T) {
	var p Pool
	var wg sync.WaitGroup
	for id := range byte(8) {
		wg.Go(func() {
			for i := range 2000 {
				b := p.Get(i % 5000)
				for j := range *b {
					(*b)[j] = id
				}
				if n := len(*b); i%3 == 0 {
					b = p.Grow(b, 2*n)
					*b = (*b)[:n]
				}
				if n := bytes.Count(*b, []byte{id}); n != len(*b) {
					t.Errorf("%d of %d octets are another's", len(*b)-n, len(*b))
					return
				}
				p.Put(b)
			}
		})
	}
	wg.Wait()
}

func TestGetAndPutDoNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("under the race detector a sync.Pool drops some")
	}
	var p Pool
	for _, n := range []int{1, 300, 16 << 10, 1<<20 + 5, 8 << 20} {
		p.Put(p.Get(n))
		// A garbage collection may empty the pool once in all the runs.
		if allocs := testing.AllocsPerRun(1000, func() { p.Put(p.Get(n)) }); allocs > 0 {
			t.Errorf("Get(%d) and Put: %v allocations", n, allocs)
		}
	}
}

func BenchmarkGetPut(b *testing.B) {
	var p Pool
	for _, bb := range []struct {
		name string
		n    int
	}{{"256", 256}, {"16KiB", 16 << 10}, {"1MiB+5", 1<<20 + 5}} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.Put(p.Get(bb.n))
			}
		})
	}
}

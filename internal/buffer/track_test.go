package buffer

import (
	"strings"
	"testing"
)

//go:noinline
func takeAndForget(p *Pool, n int) *[]byte { return p.Get(n) }

func wantPanic(t *testing.T, text string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if got, _ := recover().(string); !strings.HasPrefix(got, text) {
			t.Errorf("panics with %q, want %q", got, text)
		}
	}()
	f()
}

func TestTrack(t *testing.T) {
	var p Pool
	p.Get(1)
	if leaks := p.Outstanding(); len(leaks) > 0 {
		t.Errorf("nobody tracks, but %v is outstanding", leaks)
	}
	stop := p.Track()
	first := takeAndForget(&p, 1000)
	second := takeAndForget(&p, 9<<20)
	p.Put(p.Get(5))
	third := p.Get(3)
	leaks := p.Outstanding()
	if len(leaks) != 3 || leaks[0].Size != 1000 || leaks[1].Size != 9<<20 || leaks[2].Size != 3 {
		t.Fatalf("outstanding: %v, want buffers of 1000 octets, 9 MiB and 3 octets", leaks)
	}
	for _, l := range leaks[:2] {
		text := l.String()
		if !strings.Contains(text, "buffer.takeAndForget()") || !strings.Contains(text, "track_test.go:") {
			t.Errorf("the stack does not name who took the buffer:\n%s", text)
		}
	}
	p.Put(first)
	p.Put(third)
	if leaks := p.Outstanding(); len(leaks) != 1 || leaks[0].Size != 9<<20 {
		t.Errorf("outstanding: %v, want the buffer of 9 MiB", leaks)
	}
	if leaks := stop(); len(leaks) != 1 || leaks[0].Size != 9<<20 {
		t.Errorf("at the end %v is not returned, want the buffer of 9 MiB", leaks)
	}
	if leaks := p.Outstanding(); len(leaks) > 0 {
		t.Errorf("nobody tracks any more, but %v is outstanding", leaks)
	}
	p.Put(second)
}

func TestTrackedByOneAtATime(t *testing.T) {
	var p Pool
	first := p.Track()
	p.Get(1)
	second := p.Track()
	b := p.Get(2)
	if leaks := first(); len(leaks) != 1 || leaks[0].Size != 1 {
		t.Errorf("the first tells of %v, want the buffer of 1 octet", leaks)
	}
	// The end of the first is none of the second's business.
	wantPanic(t, "BUG: buffer returned twice", func() { p.Put(b); p.Put(b) })
	c := p.Get(3)
	if leaks := second(); len(leaks) != 1 || leaks[0].Size != 3 {
		t.Errorf("the second tells of %v, want the buffer of 3 octets", leaks)
	}
	p.Put(c)
}

// The package's functions are about Default, which leak.Main tracks.
func TestTrackDefault(t *testing.T) {
	was := Default.tracking.Load()
	defer Default.tracking.Store(was)
	stop := Track()
	b := Get(77)
	if leaks := Outstanding(); len(leaks) != 1 || leaks[0].Size != 77 {
		t.Errorf("outstanding: %v, want a buffer of 77 octets", leaks)
	}
	Put(b)
	if leaks := stop(); len(leaks) > 0 {
		t.Errorf("not returned: %v", leaks)
	}
}

func TestReturnedTwice(t *testing.T) {
	var p Pool
	early := p.Get(300)
	defer p.Track()()
	foreign := make([]byte, 512)
	for _, tt := range []struct {
		name string
		put  func() *[]byte
	}{
		{"twice", func() *[]byte { b := p.Get(700); p.Put(b); return b }},
		{"above every class", func() *[]byte { b := p.Get(9 << 20); p.Put(b); return b }},
		{"after it grew", func() *[]byte { b := p.Get(700); p.Put(p.Grow(b, 5000)); return b }},
		{"never taken", func() *[]byte { return &foreign }},
		{"taken before", func() *[]byte { return early }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := tt.put()
			wantPanic(t, "BUG: buffer returned twice", func() { p.Put(b) })
		})
	}
}

// What grew by append is still the buffer that was taken.
func TestReturnedAfterAppend(t *testing.T) {
	var p Pool
	defer p.Track()()
	b := p.Get(256)
	*b = append(*b, make([]byte, 5000)...)
	p.Put(b)
	if leaks := p.Outstanding(); len(leaks) > 0 {
		t.Errorf("outstanding: %v", leaks)
	}
}

// Who reads a buffer after its return sees that it is not his any more.
func TestReturnedIsOverwritten(t *testing.T) {
	var p Pool
	defer p.Track()()
	for _, n := range []int{1, 2, 3, 300, 5000, 8<<20 + 3} {
		b := p.Get(n)
		kept := (*b)[:n]
		clear(kept)
		*b = (*b)[:0]
		p.Put(b)
		for i, c := range kept {
			if c != 0xdb {
				t.Fatalf("octet %d of %d is %#x after the return", i, n, c)
			}
		}
	}
}

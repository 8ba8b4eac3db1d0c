package buffer_test

import (
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/weir-rpc/weir/internal/buffer"
	"github.com/weir-rpc/weir/internal/leak"
	"google.golang.org/grpc/mem"
)

func TestMain(m *testing.M) { leak.Main(m) }

var _ mem.BufferPool = (*buffer.Pool)(nil)

func TestGetGivesEnoughAndWastesAQuarterAtMost(t *testing.T) {
	var p buffer.Pool
	for n := 0; n < 9<<20; n += 1 + n/20 {
		b := p.Get(n)
		if len(*b) != n || n > 320 && n <= 8<<20 && cap(*b)*4 > n*5+4 || n > 8<<20 && cap(*b) != n {
			t.Fatalf("%d octets: length %d, capacity %d", n, len(*b), cap(*b))
		}
		p.Put(b)
	}
}

func TestEdgesOfClasses(t *testing.T) {
	var p buffer.Pool
	for n, want := range map[int]int{0: 256, 1: 256, 256: 256, 257: 320, 320: 320, 321: 384, 448: 448, 449: 512, 512: 512, 513: 640, 1 << 20: 1 << 20, 1<<20 + 5: 1<<20 + 1<<18, 8 << 20: 8 << 20} {
		if got := cap(*p.Get(n)); got != want {
			t.Errorf("%d octets: capacity %d, want %d", n, got, want)
		}
	}
}

func TestForeignBufferServesTheSizeBelow(t *testing.T) {
	var p buffer.Pool
	for _, n := range []int{0, 5, 255, 300, 1000, 70_000, 8<<20 + 1} {
		b := make([]byte, n)
		p.Put(&b)
	}
	for range 100 {
		for _, n := range []int{256, 900, 65_000} {
			if b := p.Get(n); len(*b) != n {
				t.Fatalf("got %d octets, want %d", len(*b), n)
			}
		}
	}
}

func TestGrowKeepsTheContents(t *testing.T) {
	var p buffer.Pool
	b := p.Get(10)
	copy(*b, "0123456789")
	for _, n := range []int{12, 300, 5000, 100_000} {
		if b = p.Grow(b, n); len(*b) != n || string((*b)[:10]) != "0123456789" {
			t.Fatalf("grown to %d: %d octets, %q", n, len(*b), (*b)[:10])
		}
	}
}

func TestManyGoroutinesShareNoBuffer(t *testing.T) {
	var p buffer.Pool
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(g), 0))
			for range 2000 {
				b := p.Get(rnd.IntN(5000) + 1)
				for i := range *b {
					(*b)[i] = byte(g)
				}
				for _, x := range *b {
					if x != byte(g) {
						t.Error("another goroutine writes to the same buffer")
						return
					}
				}
				p.Put(b)
			}
		})
	}
	wg.Wait()
}

func TestTrackFindsWhatIsNotGivenBack(t *testing.T) {
	var p buffer.Pool
	defer p.Track()()
	kept, back := p.Get(1000), p.Get(10)
	p.Put(back)
	leaks := p.Outstanding()
	if len(leaks) != 1 || leaks[0].Size != cap(*kept) || !strings.Contains(leaks[0].String(), "TestTrackFindsWhatIsNotGivenBack") {
		t.Fatalf("%v", leaks)
	}
	p.Put(kept)
	if leaks := p.Outstanding(); len(leaks) != 0 {
		t.Fatalf("%v", leaks)
	}
}

func TestTrackPanicsWhenABufferComesBackTwice(t *testing.T) {
	var p buffer.Pool
	defer p.Track()()
	b := p.Get(10)
	p.Put(b)
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	p.Put(b)
}

func TestGetAndPutDoNotAllocate(t *testing.T) {
	var p buffer.Pool
	p.Put(p.Get(1000))
	if n := testing.AllocsPerRun(1000, func() { p.Put(p.Get(1000)) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkGetPut(b *testing.B) {
	var p buffer.Pool
	for b.Loop() {
		p.Put(p.Get(1000))
	}
}

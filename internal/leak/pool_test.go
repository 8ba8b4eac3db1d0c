package leak

import (
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/mem"
)

func TestPool(t *testing.T) {
	tests := []struct {
		name   string
		use    func(p *pool)
		errors [][]string
	}{
		{"all returned", func(p *pool) {
			b := p.Get(10)
			copy(*b, "0123456789")
			p.Put(b)
		}, nil},
		{"a prefix is returned", func(p *pool) {
			b := p.Get(10)
			*b = (*b)[:0]
			p.Put(b)
		}, nil},
		{"empty buffers are buffers", func(p *pool) { p.Put(p.Get(0)) }, nil},
		{"freed by mem", func(p *pool) {
			b := mem.NewBuffer(p.Get(1<<14), p)
			b.Ref()
			b.Free()
			b.Free()
		}, nil},
		{"one of two is kept", func(p *pool) {
			keep(p, 77)
			p.Put(p.Get(88))
		}, [][]string{{"77 octets", "not returned", "leak.keep", "pool_test.go"}}},
		{"returned twice", func(p *pool) {
			b := p.Get(5)
			p.Put(b)
			p.Put(b)
		}, [][]string{{"5 octets", "returned twice", "taken by", "and again by", "TestPool"}}},
		{"not from here", func(p *pool) {
			b := make([]byte, 9)
			p.Put(&b)
		}, [][]string{{"9 octets", "not of this pool", "TestPool"}}},
		{"not from its start", func(p *pool) {
			b := p.Get(10)
			tail := (*b)[1:]
			p.Put(&tail)
			p.Put(b)
		}, [][]string{{"not of this pool"}}},
		{"nil", func(p *pool) { p.Put(nil) }, [][]string{{"nil was returned"}}},
		{"written after return", func(p *pool) {
			b := p.Get(8)
			p.Put(b)
			(*b)[3] = 'x'
		}, [][]string{{"octet 3", "written after its return"}}},
		{"returned after the verdict", func(p *pool) {
			b := p.Get(8)
			p.close()
			p.Put(b)
			p.t.(*recorder).cleanups = nil
		}, [][]string{{"8 octets", "not returned"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // patience costs no time here
				var r recorder
				tt.use(newPool(&r))
				r.end()
				r.want(t, tt.errors...)
			})
		})
	}
}

//go:noinline
func keep(p *pool, n int) { p.Get(n) }

func TestPoolWaitsForLateReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := Pool(t)
		b := p.Get(100)
		go func() {
			<-time.NewTimer(patience / 2).C
			p.Put(b)
		}()
	})
}

func TestPoolForgetsContents(t *testing.T) {
	p := Pool(t)
	b := p.Get(4)
	if string(*b) == "\x00\x00\x00\x00" {
		t.Error("a fresh buffer is zeroed, which hides who relies on it")
	}
	copy(*b, "weir")
	view := *b
	p.Put(b)
	if string(view) == "weir" {
		t.Error("a returned buffer still reads as before")
	}
}

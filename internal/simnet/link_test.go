package simnet

import (
	"bytes"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

const ms = time.Millisecond

// bubble runs f in a synctest bubble, with both ends of a link.
func bubble(t *testing.T, l Link, f func(t *testing.T, a, b *Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		x, y := Pipe(l)
		a, b := x.(*Conn), y.(*Conn)
		defer b.Close()
		defer a.Close()
		f(t, a, b)
	})
}

// wantTook fails t unless the time since start is want, to the millisecond.
func wantTook(t *testing.T, what string, start time.Time, want time.Duration) {
	t.Helper()
	if got := time.Since(start); got.Truncate(ms) != want {
		t.Errorf("%s after %v, want %v", what, got, want)
	}
}

func TestTransferTime(t *testing.T) {
	tests := []struct {
		name        string
		link        Link
		octets      int
		first, last time.Duration // when the first and the last octet arrive
	}{
		{"the zero link", Link{}, 1 << 20, 0, 0},
		{"half a round trip", Link{RTT: 80 * ms}, 100, 40 * ms, 40 * ms},
		{"the rate alone", Link{Rate: 8 * Mbps}, 1_000_000, 1 * ms, 1000 * ms},
		{"rate and round trip", Link{RTT: 20 * ms, Rate: 80 * Mbps}, 1_000_000, 10 * ms, 110 * ms},
		{"a long fat pipe is full", Link{RTT: 200 * ms, Rate: 800 * Mbps}, 10_000_000, 100 * ms, 200 * ms},
		{"a buffer each half round trip", Link{RTT: 100 * ms, Buffer: 1000}, 10_000, 50 * ms, 500 * ms},
		// Ten buffers, each after 50 ms and the 1.46 ms of its first segment; the
		// last one's further segments take 8.54 ms.
		{"a buffer below the rate", Link{RTT: 100 * ms, Rate: 8 * Mbps, Buffer: 10_000}, 100_000, 51 * ms, 523 * ms},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, tt.link, func(t *testing.T, a, b *Conn) {
				start := time.Now()
				go a.Write(make([]byte, tt.octets))
				if _, err := b.Read(make([]byte, 1)); err != nil {
					t.Fatal(err)
				}
				wantTook(t, "first octet", start, tt.first)
				if n, err := io.CopyN(io.Discard, b, int64(tt.octets-1)); err != nil {
					t.Fatal(n, err)
				}
				wantTook(t, "last octet", start, tt.last)
			})
		})
	}
}

func TestBothDirectionsAreAlike(t *testing.T) {
	bubble(t, Link{RTT: 50 * ms, Rate: 8 * Mbps}, func(t *testing.T, a, b *Conn) {
		start := time.Now()
		for _, c := range []*Conn{a, b} {
			go c.Write(make([]byte, 100_000))
		}
		io.ReadFull(a, make([]byte, 100_000))
		wantTook(t, "all octets at a", start, 125*ms)
		io.ReadFull(b, make([]byte, 100_000))
		wantTook(t, "all octets at b", start, 125*ms)
	})
}

func TestRateIsSharedByWritesInARow(t *testing.T) {
	bubble(t, Link{Rate: 8 * Mbps}, func(t *testing.T, a, b *Conn) {
		start := time.Now()
		for range 10 {
			a.Write(make([]byte, 1000))
		}
		wantTook(t, "writes that fit the buffer are done", start, 0)
		for i := range 10 {
			io.ReadFull(b, make([]byte, 1000))
			wantTook(t, "write arrives", start, time.Duration(i+1)*ms)
		}
		Advance(time.Second) // an idle wire saves nothing up
		start = time.Now()
		a.Write(make([]byte, 1000))
		io.ReadFull(b, make([]byte, 1000))
		wantTook(t, "a write after a pause arrives", start, 1*ms)
	})
}

func TestWriteBlocksWhileBufferIsFull(t *testing.T) {
	bubble(t, Link{Buffer: 100}, func(t *testing.T, a, b *Conn) {
		start := time.Now()
		a.Write(make([]byte, 100))
		wantTook(t, "what fits is written", start, 0)
		done := make(chan time.Time)
		go func() {
			a.Write(make([]byte, 150))
			done <- time.Now()
		}()
		Advance(10 * ms)
		if got := a.Written(); got != 100 {
			t.Errorf("%d octets written into a buffer of 100", got)
		}
		io.ReadFull(b, make([]byte, 60))
		Advance(10 * ms)
		if got := a.Written(); got != 160 {
			t.Errorf("%d octets written when 60 of 100 were read, want 160", got)
		}
		io.ReadFull(b, make([]byte, 100))
		if took := (<-done).Sub(start); took != 20*ms {
			t.Errorf("the Write ended after %v, want 20ms", took)
		}
	})
}

func TestLossDelaysAndKeepsOrder(t *testing.T) {
	content := make([]byte, 1_000_000)
	for i := range content {
		content[i] = byte(i ^ i>>8 ^ i>>16)
	}
	transfer := func(l Link) (took time.Duration) {
		bubble(t, l, func(t *testing.T, a, b *Conn) {
			start := time.Now()
			go a.Write(content)
			got := make([]byte, len(content))
			io.ReadFull(b, got)
			took = time.Since(start)
			if !bytes.Equal(got, content) {
				t.Error("other octets arrived than were written")
			}
		})
		return took
	}
	clean := transfer(Link{RTT: 40 * ms, Rate: 80 * Mbps})
	lossy := Link{RTT: 40 * ms, Rate: 80 * Mbps, Loss: 0.02, Seed: 1}
	first, again := transfer(lossy), transfer(lossy)
	if first != again {
		t.Errorf("the same seed took %v, then %v", first, again)
	}
	if first < clean || first > clean+10*lossy.RTT {
		t.Errorf("%v with loss, %v without", first, clean)
	}
	// A single segment shows the delay itself: none, or round trips.
	late := 0
	for seed := range uint64(200) {
		bubble(t, Link{RTT: 40 * ms, Loss: 0.25, Seed: seed}, func(t *testing.T, a, b *Conn) {
			start := time.Now()
			a.Write([]byte("x"))
			b.Read(make([]byte, 1))
			took := time.Since(start)
			if took%(40*ms) != 20*ms {
				t.Errorf("seed %d: %v, want 20ms and whole round trips", seed, took)
			}
			if took > 20*ms {
				late++
			}
		})
	}
	if late < 30 || late > 70 {
		t.Errorf("%d of 200 segments were lost at a loss of a quarter", late)
	}
}

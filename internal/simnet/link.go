package simnet

import (
	"math/rand/v2"
	"sync"
	"time"
)

// Rates for [Link], in octets a second.
const (
	Kbps int64 = 1e3 / 8
	Mbps int64 = 1e6 / 8
	Gbps int64 = 1e9 / 8
)

// A Link describes a full-duplex connection; both directions are alike. The
// zero value delivers at once.
type Link struct {
	// RTT is the round-trip time. Each direction takes half of it.
	RTT time.Duration
	// Rate is in octets a second, each direction. Zero means no limit.
	Rate int64
	// Buffer is how many octets a direction holds that are written and not yet
	// read. A Write beyond blocks. Zero means 256 KiB plus what the wire itself
	// holds, that is Rate times half of RTT, so that the buffer of a link that
	// has a rate never is its bottleneck. A link without a rate carries at most
	// one buffer each half RTT.
	Buffer int
	// Loss is the share of segments that get lost, in [0, 1). A lost segment is
	// late by one RTT, or a millisecond if that is more, again for each further
	// loss. What follows waits for it: this is a stream. The rate does not
	// suffer, as congestion control is not simulated.
	Loss float64
	// Seed makes other losses. Equal seeds make equal losses.
	Seed uint64
}

const (
	defaultBuffer = 256 << 10
	minSegment    = 1460
	maxSegment    = 64 << 10
)

func (l Link) buffer() int {
	if l.Buffer > 0 {
		return l.Buffer
	}
	return defaultBuffer + int(float64(l.Rate)*(l.RTT/2).Seconds())
}

// segment is how many octets arrive together at most: about 100 µs of the
// rate, so that fast links do not cost a wakeup each 1460 octets.
func (l Link) segment() int {
	switch {
	case l.Rate > 0:
		return int(min(max(l.Rate/10_000, minSegment), maxSegment))
	case l.Loss > 0:
		return minSegment
	default:
		return l.buffer()
	}
}

// transmission is the time that n octets occupy the wire.
func (l Link) transmission(n int) time.Duration {
	if l.Rate <= 0 {
		return 0
	}
	return time.Duration(int64(n) * int64(time.Second) / l.Rate)
}

// A wire is a link at work. Its clock stands still while the link is stalled:
// then nothing arrives, and all that was on the way arrives that much later.
type wire struct {
	link Link

	mu      sync.Mutex
	halves  [2]half
	stalled time.Time     // since when, or zero
	lag     time.Duration // behind the current clock, from earlier stalls
}

func newWire(l Link) *wire {
	w := &wire{link: l}
	for i := range w.halves {
		w.halves[i].wire = w
		w.halves[i].dice = rand.New(rand.NewPCG(l.Seed, uint64(i)))
	}
	return w
}

// Locked: w.mu.
func (w *wire) now() time.Time {
	if !w.stalled.IsZero() {
		return w.stalled.Add(-w.lag)
	}
	return time.Now().Add(-w.lag)
}

func (w *wire) stall() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stalled.IsZero() {
		w.stalled = time.Now()
		w.broadcast()
	}
}

func (w *wire) resume() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.stalled.IsZero() {
		w.lag += time.Since(w.stalled)
		w.stalled = time.Time{}
		w.broadcast()
	}
}

// Locked: w.mu.
func (w *wire) broadcast() {
	w.halves[0].broadcast()
	w.halves[1].broadcast()
}

// lateness rolls the dice for one segment.
func (l Link) lateness(dice *rand.Rand) time.Duration {
	var late time.Duration
	for l.Loss > 0 && dice.Float64() < l.Loss {
		late += max(l.RTT, time.Millisecond)
	}
	return late
}

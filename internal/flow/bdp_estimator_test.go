package flow

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// way is what a BDPEstimator finds out about: a link with a bandwidth, in
// octets a second, and a round-trip time without a queue, to a peer that sends
// demand octets a second, or all it may if that is 0.
type way struct {
	bandwidth, demand float64
	rtt               time.Duration
}

// walk lets time pass on the way for d, in quarters of round trips. It gives how
// many PINGs were sent, and the windows that there were.
func (w way) walk(e *BDPEstimator, now *time.Time, d time.Duration) (pings int, windows []uint32) {
	windows = append(windows, e.Window())
	var ack time.Time
	var credit float64 // gathered since the last WINDOW_UPDATE
	for end := now.Add(d); now.Before(end); {
		// What is sent at most stands before the bottleneck, and so does the
		// acknowledgement.
		inFlight := float64(e.Window())
		if w.demand > 0 {
			inFlight = min(inFlight, w.demand*w.rtt.Seconds())
		}
		trip := max(w.rtt, time.Duration(inFlight/w.bandwidth*float64(time.Second)))
		if !ack.IsZero() && !now.Before(ack) {
			e.Acked(*now)
			ack = time.Time{}
		}
		if credit += inFlight / 4; credit >= float64(e.Window())/4 {
			credit = 0
			if e.Due(*now) {
				pings++
				ack = now.Add(trip)
			}
		}
		*now = now.Add(trip / 4)
		e.OnData(uint32(inFlight / 4))
		if last := windows[len(windows)-1]; e.Window() != last {
			windows = append(windows, e.Window())
		}
	}
	if !ack.IsZero() {
		*now = ack
		e.Acked(ack)
	}
	return pings, windows
}

func begin() (e BDPEstimator, now time.Time) {
	e.Init(128<<10, MaxAutoWindow)
	now = time.Unix(1e9, 0)
	e.Due(now) // what came before is unknown
	return e, now
}

const mbit = 1e6 / 8

// Row A108: the window follows the measured bandwidth-delay product to where a
// single stream fills the link, soon, and not to where queues begin to matter.
func TestBDPEstimator_FillsTheLink(t *testing.T) {
	for name, w := range map[string]way{
		"near":         {bandwidth: 1000 * mbit, rtt: 3 * time.Millisecond},
		"far":          {bandwidth: 100 * mbit, rtt: 40 * time.Millisecond},
		"far and fast": {bandwidth: 1000 * mbit, rtt: 40 * time.Millisecond},
		"satellite":    {bandwidth: 50 * mbit, rtt: 600 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			e, now := begin()
			pings, windows := w.walk(&e, &now, 30*w.rtt)
			product := w.bandwidth * w.rtt.Seconds()
			if got := float64(e.Window()); got < 4./3*product || got > 4*product {
				t.Errorf("window of %.0f for a product of %.0f: %d", got, product, windows)
			}
			if pings > 30 {
				t.Errorf("%d PINGs in 30 round trips", pings)
			}
			before := e.Window()
			if pings, windows = w.walk(&e, &now, 5*time.Minute); e.Window() != before || len(windows) > 1 {
				t.Errorf("a window of %d did not stay: %d", before, windows)
			}
			if pings > 310 {
				t.Errorf("%d PINGs in five minutes in which nothing changes", pings)
			}
		})
	}
}

// A window does not grow where it is no bottleneck: for a peer that has little
// to say, on a link that is slow, and on one that is very fast for its size.
func TestBDPEstimator_StaysSmall(t *testing.T) {
	for name, w := range map[string]way{
		"little to say":  {bandwidth: 1000 * mbit, rtt: 40 * time.Millisecond, demand: 1e6},
		"a slow link":    {bandwidth: mbit, rtt: 40 * time.Millisecond},
		"the same place": {bandwidth: 100 * mbit, rtt: 20 * time.Microsecond},
	} {
		t.Run(name, func(t *testing.T) {
			e, now := begin()
			pings, windows := w.walk(&e, &now, time.Minute)
			if e.Window() > 256<<10 {
				t.Errorf("the window grew: %d", windows)
			}
			if pings > 80 {
				t.Errorf("%d PINGs in a minute", pings)
			}
		})
	}
}

// Row A108: the limit bounds growth.
func TestBDPEstimator_StaysBelowTheLimit(t *testing.T) {
	e, now := begin()
	w := way{bandwidth: 100_000 * mbit, rtt: 500 * time.Millisecond}
	if w.walk(&e, &now, time.Minute); e.Window() != MaxAutoWindow {
		t.Errorf("window is %d, the limit %d", e.Window(), MaxAutoWindow)
	}
}

// Row A108: the window shrinks by halves to what is needed and not below the
// initial one, when for some time less comes: because the link is slower,
// because the peer has less to say, or because that comes in drops.
func TestBDPEstimator_Shrinks(t *testing.T) {
	fast := way{bandwidth: 800 * mbit, rtt: 40 * time.Millisecond} // a product of 4,000,000
	for name, tt := range map[string]struct {
		then  way
		above uint32
		below uint32
	}{
		"a third of the bandwidth":  {way{bandwidth: 267 * mbit, rtt: fast.rtt}, 1_333_333, 5_333_333},
		"a tenth of the bandwidth":  {way{bandwidth: 80 * mbit, rtt: fast.rtt}, 800_000, 3_200_000},
		"a thousandth":              {way{bandwidth: .8 * mbit, rtt: fast.rtt}, 128 << 10, 128 << 10},
		"a hundredth of the demand": {way{bandwidth: fast.bandwidth, rtt: fast.rtt, demand: 1e6}, 128 << 10, 320_000},
		"drops":                     {way{bandwidth: fast.bandwidth, rtt: fast.rtt, demand: 1e5}, 128 << 10, 128 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			e, now := begin()
			fast.walk(&e, &now, 3*time.Second)
			large := e.Window()
			if large < 5_000_000 {
				t.Fatalf("the window is %d only", large)
			}
			if tt.then.walk(&e, &now, 600*time.Millisecond); e.Window() != large {
				t.Error("a moment without traffic has its price")
			}
			pings, windows := tt.then.walk(&e, &now, 5*time.Minute)
			for i := 1; i < len(windows); i++ {
				if windows[i] != max(windows[i-1]/2, 128<<10) {
					t.Errorf("windows are %d: not by halves", windows)
				}
			}
			if got := e.Window(); got < tt.above || got > tt.below {
				t.Errorf("window is %d, want %d to %d: %d", got, tt.above, tt.below, windows)
			}
			if pings > 310 {
				t.Errorf("%d PINGs in five minutes", pings)
			}
			fast.walk(&e, &now, 10*time.Second)
			if e.Window() < 5_000_000 {
				t.Errorf("the window is %d when the link is as fast as before", e.Window())
			}
		})
	}
}

// A longer way needs a larger window, though the bandwidth that the window
// allows on it is not the best that was seen, and its round trip not the
// shortest. An eighth is not worth it.
func TestBDPEstimator_FollowsALongerWay(t *testing.T) {
	for longer := 2; longer <= 20; longer++ {
		for _, mbits := range []float64{6, 50, 70, 100, 140} {
			e, now := begin()
			w := way{bandwidth: mbits * mbit, rtt: 20 * time.Millisecond}
			w.walk(&e, &now, 10*time.Second)
			before := e.Window()
			w.rtt *= time.Duration(longer)
			w.walk(&e, &now, 15*time.Second)
			if need := w.bandwidth * w.rtt.Seconds(); float64(e.Window()) < need*7/8 {
				t.Errorf("%.0f Mbit/s, a way %d times as long: window is %d after %d for a product of %.0f",
					mbits, longer, e.Window(), before, need)
			}
		}
	}
}

// Bursts with pauses between them are no reason to shrink.
func TestBDPEstimator_OutlastsPauses(t *testing.T) {
	e, now := begin()
	w := way{bandwidth: 800 * mbit, rtt: 40 * time.Millisecond}
	w.walk(&e, &now, 3*time.Second)
	large := e.Window()
	for range 20 {
		now = now.Add(time.Minute)
		w.walk(&e, &now, time.Second)
	}
	if e.Window() < large {
		t.Errorf("a window of %d shrank to %d", large, e.Window())
	}
}

// On a short way the acknowledgement overtakes the DATA that it is to be
// measured with; the sample goes on until four milliseconds are over, and counts as
// much as would come in half of one.
func TestBDPEstimator_EarlyAck_EndsNoSample(t *testing.T) {
	e, now := begin()
	if !e.Due(now.Add(time.Millisecond)) {
		t.Fatal("no sample")
	}
	now = now.Add(time.Millisecond)
	e.Acked(now.Add(50 * time.Microsecond))
	e.OnData(1600 << 10)
	if e.Due(now.Add(3900*time.Microsecond)) || e.Window() != 128<<10 {
		t.Error("the sample is over too soon")
	}
	e.Acked(now.Add(3950 * time.Microsecond)) // of another PING, or the same again
	if e.Due(now.Add(4*time.Millisecond)) || e.Window() != 400<<10 {
		t.Errorf("window is %d after a sample of 200 KiB in a round trip", e.Window())
	}
}

// An acknowledgement that never comes costs nothing but the samples; one that
// comes late counts no more than four windows; those of nothing do nothing.
func TestBDPEstimator_AcksOutOfPlace(t *testing.T) {
	e, now := begin()
	for range 100 {
		e.OnData(1 << 20)
		e.Acked(now)
	}
	if e.Window() != 128<<10 {
		t.Errorf("acknowledgements of nothing made the window %d", e.Window())
	}
	if !e.Due(now) {
		t.Fatal("no sample")
	}
	for range 1000 {
		now = now.Add(10 * time.Millisecond)
		e.OnData(64 << 10)
		if e.Due(now) {
			t.Fatal("a second PING before the first is acknowledged")
		}
	}
	if e.Window() != 128<<10 {
		t.Errorf("window is %d without any acknowledgement", e.Window())
	}
	if e.Acked(now); e.Window() != 512<<10 {
		t.Errorf("window is %d after one that was late by ten seconds", e.Window())
	}
}

// Windows that the user has set never change, and cost no PING.
func TestBDPEstimator_Static(t *testing.T) {
	now := time.Unix(1e9, 0)
	w := way{bandwidth: 1000 * mbit, rtt: 40 * time.Millisecond}
	for _, e := range []*BDPEstimator{{}, tuned(1<<20, 1<<20), tuned(1<<30, MaxAutoWindow), tuned(1000, 0)} {
		before := e.Window()
		pings := 0
		for range 1000 {
			now = now.Add(w.rtt)
			e.OnData(math.MaxUint32)
			if e.Due(now) {
				pings++
			}
			e.Acked(now)
		}
		if e.Window() != before || pings > 0 {
			t.Errorf("a window of %d became %d, with %d PINGs", before, e.Window(), pings)
		}
	}
}

func tuned(initial, limit uint32) *BDPEstimator {
	e := new(BDPEstimator)
	e.Init(initial, limit)
	return e
}

// playEstimator has the octets of script decide what happens when.
func playEstimator(t *testing.T, initial, limit uint32, script []byte) {
	e := tuned(initial, limit)
	low := min(max(initial, 1), MaxWindow)
	high := max(low, min(limit, MaxWindow))
	now := time.Unix(1e9, 0)
	for len(script) >= 2 {
		do, arg := script[0], int64(script[1])
		script = script[2:]
		before := e.Window()
		switch do % 5 {
		case 0:
			e.OnData(uint32(arg * arg * arg * arg))
		case 1:
			now = now.Add(time.Duration(arg * arg * arg * int64(do)))
		case 2:
			e.Acked(now)
		case 3:
			if e.Due(now) && e.Window() != before {
				t.Fatalf("a sample began with a window that nobody has yet: %d, not %d", e.Window(), before)
			}
		case 4:
			now = now.Add(time.Duration(1) << (arg % 63)) // time may even wrap
		}
		switch got := e.Window(); {
		case got < low || got > high:
			t.Fatalf("window is %d, want %d to %d", got, low, high)
		case int64(got) > 4*int64(before) || got < before/2:
			t.Fatalf("window went from %d to %d at once", before, got)
		}
	}
}

// FuzzBDPEstimator: whatever happens when, with whatever windows, the window
// stays between the initial one and the limit and moves in steps.
func FuzzBDPEstimator(f *testing.F) {
	f.Add(uint32(128<<10), uint32(MaxAutoWindow), []byte{3, 0, 3, 0, 0, 30, 1, 200, 2, 0, 3, 0, 0, 99, 1, 200, 2, 0})
	f.Add(uint32(0), uint32(math.MaxUint32), []byte{3, 0, 3, 0, 0, 255, 4, 20, 2, 0, 4, 62, 3, 0})
	f.Add(uint32(math.MaxUint32), uint32(math.MaxUint32), []byte{3, 0, 3, 0, 0, 255, 4, 20, 2, 0})
	f.Add(uint32(65535), uint32(0), []byte{3, 0, 3, 0, 0, 255, 4, 20, 2, 0})
	f.Fuzz(playEstimator)
}

// Rows A28, A108: no initial window, however small or large, makes the
// estimate overflow or underflow.
// Row C1: the estimate starts from the window that there is.
func TestBDPEstimator_AnyWindow(t *testing.T) {
	rnd := rand.New(rand.NewPCG(10, 8))
	sizes := []uint32{0, 1, 3, 1000, 65534, 65535, 65536, MaxAutoWindow - 1, MaxAutoWindow, MaxAutoWindow + 1, MaxWindow, MaxWindow + 1, math.MaxUint32}
	for _, initial := range sizes {
		for _, limit := range sizes {
			for range 20 {
				script := make([]byte, 400)
				for i := range script {
					script[i] = byte(rnd.Uint32())
				}
				playEstimator(t, initial, limit, script)
			}
		}
	}
}

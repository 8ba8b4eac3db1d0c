package flow

import "time"

// MaxAutoWindow is the largest window that a BDPEstimator asks for, in octets:
// enough for a gigabit at a round trip of 60 ms.
const MaxAutoWindow = 16 << 20

const (
	// lull is the pause between two calls of Due after which the window is not
	// what holds the peer up, whatever the round trip: a quarter of it took
	// longer than that.
	lull = time.Second
	// maxInterval is the longest pause between two samples of a connection on
	// which nothing changes.
	maxInterval = time.Second
	// lowInterval is the pause after a sample far below the window.
	lowInterval = 250 * time.Millisecond
	// lowSamples is how many of these in a row make the window smaller, and
	// fellSamples how many slow ones make the best bandwidth history.
	lowSamples  = 4
	fellSamples = 3
	// minRoundTrip is what a shorter round trip counts as. On such a link it is
	// the turns of goroutines that a window has to bridge, not the wire.
	minRoundTrip = 500 * time.Microsecond
	// minSample is the least that a sample lasts: on a short way the
	// acknowledgement overtakes the DATA that the credit before it set free, and
	// what a socket has in store comes at once.
	minSample = 4 * time.Millisecond
	// rttSamples is how many samples a shortest round trip is remembered for, at
	// least. Then the way may be another one.
	rttSamples = 64
	// roomy and wasteful are windows in bandwidth-delay products. Above roomy a
	// window does not grow: the queue on the way is what fills it. At wasteful
	// it shrinks. They lie apart so that it does not do both in turns.
	roomy    = 4
	wasteful = 8
)

// A BDPEstimator finds the size of the windows that we give the peer: large
// enough for the bandwidth-delay product of the way, and not much larger, for
// what is beyond stands in queues, where small messages wait behind it.
//
// A sample is what arrives between a PING and its acknowledgement: the DATA of
// one round trip. If that fills the window, and came faster than at the time the
// window grew last, then the window may be what holds the peer up: it doubles,
// or becomes twice the sample if that was larger, as far as the product below
// allows.
//
// Two fifths of the window fill it. Streams give back whole messages, so that a
// peer whose messages are a little larger than half the window gets one of them
// through in a round trip, and waits.
//
// The product is estimated as the sample's bandwidth times the shortest round
// trip that is remembered: the round trip of the sample itself contains the
// queue. A window of several such products is too large, be it that the way
// became slower or that the peer has less to say. After some samples of that
// kind in a row it is halved, and so on, down to the initial one. If half the
// window then yields less, it was not a queue that filled it: the way is longer
// than remembered, and the window gets its size back. So a pause
// between two bursts costs nothing, and a peer that once was fast does not keep
// the right to fill our memory. What halves is the limit: Window says how, but
// credit that the peer has on the connection stays its own, and is only not
// renewed. See ConnInFlow.SetLimit and InFlow.SetLimit.
//
// A PING is cheap, but not free. One is sent only when DATA in the amount of a
// WINDOW_UPDATE has come, and come quickly, so that a connection with little to
// carry sends none; and as long as the samples change nothing, the pause
// between them doubles.
//
// The zero value is for windows that the user has set: it never asks for a
// PING.
type BDPEstimator struct {
	initial, limit, window int64

	octets   int64 // since the PING
	sampling bool
	acked    bool // too soon: the sample goes on
	began    time.Time
	due      time.Time // when Due was called last
	next     time.Time // when the next sample may begin
	interval time.Duration

	product int64 // of the last sample, in octets

	best  float64          // octets a second when the window changed last
	trip  time.Duration    // of the last PING
	rtt   [2]time.Duration // shortest of the present rttSamples, and of those before
	rtts  int
	low   int  // samples in a row that are far below the window
	fell  int  // samples in a row that fill the window and are slower than the best
	trial bool // the window was halved, and no sample has filled it since
}

// Init starts with windows of initial octets, below which they never go, and
// above limit they never grow. If limit is not above initial they stay as they
// are.
func (e *BDPEstimator) Init(initial, limit uint32) {
	*e = BDPEstimator{
		initial: min(max(int64(initial), 1), MaxWindow),
		limit:   min(int64(limit), MaxWindow),
	}
	e.window = e.initial
}

// Window is the size that the windows should have now, in octets: between the
// initial one and the limit. It is 0 for the zero value.
func (e *BDPEstimator) Window() uint32 { return uint32(e.window) }

// RoundTrip gives the shortest round trip that is remembered, and Product the
// bandwidth-delay product of the last sample in octets. Both are 0 before there
// was one.
func (e *BDPEstimator) RoundTrip() time.Duration {
	if e.rtts <= rttSamples {
		return e.rtt[0]
	}
	return min(e.rtt[0], e.rtt[1])
}

// Product is explained at RoundTrip.
func (e *BDPEstimator) Product() int64 { return e.product }

// OnData is DATA of n octets, padding included.
func (e *BDPEstimator) OnData(n uint32) { e.octets += int64(n) }

// Due says that a WINDOW_UPDATE for the connection is due. It reports whether a
// PING has to follow it: a sample begins. It may end the sample before, if that
// is acknowledged, and change Window.
func (e *BDPEstimator) Due(now time.Time) (ping bool) {
	slow := now.Sub(e.due) > lull
	e.due = now
	switch {
	case e.sampling:
		if e.acked && now.Sub(e.began) >= minSample {
			e.end(now)
		}
		return false
	case e.limit <= e.initial || now.Before(e.next):
		return false
	case slow:
		if e.window > e.initial {
			e.lowSample(now, 0)
		}
		return false
	}
	e.sampling, e.acked, e.began, e.octets = true, false, now, 0
	return true
}

// Acked says that the PING of the sample is acknowledged. As a rule that ends
// the sample, and may change Window. Without a sample it does nothing.
func (e *BDPEstimator) Acked(now time.Time) {
	if !e.sampling || e.acked {
		return
	}
	e.acked, e.trip = true, now.Sub(e.began)
	if e.trip >= minSample {
		e.end(now)
	}
}

// end judges a sample.
func (e *BDPEstimator) end(now time.Time) {
	e.sampling = false
	bandwidth := float64(e.octets) / now.Sub(e.began).Seconds()
	shortest := e.shortest(e.trip)
	product := bandwidth * max(shortest, minRoundTrip).Seconds()
	e.product = int64(product)
	window := float64(e.window)
	inTrip := bandwidth * max(e.trip, minRoundTrip).Seconds() // e.octets, unless the sample went on
	full := inTrip > window*2/5
	trial := e.trial && full
	e.trial = e.trial && !full
	switch {
	case trial && bandwidth < e.best*3/4:
		e.window = min(2*e.window, e.limit)
		e.rtts = 0
		e.changed(bandwidth)
	case full && bandwidth > e.best*9/8 && window*5/4 < roomy*product && e.window < e.limit:
		// An acknowledgement that comes late counts the octets of several windows:
		// hence no more than fourfold.
		e.window = min(2*max(int64(inTrip), e.window), 4*e.window, int64(roomy*product), e.limit)
		e.changed(bandwidth)
	case window > wasteful*product && e.window > e.initial:
		e.lowSample(now, bandwidth)
	default:
		e.flatSample(now)
		e.judge(full, bandwidth, shortest >= minSample && window*5/4 >= roomy*product)
	}
}

// shortest takes a round trip, and gives the shortest that is remembered.
func (e *BDPEstimator) shortest(rtt time.Duration) time.Duration {
	if e.rtts%rttSamples == 0 {
		e.rtt[0], e.rtt[1] = rtt, e.rtt[0]
	}
	e.rtts++
	e.rtt[0] = min(e.rtt[0], rtt)
	return e.RoundTrip()
}

// changed starts over with another window.
func (e *BDPEstimator) changed(bandwidth float64) {
	e.best = bandwidth
	e.low, e.fell, e.interval, e.trial = 0, 0, 0, false
}

// lowSample is one that is far below the window.
func (e *BDPEstimator) lowSample(now time.Time, bandwidth float64) {
	e.fell = 0
	e.next = now.Add(lowInterval)
	if e.low++; e.low == lowSamples {
		e.halve(bandwidth)
	}
}

func (e *BDPEstimator) halve(bandwidth float64) {
	e.window = max(e.window/2, e.initial)
	e.changed(bandwidth)
	e.trial = bandwidth > 0
}

// flatSample is one that tells nothing new.
func (e *BDPEstimator) flatSample(now time.Time) {
	e.low = 0
	e.interval = min(max(2*e.interval, e.trip, minSample), maxInterval)
	e.next = now.Add(e.interval)
}

// judge watches for a window that is used up and yields less than it did: the
// way is longer or slower now, and the best of the past says nothing any more.
// If the shortest round trip of the past makes the window look roomy, which of
// the two it is decides whether that is true: half the window is a trial.
func (e *BDPEstimator) judge(full bool, bandwidth float64, roomy bool) {
	if !full || bandwidth >= e.best*7/8 {
		e.fell = 0
		return
	}
	if e.fell++; e.fell < fellSamples {
		return
	}
	e.best, e.fell = bandwidth*3/4, 0
	if roomy && e.window > e.initial {
		e.halve(bandwidth)
	}
}

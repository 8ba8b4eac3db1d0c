package tuning

import (
	"math"
	"math/bits"
	"time"

	"github.com/weir-rpc/weir"
)

const (
	// MinWindow is the least that OptimizeWindowSize gives, in octets.
	MinWindow = 64 << 10
	// MaxWindow is the most that HTTP/2 allows, in octets.
	MaxWindow = math.MaxInt32
)

// OptimizeWindowSize gives the flow-control windows, in octets, for a way of
// that round-trip time and bandwidth in bits per second: twice their product, so
// that one stream fills the way while its credit returns. The connection's
// window need not be larger, for its credit returns on receipt, whoever reads;
// it is not smaller, so that a stream can use its own.
//
// The result is MinWindow at least, also for values that are zero or negative,
// and MaxWindow at most: nothing overflows. A stream whose messages nobody takes
// may hold its window in memory, each of them: bound their number, or the result,
// where the other side is not to be trusted.
func OptimizeWindowSize(rtt time.Duration, bandwidth int64) (connWindow, streamWindow uint32) {
	window := uint32(min(max(twice(product(rtt, bandwidth)), MinWindow), MaxWindow))
	return window, window
}

// product is how many octets are on a way that is filled, rounded up.
func product(rtt time.Duration, bandwidth int64) uint64 {
	if rtt <= 0 || bandwidth <= 0 {
		return 0
	}
	const perOctet = 8 * uint64(time.Second)
	hi, lo := bits.Mul64(uint64(rtt), uint64(bandwidth))
	if hi >= perOctet {
		return math.MaxUint64 // the quotient has more than 64 bits
	}
	octets, rest := bits.Div64(hi, lo, perOctet)
	if rest > 0 && octets < math.MaxUint64 {
		octets++
	}
	return octets
}

func twice(n uint64) uint64 {
	if n > math.MaxUint64/2 {
		return math.MaxUint64
	}
	return 2 * n
}

// WithOptimizedWindows makes the windows of a Client begin as OptimizeWindowSize
// computes them. They still follow the way, and never go below. See
// weir.WithInitialStreamWindowSize, whose place it takes.
func WithOptimizedWindows(rtt time.Duration, bandwidth int64) weir.DialOption {
	_, stream := OptimizeWindowSize(rtt, bandwidth)
	return weir.WithInitialStreamWindowSize(int32(stream)) // the connection's is no smaller
}

// OptimizedWindows makes the windows of a Server begin as OptimizeWindowSize
// computes them. They still follow the way, and never go below. See
// weir.InitialStreamWindowSize, whose place it takes.
func OptimizedWindows(rtt time.Duration, bandwidth int64) weir.ServerOption {
	_, stream := OptimizeWindowSize(rtt, bandwidth)
	return weir.InitialStreamWindowSize(int32(stream))
}

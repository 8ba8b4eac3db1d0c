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

// OptimizeWindowSize gives the flow-control windows, in octets, for a path of
// this round-trip time and this bandwidth, in bits per second: twice their
// product, so that one stream fills the path while its credit returns. The
// window of the connection is the same: it need not be larger, for its credit
// returns on receipt, whoever reads, and it must not be smaller, or a stream
// could not use its own.
//
// The result is MinWindow at least, also for values that are zero or negative,
// and MaxWindow at most: nothing overflows. Each stream whose messages nobody
// reads may hold its window in memory. So where the other side is not to be
// trusted, bound the number of streams, or the result.
func OptimizeWindowSize(rtt time.Duration, bandwidth int64) (connWindow, streamWindow uint32) {
	window := uint32(min(max(twice(product(rtt, bandwidth)), MinWindow), MaxWindow))
	return window, window
}

// product is how many octets are on a path that is filled, rounded up.
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

// WithOptimizedWindows makes the windows of a Client begin as
// OptimizeWindowSize computes them, but not below weir's defaults. From there
// they follow the path, and never go below where they began. It takes the place
// of weir.WithInitialStreamWindowSize: of the two, the last one given counts.
func WithOptimizedWindows(rtt time.Duration, bandwidth int64) weir.DialOption {
	_, stream := OptimizeWindowSize(rtt, bandwidth)
	return weir.WithInitialStreamWindowSize(int32(stream)) // the connection's is no smaller
}

// OptimizedWindows makes the windows of a Server begin as OptimizeWindowSize
// computes them, but not below weir's defaults. From there they follow the
// path, and never go below where they began. It takes the place of
// weir.InitialStreamWindowSize: of the two, the last one given counts.
func OptimizedWindows(rtt time.Duration, bandwidth int64) weir.ServerOption {
	_, stream := OptimizeWindowSize(rtt, bandwidth)
	return weir.InitialStreamWindowSize(int32(stream))
}

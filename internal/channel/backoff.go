package channel

import (
	"math/rand/v2"
	"time"
)

// The backoff between attempts to connect, and the least time that an attempt
// gets.
//
// https://github.com/grpc/grpc/blob/master/doc/connection-backoff.md
const (
	baseDelay         = time.Second
	backoffMultiplier = 1.6
	backoffJitter     = 0.2
	maxDelay          = 120 * time.Second
	minConnectTimeout = 20 * time.Second
)

// delay is how long to wait before the next attempt, after failures in a row.
// random is in [0, 1).
func delay(failures int, random float64) time.Duration {
	d := float64(baseDelay)
	for i := 1; i < failures && d < float64(maxDelay); i++ {
		d *= backoffMultiplier
	}
	d = min(d, float64(maxDelay))
	d *= 1 + backoffJitter*(2*random-1)
	return min(time.Duration(d), maxDelay)
}

func jitter() float64 { return rand.Float64() }

package channel

import (
	"math/rand/v2"
	"time"

	"google.golang.org/grpc/backoff"
)

const (
	// defaultMinConnectTimeout is the least time that connecting to an address
	// gets.
	defaultMinConnectTimeout = 20 * time.Second
	// minDelay keeps a configuration of tiny delays from spinning.
	minDelay = time.Millisecond
)

// pacing says how long to wait between rounds of attempts to connect, and how
// long an attempt may take.
//
// https://github.com/grpc/grpc/blob/master/doc/connection-backoff.md
type pacing struct {
	backoff           backoff.Config
	minConnectTimeout time.Duration
}

// newPacing fills in gRPC's defaults: for all of b if it is the zero value,
// else for its zero fields, except that a Jitter of zero is none.
func newPacing(b backoff.Config, minConnectTimeout time.Duration) pacing {
	d := backoff.DefaultConfig
	if b == (backoff.Config{}) {
		b = d
	}
	if b.BaseDelay <= 0 {
		b.BaseDelay = d.BaseDelay
	}
	if b.Multiplier <= 0 {
		b.Multiplier = d.Multiplier
	}
	if b.MaxDelay <= 0 {
		b.MaxDelay = d.MaxDelay
	}
	b.Multiplier = max(b.Multiplier, 1)
	b.Jitter = min(max(b.Jitter, 0), 1)
	if minConnectTimeout <= 0 {
		minConnectTimeout = defaultMinConnectTimeout
	}
	return pacing{backoff: b, minConnectTimeout: minConnectTimeout}
}

// delay is the time from the start of one round to the start of the next, if
// that many failed in a row with this one: at least 1. random is in [0, 1).
func (p *pacing) delay(failures int, random float64) time.Duration {
	d, limit := float64(p.backoff.BaseDelay), float64(p.backoff.MaxDelay)
	for i := 1; i < failures && d < limit; i++ {
		if p.backoff.Multiplier == 1 {
			break
		}
		d *= p.backoff.Multiplier
	}
	d = min(d, limit)
	d = min(d*(1+p.backoff.Jitter*(2*random-1)), limit)
	return max(time.Duration(d), minDelay)
}

// randomDelay is delay with a random number.
func (p *pacing) randomDelay(failures int) time.Duration { return p.delay(failures, rand.Float64()) }

// connectTimeout is what connecting to one address gets in a round that is
// followed by that delay.
func (p *pacing) connectTimeout(delay time.Duration) time.Duration {
	return max(p.minConnectTimeout, delay)
}

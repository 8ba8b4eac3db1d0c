package channel

import (
	"testing"
	"time"

	"google.golang.org/grpc/backoff"
)

// Row A115: 1 s x 1.6 with a jitter of 20 %, at most 120 s in any case.
func TestDelay(t *testing.T) {
	tests := []struct {
		name     string
		cfg      backoff.Config
		failures int
		random   float64
		want     time.Duration
	}{
		{"first", backoff.Config{}, 1, 0.5, time.Second},
		{"first, earliest", backoff.Config{}, 1, 0, 800 * ms},
		{"first, late", backoff.Config{}, 1, 0.75, 1100 * ms},
		{"second", backoff.Config{}, 2, 0.5, 1600 * ms},
		{"third", backoff.Config{}, 3, 0.5, 2560 * ms},
		{"eleventh is below the limit", backoff.Config{}, 11, 0.5, 109951162777},
		{"twelfth is the limit", backoff.Config{}, 12, 0.5, 120 * time.Second},
		{"jitter does not exceed the limit", backoff.Config{}, 12, 0.99, 120 * time.Second},
		{"jitter below the limit", backoff.Config{}, 12, 0, 96 * time.Second},
		{"a million failures", backoff.Config{}, 1e6, 0.5, 120 * time.Second},
		{"no jitter", steady, 1, 0, time.Second},
		{"own base, other defaults", backoff.Config{BaseDelay: 100 * ms}, 3, 0, 256 * ms},
		{"own limit", backoff.Config{MaxDelay: 3 * time.Second}, 20, 0.5, 3 * time.Second},
		{"limit below the base", backoff.Config{BaseDelay: time.Minute, MaxDelay: time.Second}, 1, 0.5, time.Second},
		{"a multiplier does not shrink", backoff.Config{Multiplier: 0.1}, 1e9, 0.5, time.Second},
		{"tiny delays do not spin", backoff.Config{BaseDelay: 1, MaxDelay: 1}, 5, 0.5, time.Millisecond},
		{"all jitter does not spin", backoff.Config{Jitter: 1}, 1, 0, time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPacing(tt.cfg, 0)
			if got := p.delay(tt.failures, tt.random); got.Round(time.Microsecond) != tt.want.Round(time.Microsecond) {
				t.Errorf("delay %v, want %v", got, tt.want)
			}
		})
	}
}

func TestConnectTimeout(t *testing.T) {
	tests := []struct{ least, delay, want time.Duration }{
		{0, time.Second, 20 * time.Second},
		{0, time.Minute, time.Minute},
		{5 * time.Second, time.Second, 5 * time.Second},
		{5 * time.Second, 6 * time.Second, 6 * time.Second},
	}
	for _, tt := range tests {
		p := newPacing(backoff.Config{}, tt.least)
		if got := p.connectTimeout(tt.delay); got != tt.want {
			t.Errorf("at least %v, delay %v: %v, want %v", tt.least, tt.delay, got, tt.want)
		}
	}
}

package serviceconfig

import (
	"math"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
)

func TestCodes(t *testing.T) {
	s := Codes(0).With(codes.OK).With(codes.Unauthenticated)
	for c := range codes.Code(40) {
		if want := c == codes.OK || c == codes.Unauthenticated; s.Has(c) != want {
			t.Errorf("Has(%v) is %v", c, !want)
		}
	}
}

// The delay grows by the multiplier up to its bound, and jitter is a fifth of
// it in both directions.
func TestBackoff(t *testing.T) {
	r := Retry{InitialBackoff: 100 * time.Millisecond, MaxBackoff: time.Second, BackoffMultiplier: 3}
	for _, tt := range []struct {
		before int
		random float64
		want   time.Duration
	}{
		{0, 0.5, 100 * time.Millisecond},
		{0, 0, 80 * time.Millisecond},
		{0, 1, 120 * time.Millisecond},
		{1, 0.5, 300 * time.Millisecond},
		{2, 0.5, 900 * time.Millisecond},
		{3, 0.5, time.Second},
		{3, 0, 800 * time.Millisecond},
		{3, 1, 1200 * time.Millisecond},
		{1e6, 0.5, time.Second},
	} {
		if got := r.Backoff(tt.before, tt.random); (got - tt.want).Abs() > time.Microsecond {
			t.Errorf("Backoff(%d, %v) is %v, want %v", tt.before, tt.random, got, tt.want)
		}
	}
	r = Retry{InitialBackoff: longest, MaxBackoff: longest, BackoffMultiplier: 1e300}
	if got := r.Backoff(5, 1); got != longest {
		t.Errorf("the longest delay is %v", got)
	}
}

// A policy makes no more attempts than the client allows.
func TestMaxAttempts(t *testing.T) {
	for most, want := range map[int]int{2: 2, 5: 5, 8: 8, 9: 9, 100: 9} {
		c, err := Parse(whole, most)
		if err != nil {
			t.Fatal(err)
		}
		if n := c.Method("/a.S/M").Hedging.MaxAttempts; n != want {
			t.Errorf("with %d allowed, 9 attempts are %d", most, n)
		}
	}
}

// How many connections there may be is said, or not; as many as can be said fit.
func TestReadScaling(t *testing.T) {
	for js, want := range map[string]int{
		`{}`:                                    -1,
		`{"connectionScaling": null}`:           -1,
		`{"connectionScaling": {}}`:             -1,
		`{"connectionScaling": {"unknown": 1}}`: -1,
		`{"connectionScaling": {"maxConnectionsPerSubchannel": null}}`:       -1,
		`{"connectionScaling": {"maxConnectionsPerSubchannel": 0}}`:          0,
		`{"ConnectionScaling": {"MaxConnectionsPerSubchannel": 4}}`:          4,
		`{"connectionScaling": {"maxConnectionsPerSubchannel": 4294967295}}`: math.MaxInt32,
	} {
		c, err := Parse(js, 5)
		if err != nil {
			t.Errorf("%s: %v", js, err)
			continue
		}
		got := -1
		if c.MaxConnections != nil {
			got = *c.MaxConnections
		}
		if got != want {
			t.Errorf("%s says %d, want %d", js, got, want)
		}
	}
}

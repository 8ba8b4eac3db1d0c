package load

import (
	"math"
	"testing"
	"time"
)

func TestSpread(t *testing.T) {
	upTo := func(n int) (s samples) {
		for i := range n {
			s = append(s, uint32(n-i))
		}
		return s
	}
	for _, tt := range []struct {
		name           string
		lanes          []samples
		p50, p99, p999 int // in ticks
	}{
		{"none", nil, 0, 0, 0},
		{"none in lanes", []samples{nil, {}}, 0, 0, 0},
		{"one", []samples{{7}}, 0, 0, 0},
		{"two", []samples{{9}, {7}}, 7, 0, 0},
		{"99", []samples{upTo(99)}, 50, 0, 0},
		{"100", []samples{upTo(100)}, 50, 99, 0},
		{"999", []samples{upTo(999)}, 500, 990, 0},
		{"1000", []samples{upTo(1000)}, 500, 990, 999},
		{"1000 twice", []samples{upTo(1000), upTo(1000)}, 500, 990, 999},
		{"1001", []samples{upTo(1001)}, 501, 991, 1000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := Latency{time.Duration(tt.p50) * tick, time.Duration(tt.p99) * tick, time.Duration(tt.p999) * tick}
			if got := spread(tt.lanes); got != want {
				t.Errorf("%v, want %v", got, want)
			}
		})
	}
}

func TestSamples(t *testing.T) {
	var s samples
	s.reset()
	now := s.add(time.Now().Add(-time.Millisecond))
	if d := time.Since(now); d < 0 || d > time.Minute {
		t.Errorf("add gave a time %v ago, want now", d)
	}
	if took := time.Duration(s[0]) * tick; took < time.Millisecond || took > time.Minute {
		t.Errorf("a millisecond took %v", took)
	}
	if s.add(time.Now().Add(-time.Hour)); s[1] != math.MaxUint32 {
		t.Errorf("an hour is %d ticks, want what fits", s[1])
	}
	for len(s) < smallest {
		s.add(now)
	}
	s.reset()
	if len(s) != 0 || cap(s) < 2*smallest {
		t.Errorf("%d samples and room for %d after reset, want none and twice as much as was used", len(s), cap(s))
	}
}

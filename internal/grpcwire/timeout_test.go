package grpcwire

import (
	"math"
	"testing"
	"time"
)

func TestAppendTimeout(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second:                  "0n",
		0:                             "0n",
		1:                             "1n",
		99_999_999:                    "99999999n",
		100_000_000:                   "100000u",
		100_000_001:                   "100001u", // rounded up
		99_999_999 * time.Microsecond: "99999999u",
		100 * time.Second:             "100000m",
		100_000 * time.Second:         "100000S",
		99_999_999*time.Second + 1:    "1666667M",
		math.MaxInt64:                 "2562048H",
		59 * time.Minute:              "3540000m",
	} {
		if got := string(AppendTimeout(nil, d)); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

// Row A67: one to eight digits and a unit, nothing else.
func TestParseTimeout(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"0n": 0, "1n": 1, "1u": time.Microsecond, "1m": time.Millisecond, "1S": time.Second,
		"1M": time.Minute, "1H": time.Hour, "00000001S": time.Second,
		"99999999H": math.MaxInt64, "99999999M": 99_999_999 * time.Minute,
	} {
		if got, err := ParseTimeout(s); err != nil || got != want {
			t.Errorf("%q: %v, %v, want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "1", "n", "S1", "-1S", "+1S", "1.5S", "1s", "1h", "123456789n", " 1S", "1S ", "1SS", "٣S"} {
		if d, err := ParseTimeout(s); err == nil {
			t.Errorf("%q is accepted as %v", s, d)
		}
	}
}

func FuzzTimeout(f *testing.F) {
	f.Add(int64(0), "5S")
	f.Add(int64(math.MaxInt64), "99999999H")
	f.Add(int64(123456789012), "1x")
	f.Fuzz(func(t *testing.T, d int64, s string) {
		if got, err := ParseTimeout(s); err == nil && got < 0 {
			t.Errorf("%q is %v", s, got)
		}
		v := string(AppendTimeout(nil, time.Duration(d)))
		got, err := ParseTimeout(v)
		if err != nil || int64(got) < d {
			t.Fatalf("%d: %q, which is %v, %v: less than was said", d, v, got, err)
		}
		// Rounding costs less than one part in a million, but for hours.
		if over := float64(got) - float64(max(d, 0)); d > 0 && over > float64(d)*1e-5+1 && got < math.MaxInt64 && time.Duration(d) < 99_999_999*time.Minute {
			t.Fatalf("%d: %q is %v too long", d, v, time.Duration(over))
		}
	})
}

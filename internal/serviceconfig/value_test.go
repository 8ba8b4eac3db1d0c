package serviceconfig

import (
	"math"
	"testing"
	"time"
)

func TestParseDuration(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"0s":                 0,
		"1s":                 time.Second,
		".5s":                time.Second / 2,
		"5.s":                5 * time.Second,
		"-1.5s":              -1500 * time.Millisecond,
		"0.000000001s":       1,
		"315576000000s":      math.MaxInt64, // more than it holds
		"-315576000000s":     math.MinInt64,
		"9223372036.5s":      9223372036500000000,
		"9223372036.9s":      math.MaxInt64,
		"-9223372036.9s":     math.MinInt64,
		"9223372035.123456s": 9223372035123456000,
	} {
		if got, err := parseDuration(s); err != nil || got != want {
			t.Errorf("%q is %v, %v, want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "s", "1", ".s", "-s", "1ms", "1.2.3s", "1.0000000001s", "315576000001s", "1e3s", " 1s", "1 s", "as", "1.+5s", "99999999999999999999s"} {
		if got, err := parseDuration(s); err == nil {
			t.Errorf("%q is %v", s, got)
		}
	}
}

package grpcwire

import (
	"math"
	"testing"
)

func TestPrefixRoundTrip(t *testing.T) {
	for _, n := range []int{0, 1, 255, 256, 1 << 24, min(1<<32-1, math.MaxInt)} {
		for _, compressed := range []bool{false, true} {
			var b [PrefixLen]byte
			PutPrefix(b[:], compressed, n)
			c, got, err := ParsePrefix(b[:])
			if err != nil || c != compressed || int(got) != n {
				t.Errorf("%d, %v: got %d, %v, %v", n, compressed, got, c, err)
			}
		}
	}
}

func TestPrefixFlagMustBeZeroOrOne(t *testing.T) {
	for flag := 2; flag < 256; flag++ {
		if _, _, err := ParsePrefix([]byte{byte(flag), 0, 0, 0, 0}); err == nil {
			t.Errorf("flag %d is accepted", flag)
		}
	}
}

func TestPrefixCannotSayAnyLength(t *testing.T) {
	lengths := []int{-1}
	if most := uint64(math.MaxInt); most > 1<<32 {
		lengths = append(lengths, int(most)) // where an int has 64 bits
	}
	for _, n := range lengths {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a length of %d is written", n)
				}
			}()
			PutPrefix(make([]byte, PrefixLen), false, n)
		}()
	}
}

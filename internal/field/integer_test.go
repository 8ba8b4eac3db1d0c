package field

import (
	"bytes"
	"testing"
)

// https://www.rfc-editor.org/rfc/rfc7541#appendix-C.1 and the bounds.
func TestInteger(t *testing.T) {
	for _, tt := range []struct {
		name   string
		v      uint32
		prefix uint
		octets string
	}{
		{"C.1.1", 10, 5, "0a"},
		{"C.1.2", 1337, 5, "1f 9a 0a"},
		{"C.1.3", 42, 8, "2a"},
		{"zero", 0, 4, "00"},
		{"one below the prefix's top", 14, 4, "0e"},
		{"the prefix's top", 15, 4, "0f 00"},
		{"two octets of continuation", 15 + 128, 4, "0f 80 01"},
		{"highest", 1<<32 - 1, 7, "7f 80 ff ff ff 0f"},
		{"highest, short prefix", 1<<32 - 1, 4, "0f f0 ff ff ff 0f"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			octets := unhex(t, tt.octets)
			if got := appendInteger(nil, 0, tt.prefix, uint64(tt.v)); !bytes.Equal(got, octets) {
				t.Errorf("encoded % x, want % x", got, octets)
			}
			v, next, why := readInteger(octets, 0, tt.prefix)
			if v != tt.v || next != len(octets) || why != 0 {
				t.Errorf("read %d to offset %d, reason %d; want %d to %d", v, next, why, tt.v, len(octets))
			}
			for n := range octets {
				if _, _, why := readInteger(octets[:n], 0, tt.prefix); why != Truncated {
					t.Errorf("the first %d octets: reason %d, want Truncated", n, why)
				}
			}
		})
	}
}

func TestIntegerKeepsFlags(t *testing.T) {
	if got, want := appendInteger(nil, 0x80, 7, 2), []byte{0x82}; !bytes.Equal(got, want) {
		t.Errorf("got % x, want % x", got, want)
	}
	if got, want := appendInteger(nil, 0x20, 5, 1337), []byte{0x3f, 0x9a, 0x0a}; !bytes.Equal(got, want) {
		t.Errorf("got % x, want % x", got, want)
	}
	if v, _, _ := readInteger([]byte{0x3f, 0x9a, 0x0a}, 0, 5); v != 1337 {
		t.Errorf("read %d, want 1337", v)
	}
}

// "Integer encodings that exceed implementation limits -- in value or octet
// length -- MUST be treated as decoding errors."
// https://www.rfc-editor.org/rfc/rfc7541#section-5.1
func TestIntegerOverflow(t *testing.T) {
	for _, tt := range []struct{ name, octets string }{
		{"2^32", "7f 81 ff ff ff 0f"},
		{"35 bits", "7f ff ff ff ff 7f"},
		{"a zero of six continuation octets", "7f 80 80 80 80 80 00"},
		{"endless", "7f ff ff ff ff ff ff ff ff ff ff ff"},
	} {
		if v, _, why := readInteger(unhex(t, tt.octets), 0, 7); why != IntegerOverflow {
			t.Errorf("%s: read %d, reason %d; want IntegerOverflow", tt.name, v, why)
		}
	}
	if v, _, why := readInteger(unhex(t, "7f 80 80 80 80 00"), 0, 7); v != 127 || why != 0 {
		t.Errorf("padded to five octets: read %d, reason %d; want 127", v, why)
	}
}

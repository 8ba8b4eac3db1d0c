package field

import (
	"bytes"
	"testing"
)

func TestString(t *testing.T) {
	for _, tt := range []struct{ text, octets string }{
		{"", "00"},
		{"0", "01 30"}, // 5 bits fill an octet: Huffman code is not shorter
		{"www.example.com", "8c f1 e3 c2 e5 f2 3a 6b a0 ab 90 f4 ff"},
		{"~", "01 7e"},
		{"\x00\xff", "02 00 ff"}, // octets whose codes are long
		{"POST", "04 50 4f 53 54"},
	} {
		want := unhex(t, tt.octets)
		if got := appendString(nil, tt.text); !bytes.Equal(got, want) {
			t.Errorf("%q: % x, want % x", tt.text, got, want)
		}
		octets, huffman, next, why := readString(want, 0)
		if why != 0 || next != len(want) {
			t.Errorf("%q: read to offset %d, reason %d", tt.text, next, why)
		}
		if huffman {
			var s scratch
			octets, why = s.decodeHuffman(octets)
		}
		if string(octets) != tt.text || why != 0 {
			t.Errorf("read %q, reason %d; want %q", octets, why, tt.text)
		}
	}
}

// Huffman code may pad with up to seven bits of EOS and need not be shorter.
func TestHuffmanStringOfOneOctet(t *testing.T) {
	octets, huffman, _, _ := readString([]byte{0x81, 0x07}, 0)
	var s scratch
	if text, why := s.decodeHuffman(octets); !huffman || string(text) != "0" || why != 0 {
		t.Errorf("read %q, reason %d, huffman %v; want 0", text, why, huffman)
	}
}

// Two strings in one scratch stay apart, even if the second makes it move.
func TestHuffmanStringsShareAScratch(t *testing.T) {
	var s scratch
	first, _ := s.decodeHuffman(appendString(nil, "www.example.com")[1:])
	for range 200 {
		if second, _ := s.decodeHuffman(appendString(nil, "no-cache")[1:]); string(second) != "no-cache" {
			t.Fatalf("second string is %q", second)
		}
	}
	if string(first) != "www.example.com" {
		t.Errorf("first string became %q", first)
	}
}

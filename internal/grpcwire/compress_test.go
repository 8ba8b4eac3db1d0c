package grpcwire

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	_ "google.golang.org/grpc/encoding/gzip"
)

func TestCompressRoundTrip(t *testing.T) {
	c := Lookup("gzip")
	rnd := rand.New(rand.NewPCG(1, 1))
	for _, n := range []int{0, 1, 100, 70_000, 1 << 20} {
		src := make([]byte, n)
		for i := range src {
			src[i] = byte(rnd.IntN(4))
		}
		packed, err := Compress([]byte("before"), c, src)
		if err != nil || !bytes.HasPrefix(packed, []byte("before")) {
			t.Fatal(err)
		}
		got, err := Decompress([]byte("ahead"), c, packed[6:], n)
		if err != nil || string(got[:5]) != "ahead" || !bytes.Equal(got[5:], src) {
			t.Fatalf("%d octets come back as %d, %v", n, len(got)-5, err)
		}
		if n > 0 {
			if _, err := Decompress(nil, c, packed[6:], n-1); !errors.Is(err, ErrTooLarge) {
				t.Errorf("%d octets within a limit of %d: %v", n, n-1, err)
			}
		}
	}
}

func TestDecompressBombStopsAtTheLimit(t *testing.T) {
	c := Lookup("gzip")
	bomb, err := Compress(nil, c, make([]byte, 8<<20))
	if err != nil {
		t.Fatal(err)
	}
	const limit = 100_000
	dst := make([]byte, 0, limit+1)
	if _, err := Decompress(dst, c, bomb, limit); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("%v, want ErrTooLarge", err)
	}
	if full := dst[:cap(dst)]; len(full) != limit+1 {
		t.Fatalf("the buffer grew to %d", len(full))
	}
}

func TestDecompressGarbage(t *testing.T) {
	c := Lookup("gzip")
	good, err := Compress(nil, c, []byte("some text to be cut"))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range [][]byte{nil, []byte("no gzip at all"), good[:len(good)-3]} {
		if _, err := Decompress(nil, c, b, 1000); err == nil || errors.Is(err, ErrTooLarge) {
			t.Errorf("%q: %v", b, err)
		}
	}
}

func TestAcceptEncodingNamesWhatIsRegistered(t *testing.T) {
	if got := AcceptEncoding([]string{"nonsense", "gzip", "more"}); got != "gzip" {
		t.Errorf("%q", got)
	}
	if got := AcceptEncoding([]string{"nonsense"}); got != "" {
		t.Errorf("%q", got)
	}
}

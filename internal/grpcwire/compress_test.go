package grpcwire

import (
	"bytes"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	_ "google.golang.org/grpc/encoding/gzip"
)

func TestCompressRoundTrip(t *testing.T) {
	c := Lookup("gzip")
	rnd := rand.New(rand.NewPCG(1, 1))
	for _, n := range []int{1, 100, 511, 512, 513, 70_000, 1 << 20} {
		src := make([]byte, n)
		for i := range src {
			src[i] = byte(rnd.IntN(4))
		}
		packed, err := Compress([]byte("before"), c, src)
		if err != nil || !bytes.HasPrefix(packed, []byte("before")) {
			t.Fatal(err)
		}
		for _, limit := range []int{n, n + 1, math.MaxInt} {
			for _, room := range []int{0, 1, n, n + 1, 2 * n} {
				dst := append(make([]byte, 0, 5+room), "ahead"...)
				got, err := Decompress(dst, c, packed[6:], limit)
				if err != nil || string(got[:5]) != "ahead" || !bytes.Equal(got[5:], src) {
					t.Fatalf("%d octets come back as %d within %d, %v", n, len(got)-5, limit, err)
				}
			}
		}
		got, err := Decompress([]byte("ahead"), c, packed[6:], n-1)
		if !errors.Is(err, ErrTooLarge) || string(got) != "ahead" {
			t.Errorf("%d octets within a limit of %d: %q, %v", n, n-1, got, err)
		}
	}
}

func TestEmptyMessageIsNotCompressed(t *testing.T) {
	for _, src := range [][]byte{nil, {}} {
		got, err := Compress([]byte("before"), Lookup("gzip"), src)
		if err != nil || string(got) != "before" {
			t.Errorf("%q, %v", got, err)
		}
	}
}

// A small message that is a large one when it is decompressed costs no more
// than the limit.
func TestDecompressBombStopsAtTheLimit(t *testing.T) {
	c := &counting{}
	for _, limit := range []int{-1, 0, 1, 511, 512, 513, 100_000, 1 << 20} {
		c.given, c.largest = 0, 0
		got, err := Decompress([]byte("before"), c, nil, limit)
		if !errors.Is(err, ErrTooLarge) || string(got) != "before" {
			t.Fatalf("%q, %v, want ErrTooLarge", got, err)
		}
		if want := max(limit, 0) + 1; c.given != want || c.largest > want {
			t.Errorf("limit %d: %d octets come out of it, %d asked for at once, want %d", limit, c.given, c.largest, want)
		}
	}
}

// counting is a compressor whose every message is endless when decompressed.
type counting struct{ given, largest int }

func (c *counting) Name() string { return "counting" }
func (c *counting) Compress(io.Writer) (io.WriteCloser, error) {
	return nil, errors.New("one way only")
}
func (c *counting) Decompress(io.Reader) (io.Reader, error) { return c, nil }
func (c *counting) Read(p []byte) (int, error) {
	c.given += len(p)
	c.largest = max(c.largest, len(p))
	return len(p), nil
}

func TestDecompressGarbage(t *testing.T) {
	c := Lookup("gzip")
	good, err := Compress(nil, c, []byte("some text to be cut"))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range [][]byte{nil, []byte("no gzip at all"), good[:len(good)-3]} {
		got, err := Decompress([]byte("before"), c, b, 1000)
		if err == nil || errors.Is(err, ErrTooLarge) || string(got) != "before" {
			t.Errorf("%q: %q, %v", b, got, err)
		}
	}
}

// scripted is a compressor of which each step does as the test says.
type scripted struct {
	open, write, shut, read error
	reads                   []string // what Read gives, one after the other
	closed                  int
}

func (s *scripted) Name() string { return "scripted" }

func (s *scripted) Compress(io.Writer) (io.WriteCloser, error) {
	return s, s.open
}

func (s *scripted) Decompress(io.Reader) (io.Reader, error) {
	return s, s.open
}

func (s *scripted) Write(p []byte) (int, error) { return len(p), s.write }

func (s *scripted) Close() error {
	s.closed++
	return s.shut
}

func (s *scripted) Read(p []byte) (int, error) {
	if len(s.reads) == 0 {
		return 0, s.read
	}
	n := copy(p, s.reads[0])
	s.reads = s.reads[1:]
	return n, nil
}

func TestCompressorFails(t *testing.T) {
	fault := errors.New("fault")
	for _, tt := range []struct {
		name   string
		c      scripted
		closed int
	}{
		{"at the start", scripted{open: fault}, 0},
		{"in the middle", scripted{write: fault}, 1},
		{"at the end", scripted{shut: fault}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Compress([]byte("before"), &tt.c, []byte("x"))
			if !errors.Is(err, fault) || string(got) != "before" {
				t.Errorf("%q, %v", got, err)
			}
			if tt.c.closed != tt.closed {
				t.Errorf("closed %d times, want %d", tt.c.closed, tt.closed)
			}
		})
	}
}

// A reader is closed exactly once, however reading ends.
func TestDecompressorEnds(t *testing.T) {
	fault := errors.New("fault")
	nothing := make([]string, maxEmptyReads-1)
	for _, tt := range []struct {
		name   string
		c      scripted
		want   string
		err    error
		closed int
	}{
		{"well", scripted{reads: []string{"ab", "c"}, read: io.EOF}, "abc", nil, 1},
		{"with nothing", scripted{read: io.EOF}, "", nil, 1},
		{"at the start", scripted{open: fault}, "", fault, 0},
		{"in the middle", scripted{reads: []string{"ab"}, read: fault}, "", fault, 1},
		{"past the limit", scripted{reads: []string{"abcdef"}, read: io.EOF}, "", ErrTooLarge, 1},
		{"after it gave nothing often", scripted{reads: slices.Concat(nothing, []string{"a"}, nothing, []string{"b"}), read: io.EOF}, "ab", nil, 1},
		{"never", scripted{reads: []string{"a"}}, "", io.ErrNoProgress, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Decompress([]byte("before "), &tt.c, nil, 5)
			if !errors.Is(err, tt.err) || string(got) != "before "+tt.want {
				t.Errorf("%q, %v, want %q, %v", got, err, tt.want, tt.err)
			}
			if tt.c.closed != tt.closed {
				t.Errorf("closed %d times, want %d", tt.c.closed, tt.closed)
			}
		})
	}
}

func TestAcceptEncodingNamesWhatIsRegistered(t *testing.T) {
	for _, tt := range []struct {
		names []string
		want  string
	}{
		{[]string{"nonsense", "gzip", "more", "gzip"}, "gzip"},
		{[]string{"nonsense", "identity", ""}, ""},
		{nil, ""},
	} {
		if got := AcceptEncoding(tt.names); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.names, got, tt.want)
		}
	}
}

func FuzzDecompress(f *testing.F) {
	c := Lookup("gzip")
	good, err := Compress(nil, c, bytes.Repeat([]byte("weir "), 100))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good, 500)
	f.Add(good, 499)
	f.Add(good[:20], 10)
	f.Fuzz(func(t *testing.T, src []byte, limit int) {
		limit = max(0, limit) % (1 << 20)
		got, err := Decompress(nil, c, src, limit)
		if len(got) > limit || cap(got) > max(limit+1, leastRoom) || err != nil && got != nil {
			t.Fatalf("%d octets with a capacity of %d within a limit of %d, %v", len(got), cap(got), limit, err)
		}
	})
}

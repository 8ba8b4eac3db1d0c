package frame

import (
	"slices"
	"testing"
)

// wire joins headers and payloads that are written out in octets.
func wire(parts ...any) (b []byte) {
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			b = append(b, byte(p))
		case string:
			b = append(b, p...)
		case []byte:
			b = append(b, p...)
		default:
			panic("wire takes int, string and []byte")
		}
	}
	return b
}

// whole wants octets to be exactly one frame, whatever the cuts, and gives it.
func whole(t *testing.T, octets []byte) Frame {
	t.Helper()
	var first Frame
	for _, n := range []int{len(octets), 1, 2, HeaderLen, HeaderLen + 1} {
		frames, err := read(t, octets, n)
		if err != nil {
			t.Fatalf("pieces of %d: %v", n, err)
		}
		if frames = merge(frames); len(frames) != 1 || !frames[0].First || !frames[0].Last {
			t.Fatalf("pieces of %d: %+v, want one frame", n, frames)
		}
		if n == len(octets) {
			first = frames[0]
		} else if !equal(frames[0], first) {
			t.Fatalf("pieces of %d: %+v, in one piece it was %+v", n, frames[0], first)
		}
	}
	return first
}

// parsed wants octets to be the frame want, and nothing that want leaves out.
func parsed(t *testing.T, octets []byte, want Frame) {
	t.Helper()
	want.First, want.Last = true, true
	want.Length = uint32(len(octets) - HeaderLen)
	if got := whole(t, octets); !equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// appended wants an appender to have left the octets before it alone.
func appended(t *testing.T, f func(dst []byte) []byte, want []byte) {
	t.Helper()
	if got := f([]byte("kept")); !slices.Equal(got, wire("kept", want)) {
		t.Errorf("got % x\nwant % x", got, wire("kept", want))
	}
}

// faultyHeader wants a frame to be refused by its header alone.
func faultyHeader(t *testing.T, h Header, code ErrCode, stream uint32) {
	t.Helper()
	var r Reader
	r.Lend(make([]byte, MinBuffer))
	r.Filled(copy(r.Space(), appendHeader(nil, int(h.Length), h.Type, h.Flags, h.StreamID)))
	var f Frame
	ok, err := r.Next(&f)
	if ok || err == nil || err.Code != code || err.StreamID != stream {
		t.Errorf("%+v: %v, %v, want %v on stream %d", h, ok, err, code, stream)
	}
	if f.Header != h {
		t.Errorf("%+v: the header told with the error is %+v", h, f.Header)
	}
}

// soundHeader wants the header of a frame to pass while its payload is awaited.
func soundHeader(t *testing.T, h Header) {
	t.Helper()
	var r Reader
	r.Lend(make([]byte, MinBuffer))
	r.Filled(copy(r.Space(), appendHeader(nil, int(h.Length), h.Type, h.Flags, h.StreamID)))
	var f Frame
	if _, err := r.Next(&f); err != nil {
		t.Errorf("%+v: %v", h, err)
	}
}

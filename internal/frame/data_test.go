package frame

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// pieces gives a Reader the pieces of one DATA frame, each in a buffer of its
// own where that is possible, and joins the fragments.
func pieces(t *testing.T, cuts ...[]byte) Frame {
	t.Helper()
	var r Reader
	var whole Frame
	begun, ended := false, false
	for i, p := range cuts {
		if r.buf == nil {
			r.Lend(bytes.Repeat([]byte{0xee}, MinBuffer))
		}
		r.Filled(copy(r.Space(), p))
		for {
			var f Frame
			ok, err := r.Next(&f)
			if err != nil {
				t.Fatalf("piece %d: %v", i, err)
			}
			if !ok {
				break
			}
			if ended || f.First == begun {
				t.Fatalf("piece %d: %+v out of turn", i, f)
			}
			begun = true
			if f.EndStream() != (f.Last && f.Flags.Has(FlagEndStream)) {
				t.Fatalf("piece %d: END_STREAM of fragment %+v", i, f)
			}
			if f.FlowLen == 0 && f.Length > 0 {
				t.Fatalf("piece %d: a fragment of nothing", i)
			}
			if f.First {
				whole = f
				whole.Payload = slices.Clone(f.Payload)
			} else {
				whole.Payload = append(whole.Payload, f.Payload...)
				whole.FlowLen += f.FlowLen
				whole.Last = f.Last
			}
			ended = f.Last
		}
		if len(r.Space()) == 0 {
			t.Fatalf("piece %d: no space", i)
		}
		r.Reclaim()
	}
	return whole
}

// Row A80: DATA is handed out as it comes, whatever its cuts, padding and
// buffers, and what counts for flow control adds up to the frame that was sent.
func TestDataCutAtEveryBorder(t *testing.T) {
	for _, tt := range []struct {
		name string
		data string
		pad  int
		end  bool
	}{
		{"plain", "twelve octet", -1, true},
		{"open", "twelve octet", -1, false},
		{"Pad Length without padding", "data", 0, true},
		{"padded", "data", 9, true},
		{"padding alone", "", 6, true},
		{"Pad Length alone", "", 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := AppendData(nil, 5, []byte(tt.data), tt.end, tt.pad)
			for i := range len(b) + 1 {
				for j := i; j <= len(b); j++ {
					f := pieces(t, b[:i], b[i:j], b[j:])
					if string(f.Payload) != tt.data || f.FlowLen != len(b)-HeaderLen || !f.First || !f.Last || f.StreamID != 5 || f.EndStream() != tt.end {
						t.Fatalf("cut at %d and %d: %+v", i, j, f)
					}
				}
			}
		})
	}
}

func TestEmptyDataEndsTheStream(t *testing.T) {
	f := whole(t, wire(0, 0, 0, 0x0, 0x1, 0, 0, 0, 7))
	if !f.EndStream() || f.FlowLen != 0 || len(f.Payload) != 0 {
		t.Errorf("%+v", f)
	}
}

func TestDataLargerThanTheBuffer(t *testing.T) {
	const size = 3*MinBuffer + 17
	want := []byte(strings.Repeat("0123456789abcdef", size/16+1)[:size])
	b := AppendData(nil, 1, want, true, 100)
	var r Reader
	r.SetMaxSize(1<<20, 0)
	r.Lend(make([]byte, MinBuffer))
	var got []byte
	flow := 0
	for done := false; !done; {
		var f Frame
		ok, err := r.Next(&f)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			if n := r.Wants(); n > 0 {
				t.Fatalf("it wants a buffer of %d octets", n)
			}
			n := copy(r.Space(), b[:min(1000, len(b))])
			r.Filled(n)
			b = b[n:]
			continue
		}
		got, flow, done = append(got, f.Payload...), flow+f.FlowLen, f.Last
	}
	if !bytes.Equal(got, want) || flow != 1+size+100 {
		t.Errorf("%d octets of data that count for %d", len(got), flow)
	}
}

// "If the length of the padding is the length of the frame payload or greater,
// the recipient MUST treat this as a connection error (Section 5.4.1) of type
// PROTOCOL_ERROR."
// https://www.rfc-editor.org/rfc/rfc9113#section-6.1
//
// It does with the octet that tells, before any data is handed out.
func TestDataPaddingIsJudgedFirst(t *testing.T) {
	for pad := range 12 {
		const length = 6
		b := wire(0, 0, length, 0x0, 0x8, 0, 0, 0, 1, pad, "data", "x")
		frames, err := read(t, b[:HeaderLen+1], 1)
		switch {
		case pad < length && err != nil:
			t.Errorf("padding of %d in a frame of %d: %v", pad, length, err)
		case pad >= length && (err == nil || err.Code != CodeProtocol || err.StreamID != 0 || len(frames) > 0):
			t.Errorf("padding of %d in a frame of %d: %+v, %v", pad, length, frames, err)
		}
	}
}

// "If a DATA frame is received whose Stream Identifier field is 0x00, the
// recipient MUST respond with a connection error (Section 5.4.1) of type
// PROTOCOL_ERROR."
// https://www.rfc-editor.org/rfc/rfc9113#section-6.1
func TestDataHeader(t *testing.T) {
	faultyHeader(t, Header{Length: 10, Type: TypeData}, CodeProtocol, 0)
	faultyHeader(t, Header{Length: 0, Type: TypeData, Flags: FlagPadded, StreamID: 1}, CodeFrameSize, 0)
	soundHeader(t, Header{Length: 1, Type: TypeData, Flags: FlagPadded, StreamID: 1})
	soundHeader(t, Header{Length: DefaultMaxSize, Type: TypeData, StreamID: 1<<31 - 1})
}

func TestAppendData(t *testing.T) {
	appended(t, func(b []byte) []byte { return AppendData(b, 3, []byte("abc"), false, -1) }, wire(0, 0, 3, 0, 0, 0, 0, 0, 3, "abc"))
	appended(t, func(b []byte) []byte { return AppendData(b, 3, []byte("abc"), true, -1) }, wire(0, 0, 3, 0, 1, 0, 0, 0, 3, "abc"))
	appended(t, func(b []byte) []byte { return AppendData(b, 3, []byte("abc"), true, 0) }, wire(0, 0, 4, 0, 9, 0, 0, 0, 3, 0, "abc"))
	// "Padding octets MUST be set to zero when sending."
	// https://www.rfc-editor.org/rfc/rfc9113#section-6.1
	dirty := bytes.Repeat([]byte{0xff}, 64)[:0]
	if got, want := AppendData(dirty, 1, []byte("a"), false, 4), wire(0, 0, 6, 0, 8, 0, 0, 0, 1, 4, "a", 0, 0, 0, 0); !bytes.Equal(got, want) {
		t.Errorf("got % x\nwant % x", got, want)
	}
}

package frame

import (
	"bytes"
	"testing"
)

func TestHeaders(t *testing.T) {
	for _, tt := range []struct {
		name   string
		octets []byte
		want   Frame
	}{
		{
			"plain", wire(0, 0, 5, 0x1, 0x4, 0, 0, 0, 1, "block"),
			Frame{Header: Header{Type: TypeHeaders, Flags: FlagEndHeaders, StreamID: 1}, Payload: []byte("block")},
		},
		{
			"empty block", wire(0, 0, 0, 0x1, 0x5, 0, 0, 0, 1),
			Frame{Header: Header{Type: TypeHeaders, Flags: FlagEndHeaders | FlagEndStream, StreamID: 1}},
		},
		{
			"padded", wire(0, 0, 8, 0x1, 0xc, 0, 0, 0, 1, 2, "block", 0, 0),
			Frame{Header: Header{Type: TypeHeaders, Flags: FlagEndHeaders | FlagPadded, StreamID: 1}, Payload: []byte("block")},
		},
		{
			"priority, exclusive", wire(0, 0, 10, 0x1, 0x24, 0, 0, 0, 9, 0x80, 0, 0, 3, 255, "block"),
			Frame{
				Header:  Header{Type: TypeHeaders, Flags: FlagEndHeaders | FlagPriority, StreamID: 9},
				Payload: []byte("block"), HasPriority: true, Dependency: 3,
			},
		},
		{
			"padding and priority fill the frame", wire(0, 0, 8, 0x1, 0x2c, 0, 0, 0, 9, 2, 0, 0, 0, 3, 15, 0, 0),
			Frame{Header: Header{Type: TypeHeaders, Flags: FlagEndHeaders | FlagPriority | FlagPadded, StreamID: 9}, HasPriority: true, Dependency: 3},
		},
		{
			// "Unused flags MUST be ignored on receipt"
			// https://www.rfc-editor.org/rfc/rfc9113#section-4.1
			"unused flags and the reserved bit", wire(0, 0, 1, 0x1, 0xd6, 0x80, 0, 0, 1, "b"),
			Frame{Header: Header{Type: TypeHeaders, Flags: 0xd6, StreamID: 1}, Payload: []byte("b")},
		},
	} {
		t.Run(tt.name, func(t *testing.T) { parsed(t, tt.octets, tt.want) })
	}
}

// "If a HEADERS frame is received whose Stream Identifier field is 0x00, the
// recipient MUST respond with a connection error (Section 5.4.1) of type
// PROTOCOL_ERROR."
// https://www.rfc-editor.org/rfc/rfc9113#section-6.2
func TestHeadersHeader(t *testing.T) {
	faultyHeader(t, Header{Length: 10, Type: TypeHeaders}, CodeProtocol, 0)
	faultyHeader(t, Header{Length: 0, Type: TypeHeaders, Flags: FlagPadded, StreamID: 1}, CodeFrameSize, 0)
	faultyHeader(t, Header{Length: 4, Type: TypeHeaders, Flags: FlagPriority, StreamID: 1}, CodeFrameSize, 0)
	faultyHeader(t, Header{Length: 5, Type: TypeHeaders, Flags: FlagPriority | FlagPadded, StreamID: 1}, CodeFrameSize, 0)
	soundHeader(t, Header{Length: 5, Type: TypeHeaders, Flags: FlagPriority, StreamID: 1})
	soundHeader(t, Header{Length: 6, Type: TypeHeaders, Flags: FlagPriority | FlagPadded, StreamID: 1})
}

// Row A58: a block that is larger than the peer's MAX_FRAME_SIZE goes on in
// CONTINUATION frames, with nothing between and END_HEADERS on the last.
func TestAppendHeadersSplits(t *testing.T) {
	block := []byte("0123456789")
	for maxSize := 1; maxSize <= 12; maxSize++ {
		b := AppendHeaders([]byte("kept"), 7, block, true, uint32(maxSize))
		if !bytes.HasPrefix(b, []byte("kept")) {
			t.Fatalf("at most %d: % x", maxSize, b)
		}
		frames, err := read(t, b[4:], len(b))
		if err != nil {
			t.Fatalf("at most %d: %v", maxSize, err)
		}
		if want := (len(block) + maxSize - 1) / maxSize; len(frames) != want {
			t.Fatalf("at most %d: %d frames, want %d", maxSize, len(frames), want)
		}
		var got []byte
		for i, f := range frames {
			wantType, wantFlags := TypeContinuation, Flags(0)
			if i == 0 {
				wantType, wantFlags = TypeHeaders, FlagEndStream
			}
			if i == len(frames)-1 {
				wantFlags |= FlagEndHeaders
			}
			if f.Type != wantType || f.Flags != wantFlags || f.StreamID != 7 || int(f.Length) > maxSize || f.EndStream() != (i == 0) {
				t.Errorf("at most %d, frame %d: %+v", maxSize, i, f)
			}
			got = append(got, f.Payload...)
		}
		if !bytes.Equal(got, block) {
			t.Errorf("at most %d: %q", maxSize, got)
		}
	}
	appended(t, func(b []byte) []byte { return AppendHeaders(b, 1, nil, true, 1) }, wire(0, 0, 0, 1, 5, 0, 0, 0, 1))
}

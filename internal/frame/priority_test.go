package frame

import "testing"

func TestPriority(t *testing.T) {
	want := Frame{Header: Header{Type: TypePriority, StreamID: 5}, HasPriority: true, Dependency: 1<<31 - 1}
	parsed(t, wire(0, 0, 5, 0x2, 0, 0, 0, 0, 5, 0x7f, 0xff, 0xff, 0xff, 16), want)
	parsed(t, wire(0, 0, 5, 0x2, 0, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff, 16), want) // exclusive
	appended(t, func(b []byte) []byte { return AppendPriority(b, 5, 3, false, 16) }, wire(0, 0, 5, 2, 0, 0, 0, 0, 5, 0, 0, 0, 3, 16))
	appended(t, func(b []byte) []byte { return AppendPriority(b, 5, 3, true, 0) }, wire(0, 0, 5, 2, 0, 0, 0, 0, 5, 0x80, 0, 0, 3, 0))
}

// "If a PRIORITY frame is received with a stream identifier of 0x00, the
// recipient MUST respond with a connection error (Section 5.4.1) of type
// PROTOCOL_ERROR."
// "A PRIORITY frame with a length other than 5 octets MUST be treated as a
// stream error (Section 5.4.2) of type FRAME_SIZE_ERROR."
// https://www.rfc-editor.org/rfc/rfc9113#section-6.3
func TestPriorityHeader(t *testing.T) {
	faultyHeader(t, Header{Length: 5, Type: TypePriority}, CodeProtocol, 0)
	faultyHeader(t, Header{Length: 4, Type: TypePriority}, CodeProtocol, 0)
	for _, n := range []uint32{0, 4, 6, DefaultMaxSize} {
		faultyHeader(t, Header{Length: n, Type: TypePriority, StreamID: 3}, CodeFrameSize, 3)
	}
	soundHeader(t, Header{Length: 5, Type: TypePriority, StreamID: 3})
}

// What is wrong for its stream alone is left out whole, and told once.
func TestReadingGoesOnAfterAStreamError(t *testing.T) {
	for _, length := range []int{0, 1, 4, 6, 50} {
		b := append(raw(TypePriority, 0, 3, make([]byte, length)...), AppendPing(nil, false, [8]byte{1})...)
		for n := 1; n <= len(b); n++ {
			frames, err := read(t, b, n)
			if err != nil || len(frames) != 2 || frames[0].Type != refused || frames[1].Type != TypePing {
				t.Fatalf("%d octets in pieces of %d: %+v, %v", length, n, frames, err)
			}
		}
	}
}

package frame

import "testing"

func TestWindowUpdate(t *testing.T) {
	for _, id := range []uint32{0, 1, 1<<31 - 1} {
		for _, inc := range []uint32{1, 65535, 1<<31 - 1} {
			b := AppendWindowUpdate(nil, id, inc)
			parsed(t, b, Frame{Header: Header{Type: TypeWindowUpdate, StreamID: id}, Increment: inc})
			b[HeaderLen] |= 0x80 // the reserved bit
			parsed(t, b, Frame{Header: Header{Type: TypeWindowUpdate, StreamID: id}, Increment: inc})
		}
	}
	appended(t, func(b []byte) []byte { return AppendWindowUpdate(b, 5, 65535) }, wire(0, 0, 4, 8, 0, 0, 0, 0, 5, 0, 0, 0xff, 0xff))
}

// "A WINDOW_UPDATE frame with a length other than 4 octets MUST be treated as a
// connection error (Section 5.4.1) of type FRAME_SIZE_ERROR."
// https://www.rfc-editor.org/rfc/rfc9113#section-6.9
func TestWindowUpdateHeader(t *testing.T) {
	for _, id := range []uint32{0, 1} {
		for _, n := range []uint32{0, 3, 5, DefaultMaxSize} {
			faultyHeader(t, Header{Length: n, Type: TypeWindowUpdate, StreamID: id}, CodeFrameSize, 0)
		}
		soundHeader(t, Header{Length: 4, Type: TypeWindowUpdate, StreamID: id})
	}
}

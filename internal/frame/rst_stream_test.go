package frame

import "testing"

func TestRSTStream(t *testing.T) {
	parsed(t, wire(0, 0, 4, 0x3, 0, 0, 0, 0, 5, 0, 0, 0, 8), Frame{Header: Header{Type: TypeRSTStream, StreamID: 5}, Code: CodeCancel})
	parsed(t, wire(0, 0, 4, 0x3, 0, 0, 0, 0, 5, 0xff, 0, 0, 1), Frame{Header: Header{Type: TypeRSTStream, StreamID: 5}, Code: 0xff000001})
	appended(t, func(b []byte) []byte { return AppendRSTStream(b, 5, CodeRefusedStream) }, wire(0, 0, 4, 3, 0, 0, 0, 0, 5, 0, 0, 0, 7))
}

// "If a RST_STREAM frame is received with a stream identifier of 0x00, the
// recipient MUST treat this as a connection error (Section 5.4.1) of type
// PROTOCOL_ERROR."
// "A RST_STREAM frame with a length other than 4 octets MUST be treated as a
// connection error (Section 5.4.1) of type FRAME_SIZE_ERROR."
// https://www.rfc-editor.org/rfc/rfc9113#section-6.4
func TestRSTStreamHeader(t *testing.T) {
	faultyHeader(t, Header{Length: 4, Type: TypeRSTStream}, CodeProtocol, 0)
	for _, n := range []uint32{0, 3, 5, DefaultMaxSize} {
		faultyHeader(t, Header{Length: n, Type: TypeRSTStream, StreamID: 1}, CodeFrameSize, 0)
	}
	soundHeader(t, Header{Length: 4, Type: TypeRSTStream, StreamID: 1})
}

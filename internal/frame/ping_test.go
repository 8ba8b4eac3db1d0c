package frame

import "testing"

func TestPing(t *testing.T) {
	data := [8]byte{1, 2, 3, 4, 5, 6, 7, 8}
	for _, ack := range []bool{false, true} {
		fl := Flags(0)
		if ack {
			fl = FlagAck
		}
		octets := wire(0, 0, 8, 0x6, int(fl), 0, 0, 0, 0, data[:])
		parsed(t, octets, Frame{Header: Header{Type: TypePing, Flags: fl}, PingData: data})
		appended(t, func(b []byte) []byte { return AppendPing(b, ack, data) }, octets)
	}
	// ACK has the bit of END_STREAM, and ends nothing.
	if f := whole(t, AppendPing(nil, true, data)); f.EndStream() {
		t.Errorf("%+v ends a stream", f)
	}
}

// "If a PING frame is received with a Stream Identifier field value other than
// 0x00, the recipient MUST respond with a connection error (Section 5.4.1) of
// type PROTOCOL_ERROR."
// "Receipt of a PING frame with a length field value other than 8 MUST be
// treated as a connection error (Section 5.4.1) of type FRAME_SIZE_ERROR."
// https://www.rfc-editor.org/rfc/rfc9113#section-6.7
func TestPingHeader(t *testing.T) {
	faultyHeader(t, Header{Length: 8, Type: TypePing, StreamID: 1}, CodeProtocol, 0)
	for _, n := range []uint32{0, 7, 9, DefaultMaxSize} {
		faultyHeader(t, Header{Length: n, Type: TypePing}, CodeFrameSize, 0)
	}
	soundHeader(t, Header{Length: 8, Type: TypePing, Flags: FlagAck})
}

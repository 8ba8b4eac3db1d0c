package frame

import "testing"

func TestPushPromise(t *testing.T) {
	h := Header{Type: TypePushPromise, Flags: FlagEndHeaders, StreamID: 1}
	parsed(t, wire(0, 0, 9, 0x5, 0x4, 0, 0, 0, 1, 0x80, 0, 0, 2, "block"), Frame{Header: h, PromisedID: 2, Payload: []byte("block")})
	parsed(t, wire(0, 0, 4, 0x5, 0x4, 0, 0, 0, 1, 0, 0, 0, 2), Frame{Header: h, PromisedID: 2})
	h.Flags |= FlagPadded
	parsed(t, wire(0, 0, 12, 0x5, 0xc, 0, 0, 0, 1, 2, 0, 0, 0, 2, "block", 0, 0), Frame{Header: h, PromisedID: 2, Payload: []byte("block")})
	appended(t, func(b []byte) []byte { return AppendPushPromise(b, 1, 2, []byte("block"), true) }, wire(0, 0, 9, 5, 4, 0, 0, 0, 1, 0, 0, 0, 2, "block"))
	appended(t, func(b []byte) []byte { return AppendPushPromise(b, 1, 2, nil, false) }, wire(0, 0, 4, 5, 0, 0, 0, 0, 1, 0, 0, 0, 2))
}

// "If the Stream Identifier field specifies the value 0x00, a recipient MUST
// respond with a connection error (Section 5.4.1) of type PROTOCOL_ERROR."
// https://www.rfc-editor.org/rfc/rfc9113#section-6.6
func TestPushPromiseHeader(t *testing.T) {
	faultyHeader(t, Header{Length: 10, Type: TypePushPromise}, CodeProtocol, 0)
	faultyHeader(t, Header{Length: 3, Type: TypePushPromise, StreamID: 1}, CodeFrameSize, 0)
	faultyHeader(t, Header{Length: 4, Type: TypePushPromise, Flags: FlagPadded, StreamID: 1}, CodeFrameSize, 0)
	soundHeader(t, Header{Length: 5, Type: TypePushPromise, Flags: FlagPadded, StreamID: 1})
}

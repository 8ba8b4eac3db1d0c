package frame

import (
	"strings"
	"testing"
)

func TestGoAway(t *testing.T) {
	want := Frame{Header: Header{Type: TypeGoAway}, LastStreamID: 1<<31 - 1, Code: CodeEnhanceYourCalm, Payload: []byte("why")}
	octets := wire(0, 0, 11, 0x7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 11, "why")
	parsed(t, octets, want)
	appended(t, func(b []byte) []byte { return AppendGoAway(b, 1<<31-1, CodeEnhanceYourCalm, "why") }, octets)
	octets[HeaderLen] |= 0x80 // the reserved bit
	parsed(t, octets, want)
	parsed(t, AppendGoAway(nil, 0, CodeNoError, ""), Frame{Header: Header{Type: TypeGoAway}})
}

func TestGoAwayFitsEveryPeer(t *testing.T) {
	f := whole(t, AppendGoAway(nil, 1, CodeInternal, strings.Repeat("w", 2*DefaultMaxSize)))
	if f.Length != DefaultMaxSize || len(f.Payload) != DefaultMaxSize-8 {
		t.Errorf("%d octets with %d of debug data", f.Length, len(f.Payload))
	}
}

// "An endpoint MUST treat a GOAWAY frame with a stream identifier other than
// 0x00 as a connection error (Section 5.4.1) of type PROTOCOL_ERROR."
// https://www.rfc-editor.org/rfc/rfc9113#section-6.8
func TestGoAwayHeader(t *testing.T) {
	faultyHeader(t, Header{Length: 8, Type: TypeGoAway, StreamID: 1}, CodeProtocol, 0)
	faultyHeader(t, Header{Length: 0, Type: TypeGoAway}, CodeFrameSize, 0)
	faultyHeader(t, Header{Length: 7, Type: TypeGoAway}, CodeFrameSize, 0)
	soundHeader(t, Header{Length: DefaultMaxSize, Type: TypeGoAway})
}

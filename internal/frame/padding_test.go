package frame

import "testing"

// "If the length of the padding is the length of the frame payload or greater,
// the recipient MUST treat this as a connection error (Section 5.4.1) of type
// PROTOCOL_ERROR."
// https://www.rfc-editor.org/rfc/rfc9113#section-6.2
// https://www.rfc-editor.org/rfc/rfc9113#section-6.6
//
// Nor may it cover the other fields of the frame.
func TestPaddingOfHeaderBlocks(t *testing.T) {
	for _, tt := range []struct {
		name   string
		t      Type
		fl     Flags
		others int // octets of mandatory fields behind Pad Length
	}{
		{"HEADERS", TypeHeaders, FlagEndHeaders, 0},
		{"HEADERS with priority", TypeHeaders, FlagEndHeaders | FlagPriority, priorityLen},
		{"PUSH_PROMISE", TypePushPromise, FlagEndHeaders, promisedLen},
	} {
		t.Run(tt.name, func(t *testing.T) {
			const fragment = 3
			for pad := range 20 {
				payload := append([]byte{byte(pad)}, make([]byte, tt.others+fragment)...)
				frames, err := read(t, raw(tt.t, tt.fl|FlagPadded, 1, payload...), 4)
				switch {
				case pad > fragment && (err == nil || err.Code != CodeProtocol || err.StreamID != 0 || err.Reason == ""):
					t.Errorf("padding of %d: %+v, %v, want PROTOCOL_ERROR", pad, frames, err)
				case pad <= fragment && (err != nil || len(frames) != 1 || len(frames[0].Payload) != fragment-pad):
					t.Errorf("padding of %d: %+v, %v, want a fragment of %d", pad, frames, err, fragment-pad)
				}
			}
		})
	}
}

func TestOtherTypesAreNotPadded(t *testing.T) {
	// "Unused flags MUST be ignored on receipt" (RFC 9113, section 4.1)
	parsed(t, wire(0, 0, 8, 0x6, 0xfe, 0, 0, 0, 0, "\x07atadata"),
		Frame{Header: Header{Type: TypePing, Flags: 0xfe}, PingData: [8]byte([]byte("\x07atadata"))})
	frames, err := read(t, append(raw(TypeHeaders, 0, 1), raw(TypeContinuation, FlagPadded|FlagEndHeaders, 1, 200, 'x')...), 3)
	if err != nil || len(frames) != 2 || string(frames[1].Payload) != "\xc8x" {
		t.Errorf("%+v, %v", frames, err)
	}
}

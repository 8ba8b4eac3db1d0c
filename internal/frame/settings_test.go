package frame

import (
	"slices"
	"testing"
)

func TestSettings(t *testing.T) {
	entries := wire(0, 3, 0, 0, 0, 100, 0, 4, 0, 1, 0, 0, 0, 3, 0, 0, 0, 50, 0xab, 0xcd, 0xff, 0xff, 0xff, 0xff)
	f := whole(t, wire(0, 0, len(entries), 0x4, 0, 0, 0, 0, 0, entries))
	// Order and repetitions are kept, unknown settings are there to be ignored.
	want := []Setting{{SettingMaxConcurrentStreams, 100}, {SettingInitialWindowSize, 65536}, {SettingMaxConcurrentStreams, 50}, {0xabcd, 1<<32 - 1}}
	if got := slices.Collect(Settings(f.Payload)); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for s := range Settings(f.Payload) {
		if s != want[0] {
			t.Errorf("%v after the break", s)
		}
		break
	}
	if got := slices.Collect(Settings(nil)); len(got) != 0 {
		t.Errorf("%v in no payload", got)
	}
	appended(t, func(b []byte) []byte { return AppendSettings(b, want...) }, wire(0, 0, len(entries), 4, 0, 0, 0, 0, 0, entries))
	appended(t, func(b []byte) []byte { return AppendSettings(b) }, wire(0, 0, 0, 4, 0, 0, 0, 0, 0))
	appended(t, AppendSettingsAck, wire(0, 0, 0, 4, 1, 0, 0, 0, 0))
	parsed(t, AppendSettingsAck(nil), Frame{Header: Header{Type: TypeSettings, Flags: FlagAck}})
}

// "Receipt of a SETTINGS frame with the ACK flag set and a length field value
// other than 0 MUST be treated as a connection error (Section 5.4.1) of type
// FRAME_SIZE_ERROR."
// "If an endpoint receives a SETTINGS frame whose Stream Identifier field is
// anything other than 0x00, the endpoint MUST respond with a connection error
// (Section 5.4.1) of type PROTOCOL_ERROR."
// "A SETTINGS frame with a length other than a multiple of 6 octets MUST be
// treated as a connection error (Section 5.4.1) of type FRAME_SIZE_ERROR."
// https://www.rfc-editor.org/rfc/rfc9113#section-6.5
func TestSettingsHeader(t *testing.T) {
	faultyHeader(t, Header{Length: 6, Type: TypeSettings, Flags: FlagAck}, CodeFrameSize, 0)
	faultyHeader(t, Header{Length: 6, Type: TypeSettings, StreamID: 1}, CodeProtocol, 0)
	faultyHeader(t, Header{Type: TypeSettings, Flags: FlagAck, StreamID: 1}, CodeProtocol, 0)
	for _, n := range []uint32{1, 5, 7, DefaultMaxSize} {
		faultyHeader(t, Header{Length: n, Type: TypeSettings}, CodeFrameSize, 0)
	}
	soundHeader(t, Header{Length: 6 * 2730, Type: TypeSettings})
	soundHeader(t, Header{Type: TypeSettings, Flags: FlagAck})
}

func TestSettingsDoNotAllocate(t *testing.T) {
	payload := AppendSettings(nil, Setting{SettingEnablePush, 0}, Setting{SettingMaxFrameSize, DefaultMaxSize})[HeaderLen:]
	dst := make([]byte, 0, 100)
	if n := testing.AllocsPerRun(100, func() {
		for s := range Settings(payload) {
			if s.Check() != nil {
				t.Fatal(s)
			}
		}
		dst = AppendSettings(dst[:0], Setting{SettingEnablePush, 0}, Setting{SettingInitialWindowSize, 1 << 20})
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

package frame

import "testing"

func TestHeaderRoundTrip(t *testing.T) {
	for _, h := range []Header{
		{},
		{Length: MaxMaxSize, Type: 0xff, Flags: 0xff, StreamID: streamMask},
		{Length: 1, Type: TypePing, Flags: FlagAck},
		{Length: 16384, Type: TypeData, Flags: FlagEndStream, StreamID: 77},
	} {
		var b [HeaderLen]byte
		PutHeader(b[:], int(h.Length), h.Type, h.Flags, h.StreamID)
		if got := ParseHeader(b[:]); got != h {
			t.Errorf("got %+v, want %+v", got, h)
		}
		b[5] |= 0x80 // "A reserved 1-bit field. [...] MUST be ignored when receiving."
		if got := ParseHeader(b[:]); got != h {
			t.Errorf("with the reserved bit: got %+v, want %+v", got, h)
		}
	}
}

func TestNames(t *testing.T) {
	for got, want := range map[string]string{
		TypeWindowUpdate.String():            "WINDOW_UPDATE",
		Type(0x99).String():                  "frame type 0x99",
		CodeEnhanceYourCalm.String():         "ENHANCE_YOUR_CALM",
		ErrCode(0xdead).String():             "ErrCode(0xdead)",
		SettingMaxHeaderListSize.String():    "MAX_HEADER_LIST_SIZE",
		SettingID(99).String():               "setting 0x63",
		(&Error{CodeCancel, 3, "x"}).Error(): "CANCEL on stream 3: x",
		(&Error{CodeCancel, 0, "x"}).Error(): "CANCEL: x",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestSettingCheck(t *testing.T) {
	for _, tt := range []struct {
		s    Setting
		code ErrCode
	}{
		{Setting{SettingEnablePush, 1}, CodeNoError},
		{Setting{SettingEnablePush, 2}, CodeProtocol},
		{Setting{SettingInitialWindowSize, 1<<31 - 1}, CodeNoError},
		{Setting{SettingInitialWindowSize, 1 << 31}, CodeFlowControl},
		{Setting{SettingMaxFrameSize, DefaultMaxSize - 1}, CodeProtocol},
		{Setting{SettingMaxFrameSize, DefaultMaxSize}, CodeNoError},
		{Setting{SettingMaxFrameSize, MaxMaxSize}, CodeNoError},
		{Setting{SettingMaxFrameSize, MaxMaxSize + 1}, CodeProtocol},
		{Setting{SettingMaxConcurrentStreams, 0}, CodeNoError},
		{Setting{SettingID(0x4242), 1<<32 - 1}, CodeNoError},
	} {
		// https://www.rfc-editor.org/rfc/rfc9113#section-6.5.2
		switch err := tt.s.Check(); {
		case err == nil && tt.code != CodeNoError, err != nil && err.Code != tt.code:
			t.Errorf("%v = %d: %v, want %v", tt.s.ID, tt.s.Value, err, tt.code)
		}
	}
}

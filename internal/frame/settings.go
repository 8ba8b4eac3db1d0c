package frame

import (
	"encoding/binary"
	"fmt"
	"iter"
)

// A SettingID names a value of a SETTINGS frame.
type SettingID uint16

// The settings of RFC 9113. https://www.rfc-editor.org/rfc/rfc9113#section-6.5.2
const (
	SettingHeaderTableSize SettingID = iota + 1
	SettingEnablePush
	SettingMaxConcurrentStreams
	SettingInitialWindowSize
	SettingMaxFrameSize
	SettingMaxHeaderListSize
)

var settingNames = [...]string{
	SettingHeaderTableSize: "HEADER_TABLE_SIZE", SettingEnablePush: "ENABLE_PUSH",
	SettingMaxConcurrentStreams: "MAX_CONCURRENT_STREAMS", SettingInitialWindowSize: "INITIAL_WINDOW_SIZE",
	SettingMaxFrameSize: "MAX_FRAME_SIZE", SettingMaxHeaderListSize: "MAX_HEADER_LIST_SIZE",
}

// String gives the RFC's name.
func (id SettingID) String() string {
	if int(id) < len(settingNames) && id != 0 {
		return settingNames[id]
	}
	return fmt.Sprintf("setting 0x%x", uint16(id))
}

// A Setting is one value of a SETTINGS frame.
type Setting struct {
	ID    SettingID
	Value uint32
}

// Check says what is wrong with the value, as an error of the connection, or
// nil. Settings that are not known are fine.
func (s Setting) Check() *Error {
	switch {
	case s.ID == SettingEnablePush && s.Value > 1:
		// "Any value other than 0 or 1 MUST be treated as a connection error
		// (Section 5.4.1) of type PROTOCOL_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9113#section-6.5.2
		return connError(CodeProtocol, "SETTINGS with %v of %d, it is 0 or 1", s.ID, s.Value)
	case s.ID == SettingInitialWindowSize && s.Value > 1<<31-1:
		// "Values above the maximum flow-control window size of 2^31-1 MUST be
		// treated as a connection error (Section 5.4.1) of type
		// FLOW_CONTROL_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9113#section-6.5.2
		return connError(CodeFlowControl, "SETTINGS with %v of %d, it is at most 2^31-1", s.ID, s.Value)
	case s.ID == SettingMaxFrameSize && !ValidMaxSize(s.Value):
		// "Values outside this range MUST be treated as a connection error
		// (Section 5.4.1) of type PROTOCOL_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9113#section-6.5.2
		return connError(CodeProtocol, "SETTINGS with %v of %d, it is from %d to %d", s.ID, s.Value, DefaultMaxSize, MaxMaxSize)
	}
	return nil
}

const settingLen = 6

// Settings yields the values of a SETTINGS payload, in their order.
func Settings(payload []byte) iter.Seq[Setting] {
	return func(yield func(Setting) bool) {
		for ; len(payload) >= settingLen; payload = payload[settingLen:] {
			s := Setting{SettingID(binary.BigEndian.Uint16(payload)), binary.BigEndian.Uint32(payload[2:])}
			if !yield(s) {
				return
			}
		}
	}
}

// checkSettings refuses a SETTINGS frame by its header.
//
// "Receipt of a SETTINGS frame with the ACK flag set and a length field value
// other than 0 MUST be treated as a connection error (Section 5.4.1) of type
// FRAME_SIZE_ERROR."
// "If an endpoint receives a SETTINGS frame whose Stream Identifier field is
// anything other than 0x00, the endpoint MUST respond with a connection error
// (Section 5.4.1) of type PROTOCOL_ERROR."
// "A SETTINGS frame with a length other than a multiple of 6 octets MUST be
// treated as a connection error (Section 5.4.1) of type FRAME_SIZE_ERROR."
// https://www.rfc-editor.org/rfc/rfc9113#section-6.5
func checkSettings(h Header) *Error {
	switch {
	case h.Flags.Has(FlagAck) && h.Length != 0:
		return wrongLength(h, "none with the ACK flag")
	case h.Length%settingLen != 0 && h.StreamID == 0:
		return wrongLength(h, "a multiple of 6")
	}
	return onConnection(h)
}

// AppendSettings appends a SETTINGS frame.
func AppendSettings(dst []byte, settings ...Setting) []byte {
	dst = appendHeader(dst, settingLen*len(settings), TypeSettings, 0, 0)
	for _, s := range settings {
		dst = binary.BigEndian.AppendUint16(dst, uint16(s.ID))
		dst = binary.BigEndian.AppendUint32(dst, s.Value)
	}
	return dst
}

// AppendSettingsAck appends the acknowledgement of a SETTINGS frame.
func AppendSettingsAck(dst []byte) []byte { return appendHeader(dst, 0, TypeSettings, FlagAck, 0) }

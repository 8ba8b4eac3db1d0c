package frame

import "encoding/binary"

// "A PRIORITY frame with a length other than 5 octets MUST be treated as a
// stream error (Section 5.4.2) of type FRAME_SIZE_ERROR."
// https://www.rfc-editor.org/rfc/rfc9113#section-6.3
func (f *Frame) parsePriority() *Error {
	if f.Length != priorityLen {
		return &Error{Code: CodeFrameSize, StreamID: f.StreamID, Reason: f.length(priorityLen).Reason}
	}
	f.HasPriority = true
	f.Dependency = binary.BigEndian.Uint32(f.Payload) & streamMask
	return nil
}

// AppendPriority appends a PRIORITY frame. HTTP/2 gives it no meaning any more.
func AppendPriority(dst []byte, id, dependency uint32, exclusive bool, weight uint8) []byte {
	if id == 0 || dependency > streamMask {
		panic("BUG: PRIORITY on stream 0, or on one that cannot be")
	}
	if exclusive {
		dependency |= 1 << 31
	}
	dst = appendHeader(dst, priorityLen, TypePriority, 0, id)
	return append(binary.BigEndian.AppendUint32(dst, dependency), weight)
}

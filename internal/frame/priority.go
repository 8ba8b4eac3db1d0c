package frame

import "encoding/binary"

// checkPriority refuses a PRIORITY frame by its header.
//
// "If a PRIORITY frame is received with a stream identifier of 0x00, the
// recipient MUST respond with a connection error (Section 5.4.1) of type
// PROTOCOL_ERROR."
// "A PRIORITY frame with a length other than 5 octets MUST be treated as a
// stream error (Section 5.4.2) of type FRAME_SIZE_ERROR."
// https://www.rfc-editor.org/rfc/rfc9113#section-6.3
func checkPriority(h Header) *Error {
	if h.Length != priorityLen && h.StreamID != 0 {
		err := wrongLength(h, "5")
		err.StreamID = h.StreamID
		return err
	}
	return onStream(h)
}

// parsePriority reads the priority fields, which stand first in the payload.
// Exclusive and Weight have no meaning any more.
func (f *Frame) parsePriority() {
	f.HasPriority = true
	f.Dependency = binary.BigEndian.Uint32(f.Payload) & streamMask
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

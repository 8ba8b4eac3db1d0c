package frame

import "encoding/binary"

const windowUpdateLen = 4

// checkWindowUpdate refuses a WINDOW_UPDATE frame by its header.
//
// "A WINDOW_UPDATE frame with a length other than 4 octets MUST be treated as a
// connection error (Section 5.4.1) of type FRAME_SIZE_ERROR."
// https://www.rfc-editor.org/rfc/rfc9113#section-6.9
func checkWindowUpdate(h Header) *Error {
	if h.Length != windowUpdateLen {
		return wrongLength(h, "4")
	}
	return nil
}

// "A receiver MUST treat the receipt of a WINDOW_UPDATE frame with a
// flow-control window increment of 0 as a stream error (Section 5.4.2) of type
// PROTOCOL_ERROR; errors on the connection flow-control window MUST be treated
// as a connection error (Section 5.4.1)."
// https://www.rfc-editor.org/rfc/rfc9113#section-6.9
func (f *Frame) parseWindowUpdate() *Error {
	f.Increment = binary.BigEndian.Uint32(f.Payload) & streamMask
	f.Payload = nil
	if f.Increment == 0 {
		return &Error{Code: CodeProtocol, StreamID: f.StreamID, Reason: "WINDOW_UPDATE with an increment of 0, it is 1 at least"}
	}
	return nil
}

// AppendWindowUpdate appends a WINDOW_UPDATE frame: increment octets of credit,
// 1 to 2^31-1, for the stream or, if id is 0, for the connection.
func AppendWindowUpdate(dst []byte, id, increment uint32) []byte {
	if increment == 0 || increment > streamMask {
		panic("BUG: WINDOW_UPDATE with an increment that cannot be")
	}
	return binary.BigEndian.AppendUint32(appendHeader(dst, windowUpdateLen, TypeWindowUpdate, 0, id), increment)
}

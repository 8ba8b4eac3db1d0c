package frame

import "encoding/binary"

func (f *Frame) parseWindowUpdate() *Error {
	if err := f.length(4); err != nil {
		// "A WINDOW_UPDATE frame with a length other than 4 octets MUST be treated
		// as a connection error (Section 5.4.1) of type FRAME_SIZE_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9113#section-6.9
		return err
	}
	f.Increment = binary.BigEndian.Uint32(f.Payload) & streamMask
	if f.Increment == 0 {
		// "A receiver MUST treat the receipt of a WINDOW_UPDATE frame with a
		// flow-control window increment of 0 as a stream error (Section 5.4.2) of
		// type PROTOCOL_ERROR; errors on the connection flow-control window MUST be
		// treated as a connection error (Section 5.4.1)."
		// https://www.rfc-editor.org/rfc/rfc9113#section-6.9
		return &Error{Code: CodeProtocol, StreamID: f.StreamID, Reason: "WINDOW_UPDATE with an increment of 0"}
	}
	return nil
}

// AppendWindowUpdate appends a WINDOW_UPDATE frame.
func AppendWindowUpdate(dst []byte, id, increment uint32) []byte {
	if increment == 0 || increment > streamMask {
		panic("BUG: WINDOW_UPDATE with an increment that cannot be")
	}
	return binary.BigEndian.AppendUint32(appendHeader(dst, 4, TypeWindowUpdate, 0, id), increment)
}

package frame

import "encoding/binary"

const rstStreamLen = 4

// checkRSTStream refuses a RST_STREAM frame by its header.
//
// "If a RST_STREAM frame is received with a stream identifier of 0x00, the
// recipient MUST treat this as a connection error (Section 5.4.1) of type
// PROTOCOL_ERROR."
// "A RST_STREAM frame with a length other than 4 octets MUST be treated as a
// connection error (Section 5.4.1) of type FRAME_SIZE_ERROR."
// https://www.rfc-editor.org/rfc/rfc9113#section-6.4
func checkRSTStream(h Header) *Error {
	if h.Length != rstStreamLen {
		return wrongLength(h, "4")
	}
	return onStream(h)
}

func (f *Frame) parseRSTStream() {
	f.Code, f.Payload = ErrCode(binary.BigEndian.Uint32(f.Payload)), nil
}

// AppendRSTStream appends a RST_STREAM frame.
func AppendRSTStream(dst []byte, id uint32, code ErrCode) []byte {
	if id == 0 {
		panic("BUG: RST_STREAM on stream 0")
	}
	return binary.BigEndian.AppendUint32(appendHeader(dst, rstStreamLen, TypeRSTStream, 0, id), uint32(code))
}

package frame

import "encoding/binary"

// "A RST_STREAM frame with a length other than 4 octets MUST be treated as a
// connection error (Section 5.4.1) of type FRAME_SIZE_ERROR."
// https://www.rfc-editor.org/rfc/rfc9113#section-6.4
func (f *Frame) parseRSTStream() *Error {
	if err := f.length(4); err != nil {
		return err
	}
	f.Code = ErrCode(binary.BigEndian.Uint32(f.Payload))
	return nil
}

// AppendRSTStream appends a RST_STREAM frame.
func AppendRSTStream(dst []byte, id uint32, code ErrCode) []byte {
	if id == 0 {
		panic("BUG: RST_STREAM on stream 0")
	}
	return binary.BigEndian.AppendUint32(appendHeader(dst, 4, TypeRSTStream, 0, id), uint32(code))
}

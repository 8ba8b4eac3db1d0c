package frame

import "encoding/binary"

func (f *Frame) parseGoAway() *Error {
	if f.Length < 8 {
		return connError(CodeFrameSize, "GOAWAY of %d octets, it has 8 at least", f.Length)
	}
	f.LastStreamID = binary.BigEndian.Uint32(f.Payload) & streamMask
	f.Code = ErrCode(binary.BigEndian.Uint32(f.Payload[4:]))
	f.Payload = f.Payload[8:]
	return nil
}

// AppendGoAway appends a GOAWAY frame.
func AppendGoAway(dst []byte, last uint32, code ErrCode, debug string) []byte {
	if last > streamMask {
		panic("BUG: GOAWAY with a stream that cannot be")
	}
	dst = appendHeader(dst, 8+len(debug), TypeGoAway, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, last)
	dst = binary.BigEndian.AppendUint32(dst, uint32(code))
	return append(dst, debug...)
}

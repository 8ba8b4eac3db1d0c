package frame

import "encoding/binary"

// goAwayLen is the length of a GOAWAY frame without debug data, in octets.
const goAwayLen = 8

// checkGoAway refuses a GOAWAY frame by its header.
//
// "An endpoint MUST treat a GOAWAY frame with a stream identifier other than
// 0x00 as a connection error (Section 5.4.1) of type PROTOCOL_ERROR."
// https://www.rfc-editor.org/rfc/rfc9113#section-6.8
func checkGoAway(h Header) *Error {
	if h.Length < goAwayLen && h.StreamID == 0 {
		return wrongLength(h, "8 at least")
	}
	return onConnection(h)
}

func (f *Frame) parseGoAway() {
	f.LastStreamID = binary.BigEndian.Uint32(f.Payload) & streamMask
	f.Code = ErrCode(binary.BigEndian.Uint32(f.Payload[4:]))
	f.Payload = f.Payload[goAwayLen:]
}

// AppendGoAway appends a GOAWAY frame. What of debug does not fit into
// DefaultMaxSize, which every peer accepts, is cut off.
func AppendGoAway(dst []byte, last uint32, code ErrCode, debug string) []byte {
	if last > streamMask {
		panic("BUG: GOAWAY with a stream that cannot be")
	}
	debug = debug[:min(len(debug), DefaultMaxSize-goAwayLen)]
	dst = appendHeader(dst, goAwayLen+len(debug), TypeGoAway, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, last)
	dst = binary.BigEndian.AppendUint32(dst, uint32(code))
	return append(dst, debug...)
}

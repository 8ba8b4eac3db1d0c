package frame

const pingLen = 8

// checkPing refuses a PING frame by its header.
//
// "If a PING frame is received with a Stream Identifier field value other than
// 0x00, the recipient MUST respond with a connection error (Section 5.4.1) of
// type PROTOCOL_ERROR."
// "Receipt of a PING frame with a length field value other than 8 MUST be
// treated as a connection error (Section 5.4.1) of type FRAME_SIZE_ERROR."
// https://www.rfc-editor.org/rfc/rfc9113#section-6.7
func checkPing(h Header) *Error {
	if h.Length != pingLen {
		return wrongLength(h, "8")
	}
	return onConnection(h)
}

func (f *Frame) parsePing() {
	f.PingData, f.Payload = [pingLen]byte(f.Payload), nil
}

// AppendPing appends a PING frame, or the answer to one.
func AppendPing(dst []byte, ack bool, data [8]byte) []byte {
	var fl Flags
	if ack {
		fl = FlagAck
	}
	return append(appendHeader(dst, len(data), TypePing, fl, 0), data[:]...)
}

package frame

// "Receipt of a PING frame with a length field value other than 8 MUST be
// treated as a connection error (Section 5.4.1) of type FRAME_SIZE_ERROR."
// https://www.rfc-editor.org/rfc/rfc9113#section-6.7
func (f *Frame) parsePing() *Error {
	if err := f.length(8); err != nil {
		return err
	}
	copy(f.PingData[:], f.Payload)
	return nil
}

// AppendPing appends a PING frame.
func AppendPing(dst []byte, ack bool, data [8]byte) []byte {
	var fl Flags
	if ack {
		fl = FlagAck
	}
	return append(appendHeader(dst, len(data), TypePing, fl, 0), data[:]...)
}

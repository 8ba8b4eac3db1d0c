package frame

// checkData refuses a DATA frame by its header.
//
// "If a DATA frame is received whose Stream Identifier field is 0x00, the
// recipient MUST respond with a connection error (Section 5.4.1) of type
// PROTOCOL_ERROR."
// https://www.rfc-editor.org/rfc/rfc9113#section-6.1
func checkData(h Header) *Error {
	if h.StreamID != 0 && h.Length == 0 && h.Flags.Has(FlagPadded) {
		return wrongLength(h, "1 at least with the PADDED flag")
	}
	return onStream(h)
}

// beginData begins a DATA frame, whose fragments are handed out as they come.
func (r *Reader) beginData(h Header) {
	r.data, r.inData, r.begun = h, true, false
	r.left, r.pad = int(h.Length), 0
	r.padLen = h.Flags.Has(FlagPadded)
}

// fragment hands out what has come of a DATA frame. It reports false if that
// is nothing, or if the padding is too long, which is then the error.
func (r *Reader) fragment(f *Frame) bool {
	flow := 0
	if r.padLen {
		if r.r == r.w {
			return false
		}
		// "If the length of the padding is the length of the frame payload or
		// greater, the recipient MUST treat this as a connection error (Section
		// 5.4.1) of type PROTOCOL_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9113#section-6.1
		pad := int(r.buf[r.r])
		if pad >= int(r.data.Length) {
			*f = Frame{Header: r.data}
			r.err = tooMuchPadding(r.data, pad)
			return false
		}
		r.r++
		flow++
		r.padLen = false
		r.left, r.pad = int(r.data.Length)-1-pad, pad
	}
	n := min(r.left, r.w-r.r)
	p := r.buf[r.r : r.r+n : r.r+n]
	r.r += n
	r.left -= n
	flow += n
	if r.left == 0 {
		n := min(r.pad, r.w-r.r)
		r.r += n
		r.pad -= n
		flow += n
	}
	last := r.left == 0 && r.pad == 0
	if flow == 0 && !last {
		return false
	}
	*f = Frame{} // as in Next
	f.Header, f.Payload, f.FlowLen, f.First, f.Last = r.data, p, flow, !r.begun, last
	r.begun = true
	r.inData = !last
	return true
}

// AppendData appends a DATA frame with pad octets of padding, at most 255, or,
// if pad is negative, one that is not padded. The peer's
// SETTINGS_MAX_FRAME_SIZE and windows are the caller's to heed.
func AppendData(dst []byte, id uint32, data []byte, end bool, pad int) []byte {
	var fl Flags
	if end {
		fl |= FlagEndStream
	}
	if id == 0 || pad > len(padding) {
		panic("BUG: DATA on stream 0, or with too much padding")
	}
	if pad < 0 {
		return append(appendHeader(dst, len(data), TypeData, fl, id), data...)
	}
	dst = appendHeader(dst, 1+len(data)+pad, TypeData, fl|FlagPadded, id)
	dst = append(append(dst, byte(pad)), data...)
	return append(dst, padding[:pad]...)
}

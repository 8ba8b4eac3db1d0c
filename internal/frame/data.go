package frame

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
		pad := int(r.buf[r.r])
		if pad >= int(r.data.Length) {
			r.err = tooMuchPadding(TypeData, pad, int(r.data.Length))
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
	*f = Frame{Header: r.data, Payload: p, FlowLen: flow, First: !r.begun, Last: last}
	r.begun = true
	r.inData = !last
	return true
}

// AppendData appends a DATA frame with pad octets of padding, or, if pad is
// negative, one that is not padded.
func AppendData(dst []byte, id uint32, data []byte, end bool, pad int) []byte {
	var fl Flags
	if end {
		fl |= FlagEndStream
	}
	return appendPadded(dst, TypeData, fl, id, nil, data, pad)
}

// appendPadded appends a frame that may be padded. lead goes before body.
func appendPadded(dst []byte, t Type, fl Flags, id uint32, lead, body []byte, pad int) []byte {
	if id == 0 || pad > 255 {
		panic("BUG: a stream 0, or too much padding")
	}
	n := len(lead) + len(body)
	if pad < 0 {
		dst = appendHeader(dst, n, t, fl, id)
		return append(append(dst, lead...), body...)
	}
	dst = appendHeader(dst, 1+n+pad, t, fl|FlagPadded, id)
	dst = append(dst, byte(pad))
	dst = append(append(dst, lead...), body...)
	return append(dst, make([]byte, pad)...)
}

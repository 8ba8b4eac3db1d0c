package frame

// AppendContinuation appends a CONTINUATION frame.
func AppendContinuation(dst []byte, id uint32, fragment []byte, endHeaders bool) []byte {
	if id == 0 {
		panic("BUG: CONTINUATION on stream 0")
	}
	var fl Flags
	if endHeaders {
		fl = FlagEndHeaders
	}
	return append(appendHeader(dst, len(fragment), TypeContinuation, fl, id), fragment...)
}

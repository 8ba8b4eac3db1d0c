package frame

// checkSequence keeps the frames of a header block together.
//
// "A receiver MUST treat the receipt of any other type of frame or a frame on a
// different stream as a connection error (Section 5.4.1) of type
// PROTOCOL_ERROR."
// https://www.rfc-editor.org/rfc/rfc9113#section-6.2
// https://www.rfc-editor.org/rfc/rfc9113#section-6.6
//
// "extension frames that appear in the middle of a field block (Section 4.3)
// are not permitted; these MUST be treated as a connection error (Section
// 5.4.1) of type PROTOCOL_ERROR."
// https://www.rfc-editor.org/rfc/rfc9113#section-5.5
func (r *Reader) checkSequence(h Header) *Error {
	switch {
	case r.block == 0 && h.Type == TypeContinuation:
		// "A CONTINUATION frame MUST be preceded by a HEADERS, PUSH_PROMISE or
		// CONTINUATION frame without the END_HEADERS flag set."
		// https://www.rfc-editor.org/rfc/rfc9113#section-6.10
		return connError(CodeProtocol, "CONTINUATION on stream %d without a header block to continue", h.StreamID)
	case r.block != 0 && (h.Type != TypeContinuation || h.StreamID != r.block):
		return connError(CodeProtocol, "%v on stream %d between the header frames of stream %d", h.Type, h.StreamID, r.block)
	}
	return nil
}

// sequence notes whether a header block is open after f.
func (r *Reader) sequence(f *Frame) {
	r.block = f.StreamID
	if f.Flags.Has(FlagEndHeaders) {
		r.block = 0
	}
}

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

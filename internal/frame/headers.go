package frame

// priorityLen is the length of the priority fields, in octets.
const priorityLen = 5

// checkHeaders refuses a HEADERS frame by its header.
//
// "If a HEADERS frame is received whose Stream Identifier field is 0x00, the
// recipient MUST respond with a connection error (Section 5.4.1) of type
// PROTOCOL_ERROR."
// https://www.rfc-editor.org/rfc/rfc9113#section-6.2
func checkHeaders(h Header) *Error {
	if h.Flags&(FlagPadded|FlagPriority) != 0 && h.StreamID != 0 {
		need := h.priorityLen()
		if h.Flags.Has(FlagPadded) {
			need++
		}
		if int(h.Length) < need {
			return wrongLength(h, "1 at least with the PADDED flag and 5 more with the PRIORITY flag")
		}
	}
	return onStream(h)
}

func (h Header) priorityLen() int {
	if h.Flags.Has(FlagPriority) {
		return priorityLen
	}
	return 0
}

func (r *Reader) parseHeaders(f *Frame) *Error {
	if f.Flags&(FlagPadded|FlagPriority) != 0 {
		if err := f.unpad(f.priorityLen()); err != nil {
			return err
		}
		if f.Flags.Has(FlagPriority) {
			f.parsePriority()
			f.Payload = f.Payload[priorityLen:]
		}
	}
	r.sequence(f)
	return nil
}

// AppendHeaders appends a header block as a HEADERS frame and as many
// CONTINUATION frames as payloads of at most maxSize octets make necessary.
// Nothing else may be sent between them.
func AppendHeaders(dst []byte, id uint32, block []byte, endStream bool, maxSize uint32) []byte {
	var fl Flags
	if endStream {
		fl = FlagEndStream
	}
	if id == 0 || maxSize == 0 {
		panic("BUG: HEADERS on stream 0, or of no size")
	}
	for t := TypeHeaders; ; t, fl = TypeContinuation, 0 {
		n := min(len(block), int(maxSize))
		if n == len(block) {
			fl |= FlagEndHeaders
		}
		dst = appendHeader(dst, n, t, fl, id)
		dst = append(dst, block[:n]...)
		if block = block[n:]; len(block) == 0 {
			return dst
		}
	}
}

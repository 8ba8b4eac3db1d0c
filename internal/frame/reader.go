package frame

// A Reader cuts octets into frames. It does no I/O and owns no memory: the
// caller lends it a buffer, reads into Space, says how much with Filled, and
// calls Next until there is no more. The zero value accepts payloads of
// DefaultMaxSize. It belongs to one goroutine.
//
// A connection-level error is final: the Reader gives it for ever. After a
// stream-level one the frame is consumed and reading goes on.
type Reader struct {
	buf  []byte
	r, w int
	max  uint32 // 0 is DefaultMaxSize
	err  *Error

	block uint32 // the stream whose header block is open, or 0
	skip  int    // octets of an unknown frame still to be passed over

	// The DATA frame that is handed out in fragments.
	data   Header
	inData bool
	begun  bool // a fragment was handed out
	padLen bool // the octet with the padding's length is still to come
	left   int  // data octets still to come
	pad    int  // padding octets still to come, behind the data
}

// MinBuffer is how many octets a buffer must have for payloads of
// DefaultMaxSize: it holds every frame but DATA whole.
const MinBuffer = HeaderLen + DefaultMaxSize

// SetMaxSize sets the largest payload that is accepted, in octets: what we
// announce as SETTINGS_MAX_FRAME_SIZE. Zero means DefaultMaxSize. Buffers must
// hold a whole frame of this size.
func (r *Reader) SetMaxSize(n uint32) { r.max = n }

func (r *Reader) maxSize() uint32 {
	if r.max == 0 {
		return DefaultMaxSize
	}
	return r.max
}

// Lend gives the Reader a buffer to work in, of at least HeaderLen octets and
// the largest payload.
func (r *Reader) Lend(buf []byte) {
	if r.buf != nil || len(buf) < HeaderLen+int(r.maxSize()) {
		panic("BUG: a buffer too many, or too small")
	}
	r.buf, r.r, r.w = buf, 0, 0
}

// Prime takes octets that were read before a buffer was lent, as the first of
// it.
func (r *Reader) Prime(b []byte) {
	if r.w != 0 || len(b) > len(r.buf) {
		panic("BUG: Prime after octets")
	}
	r.w = copy(r.buf, b)
}

// Space gives where the next octets belong. It is never empty after Next
// returned false.
func (r *Reader) Space() []byte {
	if r.r == r.w {
		r.r, r.w = 0, 0
	} else if r.r > 0 && r.w == len(r.buf) || r.r > len(r.buf)/2 {
		r.w = copy(r.buf, r.buf[r.r:r.w])
		r.r = 0
	}
	return r.buf[r.w:]
}

// Filled says that n octets were put to Space.
func (r *Reader) Filled(n int) { r.w += n }

// Buffered gives how many octets are there that Next has not consumed.
func (r *Reader) Buffered() int { return r.w - r.r }

// Opening appends the first octets that are buffered, at most 24, to dst: what
// a peer begins with, to be named if it is not HTTP/2.
func (r *Reader) Opening(dst []byte) []byte {
	return append(dst, r.buf[r.r:min(r.w, r.r+len(ClientPreface))]...)
}

// Reclaim gives the buffer back. It is nil, and the Reader keeps the buffer, if
// there are octets in it. A DATA frame may be half read: the next buffer goes
// on with it.
func (r *Reader) Reclaim() []byte {
	if r.r != r.w {
		return nil
	}
	b := r.buf
	r.buf, r.r, r.w = nil, 0, 0
	return b
}

// Next reads the next frame, or the next fragment of DATA, into f. It reports
// false, without an error, if more octets are needed.
func (r *Reader) Next(f *Frame) (bool, *Error) {
	if r.err != nil {
		return false, r.err
	}
	for {
		if r.inData {
			if !r.fragment(f) {
				return false, r.err
			}
			return true, nil
		}
		if !r.skipped() || r.w-r.r < HeaderLen {
			return false, nil
		}
		h := ParseHeader(r.buf[r.r:])
		if err := r.check(h); err != nil {
			r.err = err
			return false, err
		}
		switch {
		case h.Type == TypeData:
			r.r += HeaderLen
			r.beginData(h)
			continue
		case h.Type > TypeContinuation:
			r.r += HeaderLen
			r.skip = int(h.Length)
			continue
		case r.w-r.r < HeaderLen+int(h.Length):
			return false, nil
		}
		p := r.buf[r.r+HeaderLen : r.r+HeaderLen+int(h.Length)]
		r.r += HeaderLen + int(h.Length)
		*f = Frame{Header: h, Payload: p, First: true, Last: true}
		if err := f.parse(); err != nil {
			if err.StreamID == 0 {
				r.err = err
			}
			return false, err
		}
		r.sequence(f)
		return true, nil
	}
}

// skipped passes over an unknown frame and reports whether it is at its end.
func (r *Reader) skipped() bool {
	n := min(r.skip, r.w-r.r)
	r.r += n
	r.skip -= n
	return r.skip == 0
}

// sequence notes whether a header block is open after f.
func (r *Reader) sequence(f *Frame) {
	switch f.Type {
	case TypeHeaders, TypePushPromise, TypeContinuation:
		r.block = f.StreamID
		if f.Flags.Has(FlagEndHeaders) {
			r.block = 0
		}
	}
}

// check checks a frame header before anything else of the frame is looked at.
func (r *Reader) check(h Header) *Error {
	if h.Length > r.maxSize() {
		// "An endpoint MUST send an error code of FRAME_SIZE_ERROR if a frame
		// exceeds the size defined in SETTINGS_MAX_FRAME_SIZE"
		// https://www.rfc-editor.org/rfc/rfc9113#section-4.2
		return connError(CodeFrameSize, "%v of %d octets: the largest payload is %d (SETTINGS_MAX_FRAME_SIZE)", h.Type, h.Length, r.maxSize())
	}
	if r.block != 0 && (h.Type != TypeContinuation || h.StreamID != r.block) {
		// "A receiver MUST treat the receipt of any other type of frame or a frame
		// on a different stream as a connection error (Section 5.4.1) of type
		// PROTOCOL_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9113#section-6.2
		return connError(CodeProtocol, "%v on stream %d between the header frames of stream %d", h.Type, h.StreamID, r.block)
	}
	if r.block == 0 && h.Type == TypeContinuation {
		// "A CONTINUATION frame MUST be preceded by a HEADERS, PUSH_PROMISE or
		// CONTINUATION frame without the END_HEADERS flag set."
		// https://www.rfc-editor.org/rfc/rfc9113#section-6.10
		return connError(CodeProtocol, "CONTINUATION without a header block to continue")
	}
	switch h.Type {
	case TypeData, TypeHeaders, TypePriority, TypeRSTStream, TypePushPromise, TypeContinuation:
		if h.StreamID == 0 {
			return connError(CodeProtocol, "%v on stream 0", h.Type)
		}
	case TypeSettings, TypePing, TypeGoAway:
		if h.StreamID != 0 {
			return connError(CodeProtocol, "%v on stream %d: it belongs to the connection", h.Type, h.StreamID)
		}
	}
	if h.Flags.Has(FlagPadded) && h.Length == 0 && (h.Type == TypeData || h.Type == TypeHeaders || h.Type == TypePushPromise) {
		return connError(CodeFrameSize, "%v with padding and without the octet that tells its length", h.Type)
	}
	return nil
}

// parse reads the payload of a whole frame.
func (f *Frame) parse() *Error {
	switch f.Type {
	case TypeHeaders:
		return f.parseHeaders()
	case TypePriority:
		return f.parsePriority()
	case TypeRSTStream:
		return f.parseRSTStream()
	case TypeSettings:
		return f.parseSettings()
	case TypePushPromise:
		return f.parsePushPromise()
	case TypePing:
		return f.parsePing()
	case TypeGoAway:
		return f.parseGoAway()
	case TypeWindowUpdate:
		return f.parseWindowUpdate()
	}
	return nil // CONTINUATION is its payload
}

// length wants a payload of exactly n octets.
func (f *Frame) length(n uint32) *Error {
	if f.Length == n {
		return nil
	}
	return connError(CodeFrameSize, "%v of %d octets, it has %d", f.Type, f.Length, n)
}

// unpad takes the padding off the payload.
func (f *Frame) unpad() *Error {
	if !f.Flags.Has(FlagPadded) {
		return nil
	}
	pad := int(f.Payload[0])
	if pad >= len(f.Payload) {
		return tooMuchPadding(f.Type, pad, len(f.Payload))
	}
	f.Payload = f.Payload[1 : len(f.Payload)-pad]
	return nil
}

// "If the length of the padding is the length of the frame payload or greater,
// the recipient MUST treat this as a connection error (Section 5.4.1) of type
// PROTOCOL_ERROR."
// https://www.rfc-editor.org/rfc/rfc9113#section-6.1
func tooMuchPadding(t Type, pad, length int) *Error {
	return connError(CodeProtocol, "%v of %d octets with %d of padding", t, length, pad)
}

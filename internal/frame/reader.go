package frame

// A Reader cuts octets into frames. It does no I/O and owns no memory: the
// caller lends it a buffer, reads into Space, says how much with Filled, and
// calls Next until there is no more. The zero value accepts payloads of
// DefaultMaxSize. It belongs to one goroutine.
//
// A connection-level error is final: the Reader gives it for ever. After a
// stream-level one the frame is left out and reading goes on. Frames of unknown
// types are left out, but count as what they are between the frames of a header
// block.
type Reader struct {
	buf  []byte
	r, w int
	max  uint32 // 0 is DefaultMaxSize
	most uint32 // of a frame that is given whole; 0 is max
	err  *Error

	block uint32 // the stream whose header block is open, or 0
	skip  int    // octets of a frame still to be passed over
	alien int    // frames of unknown types since the last call of Passed

	// The DATA frame that is handed out in fragments.
	data   Header
	inData bool
	begun  bool // a fragment was handed out
	padLen bool // the octet with the padding's length is still to come
	left   int  // data octets still to come
	pad    int  // padding octets still to come, behind the data
}

// MinBuffer is how many octets a buffer must have: with payloads of
// DefaultMaxSize it holds every frame but DATA whole.
const MinBuffer = HeaderLen + DefaultMaxSize

// SetMaxSize sets the largest payload that is accepted, in octets: what we
// announce as SETTINGS_MAX_FRAME_SIZE. Zero means DefaultMaxSize. It holds for
// frames that begin after the call.
//
// DATA of any size is handed out as it comes, and so are unknown frames passed
// over. All else comes whole, and needs a buffer that holds it: see Wants. Of
// this no more than whole octets are accepted, or DefaultMaxSize if that is more.
func (r *Reader) SetMaxSize(n, whole uint32) {
	if n == 0 {
		n = DefaultMaxSize
	}
	if !ValidMaxSize(n) {
		panic("BUG: a maximum that RFC 9113 does not allow")
	}
	r.max, r.most = n, min(max(whole, DefaultMaxSize), n)
}

func (r *Reader) maxSize() uint32 {
	if r.max == 0 {
		return DefaultMaxSize
	}
	return r.max
}

// Lend gives the Reader a buffer to work in, of at least MinBuffer octets.
func (r *Reader) Lend(buf []byte) {
	if r.buf != nil || len(buf) < MinBuffer {
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

// Wants tells, after Next returned false, that the buffer is full and a frame is
// not whole yet: how many octets a larger one must have to go on. That is twice
// as many, or what the frame needs, so that a peer has sent what it makes us
// hold. It is 0 if the buffer will do.
func (r *Reader) Wants() int {
	if r.buf == nil || r.w-r.r < len(r.buf) {
		return 0
	}
	return min(HeaderLen+int(ParseHeader(r.buf).Length), 2*len(r.buf))
}

// Move takes a larger buffer in the place of the one that was lent, which it
// gives back.
func (r *Reader) Move(buf []byte) (old []byte) {
	if r.buf == nil || len(buf) < len(r.buf) {
		panic("BUG: no buffer to move from, or a smaller one to move to")
	}
	old = r.buf
	r.w = copy(buf, old[r.r:r.w])
	r.buf, r.r = buf, 0
	return old
}

// Space gives where the next octets belong. It is never empty after Next
// returned false, if Wants is 0.
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
func (r *Reader) Filled(n int) {
	if uint(n) > uint(len(r.buf)-r.w) {
		panic("BUG: more octets than there was space for")
	}
	r.w += n
}

// Buffered gives how many octets are there that Next has not consumed.
func (r *Reader) Buffered() int { return r.w - r.r }

// WithinFrame reports whether Next has begun a frame, of DATA or of one that is
// left out, whose rest has not come.
func (r *Reader) WithinFrame() bool { return r.inData || r.skip > 0 }

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
// false, without an error, if more octets are needed. With an error, f.Header is
// the header of the frame that is at fault, unless the connection has failed
// before.
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
		if r.skip > 0 && !r.skipped() {
			return false, nil
		}
		b := r.buf[r.r:r.w]
		if len(b) < HeaderLen {
			return false, nil
		}
		h := ParseHeader(b)
		if err := r.check(h); err != nil {
			return false, r.refuse(f, h, err)
		}
		switch {
		case h.Type == TypeData:
			r.r += HeaderLen
			r.beginData(h)
			continue
		case h.Type > TypeContinuation:
			r.alien++
			r.pass(h)
			continue
		}
		end := HeaderLen + int(h.Length)
		if len(b) < end {
			return false, nil
		}
		r.r += end
		*f = Frame{} // a literal with values is built elsewhere and copied
		f.Header, f.First, f.Last = h, true, true
		f.Payload = b[HeaderLen:end:end]
		if err := r.parse(f); err != nil {
			if err.StreamID == 0 {
				r.err = err
			}
			return false, err
		}
		return true, nil
	}
}

// refuse is the end of a frame whose header is at fault.
func (r *Reader) refuse(f *Frame, h Header, err *Error) *Error {
	*f = Frame{Header: h}
	if err.StreamID == 0 {
		r.err = err
	} else {
		r.pass(h)
	}
	return err
}

// pass leaves out the frame with header h, as its octets come.
//
// "Implementations MUST discard frames that have unknown or unsupported types."
// https://www.rfc-editor.org/rfc/rfc9113#section-5.5
func (r *Reader) pass(h Header) {
	r.r += HeaderLen
	r.skip = int(h.Length)
}

// Passed gives how many frames of unknown types were left out since the call
// before.
func (r *Reader) Passed() (n int) {
	n, r.alien = r.alien, 0
	return n
}

// skipped passes over what has come of a frame that is left out, and reports
// whether that is all of it.
func (r *Reader) skipped() bool {
	n := min(r.skip, r.w-r.r)
	r.r += n
	r.skip -= n
	return r.skip == 0
}

// check refuses a frame by its header, before any of its payload is looked at
// or waited for.
func (r *Reader) check(h Header) *Error {
	if h.Length > r.maxSize() {
		// "An endpoint MUST send an error code of FRAME_SIZE_ERROR if a frame
		// exceeds the size defined in SETTINGS_MAX_FRAME_SIZE, exceeds any limit
		// defined for the frame type, or is too small to contain mandatory frame
		// data."
		// https://www.rfc-editor.org/rfc/rfc9113#section-4.2
		return connError(CodeFrameSize, "%v of %d octets: the largest payload is %d (SETTINGS_MAX_FRAME_SIZE)", h.Type, h.Length, r.maxSize())
	}
	if r.most != 0 && h.Length > r.most && h.Type != TypeData && h.Type <= TypeContinuation {
		return connError(CodeEnhanceYourCalm, "%v of %d octets: no more than %d are taken in one frame", h.Type, h.Length, r.most)
	}
	if r.block != 0 || h.Type == TypeContinuation {
		if err := r.checkSequence(h); err != nil {
			return err
		}
	}
	switch h.Type {
	case TypeData:
		return checkData(h)
	case TypeHeaders:
		return checkHeaders(h)
	case TypePriority:
		return checkPriority(h)
	case TypeRSTStream:
		return checkRSTStream(h)
	case TypeSettings:
		return checkSettings(h)
	case TypePushPromise:
		return checkPushPromise(h)
	case TypePing:
		return checkPing(h)
	case TypeGoAway:
		return checkGoAway(h)
	case TypeWindowUpdate:
		return checkWindowUpdate(h)
	}
	return nil
}

// parse reads the payload of a whole frame that check has passed.
func (r *Reader) parse(f *Frame) *Error {
	switch f.Type {
	case TypeHeaders:
		return r.parseHeaders(f)
	case TypePriority:
		f.parsePriority()
		f.Payload = nil
	case TypeRSTStream:
		f.parseRSTStream()
	case TypePushPromise:
		return r.parsePushPromise(f)
	case TypePing:
		f.parsePing()
	case TypeGoAway:
		f.parseGoAway()
	case TypeWindowUpdate:
		return f.parseWindowUpdate()
	case TypeContinuation:
		r.sequence(f)
	}
	return nil // SETTINGS and CONTINUATION are their payload
}

// onStream wants a frame to name its stream.
func onStream(h Header) *Error {
	if h.StreamID != 0 {
		return nil
	}
	return connError(CodeProtocol, "%v on stream 0: it belongs to a stream", h.Type)
}

// onConnection wants a frame to name none.
func onConnection(h Header) *Error {
	if h.StreamID == 0 {
		return nil
	}
	return connError(CodeProtocol, "%v on stream %d: it belongs to the connection", h.Type, h.StreamID)
}

// wrongLength is the error of a frame that is not as long as want says.
func wrongLength(h Header, want string) *Error {
	return connError(CodeFrameSize, "%v of %d octets, it has %s", h.Type, h.Length, want)
}

package frame

import "encoding/binary"

// priorityLen is the length of the priority fields, in octets.
const priorityLen = 5

func (f *Frame) parseHeaders() *Error {
	if err := f.unpad(); err != nil {
		return err
	}
	if !f.Flags.Has(FlagPriority) {
		return nil
	}
	if len(f.Payload) < priorityLen {
		return connError(CodeFrameSize, "HEADERS with priority, of %d octets without padding", len(f.Payload))
	}
	f.HasPriority = true
	f.Dependency = binary.BigEndian.Uint32(f.Payload) & streamMask
	f.Payload = f.Payload[priorityLen:]
	return nil
}

// AppendHeaders appends a header block as a HEADERS frame and as many
// CONTINUATION frames as payloads of at most maxSize octets make necessary.
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

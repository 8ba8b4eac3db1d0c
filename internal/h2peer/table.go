package h2peer

import "fmt"

// A tableSize follows the largest size of the subject's HPACK table.
type tableSize struct {
	signaled uint64 // by the subject, in its header blocks
	demanded uint64 // of the next header block to signal at most that; see due
	due      bool
}

// acked notes that the subject acknowledged SETTINGS_HEADER_TABLE_SIZE.
func (s *tableSize) acked(size uint32) {
	if uint64(size) >= s.signaled {
		return
	}
	if !s.due || uint64(size) < s.demanded {
		s.demanded = uint64(size)
	}
	s.due = true
}

// block looks at the start of a header block, and says what is wrong with it,
// if anything: after a reduction it has to signal the smaller size.
// https://www.rfc-editor.org/rfc/rfc7541#section-4.2
func (s *tableSize) block(block []byte) (fault string) {
	lowest, updated := s.signaled, false
	for len(block) > 0 && block[0]&0xe0 == 0x20 {
		var size uint64
		size, block = integer5(block)
		s.signaled, updated = size, true
		lowest = min(lowest, size)
	}
	if s.due && (!updated || lowest > s.demanded) {
		return fmt.Sprintf("a header block that does not start with a table size of at most %d, which it has acknowledged", s.demanded)
	}
	s.due = false
	return ""
}

// integer5 reads an integer with a prefix of five bits. The decoder refuses
// what is malformed, later.
func integer5(b []byte) (n uint64, rest []byte) {
	n, b = uint64(b[0]&0x1f), b[1:]
	if n < 0x1f {
		return n, b
	}
	for shift := 0; len(b) > 0 && shift < 56; shift += 7 {
		c := b[0]
		b = b[1:]
		n += uint64(c&0x7f) << shift
		if c&0x80 == 0 {
			break
		}
	}
	return n, b
}

package field

// Integers: https://www.rfc-editor.org/rfc/rfc7541#section-5.1

// maxContinuation is how many octets may follow the prefix: five of seven bits
// hold every 32-bit integer.
//
// "Integer encodings that exceed implementation limits -- in value or octet
// length -- MUST be treated as decoding errors."
const maxContinuation = 5

// appendInteger appends v with a prefix of that many bits (1 to 8); the bits
// above the prefix come from flags.
func appendInteger(dst []byte, flags byte, prefix uint, v uint64) []byte {
	top := uint64(1)<<prefix - 1
	if v < top {
		return append(dst, flags|byte(v))
	}
	dst = append(dst, flags|byte(top))
	for v -= top; v >= 0x80; v >>= 7 {
		dst = append(dst, byte(v)|0x80)
	}
	return append(dst, byte(v))
}

// readInteger reads the integer that begins at p[at] and gives the offset
// behind it.
func readInteger(p []byte, at int, prefix uint) (v uint32, next int, why Reason) {
	if at >= len(p) {
		return 0, at, Truncated
	}
	top := uint32(1)<<prefix - 1
	if v = uint32(p[at]) & top; v < top {
		return v, at + 1, 0
	}
	sum := uint64(top)
	for i := range maxContinuation {
		at++
		if at >= len(p) {
			return 0, at, Truncated
		}
		sum += uint64(p[at]&0x7f) << (7 * i)
		if sum > 1<<32-1 {
			return 0, at, IntegerOverflow
		}
		if p[at] < 0x80 {
			return uint32(sum), at + 1, 0
		}
	}
	return 0, at, IntegerOverflow
}

package field

import "math"

// sizes is what an encoder and its peer agree on about the table's size. The
// zero value is the default on both sides.
// https://www.rfc-editor.org/rfc/rfc7541#section-4.2
type sizes struct {
	known   bool   // the peer sent a limit; else all sizes are the default
	limit   uint32 // the peer's SETTINGS_HEADER_TABLE_SIZE
	used    uint32 // the table's size: the limit, but at most the default
	lowest  uint32 // the lowest that used was set to since the last block
	pending bool   // the next block starts with a size update
}

// table is the size that the table may have now.
func (s *sizes) table() uint32 {
	if !s.known {
		return defaultTableSize
	}
	return s.used
}

// set takes in the peer's limit and reports whether the table's size changed.
func (s *sizes) set(limit uint32) (changed bool) {
	if !s.known {
		*s = sizes{known: true, limit: defaultTableSize, used: defaultTableSize, lowest: math.MaxUint32}
	}
	used := min(limit, defaultTableSize)
	changed = used != s.used
	// A peer may insist on an update after every reduction, even to a limit
	// that is above what is used.
	if changed || limit < s.limit {
		s.pending = true
	}
	s.limit, s.used = limit, used
	s.lowest = min(s.lowest, used)
	return changed
}

// SetMaxTableSize takes in the peer's SETTINGS_HEADER_TABLE_SIZE, in octets.
// The table gets the size n, but at most 4096. A change takes effect at once
// and reaches the peer at the start of the next block.
func (e *Encoder) SetMaxTableSize(n uint32) {
	if e.sizes.set(n) {
		e.evict(e.sizes.used)
	}
}

// Begin starts a header block: it appends the table size updates that are due.
// Every block starts with it.
//
// "if the maximum size of the dynamic table is changed more than once in the
// interval between the transmission of two header blocks [...] the smallest
// maximum table size that occurs in that interval MUST be signaled in a
// dynamic table size update. The final maximum size is always signaled"
// https://www.rfc-editor.org/rfc/rfc7541#section-4.2
func (e *Encoder) Begin(dst []byte) []byte {
	s := &e.sizes
	if !s.pending {
		return dst
	}
	if s.lowest < s.used {
		// Decoders in wide use (x/net up to v0.62) refuse a second update
		// unless the table is empty: empty it by choosing 0 in between.
		if len(e.entries) > 0 {
			e.evict(0)
			s.lowest = 0
		}
		dst = appendInteger(dst, sizeUpdateBit, 5, uint64(s.lowest))
	}
	s.pending, s.lowest = false, math.MaxUint32
	return appendInteger(dst, sizeUpdateBit, 5, uint64(s.used))
}

// Package field is HPACK on the wire (RFC 7541), in both directions.
//
// An Encoder turns fields into header blocks. It never evicts by inserting, so
// what a table index means changes only when something is inserted or the
// peer changes the table's size, and the octets of fields that recur can be
// kept in a Block and replayed.
//
// A Decoder turns header blocks into a List. What a peer repeats from block to
// block arrives as a leading run of indexed fields; the Decoder recognises the
// run by the identity of its table entries and hands out the same Memo again
// without decoding.
//
// Neither has a goroutine or a lock: the Encoder belongs to whoever puts the
// blocks on the wire, the Decoder to whoever reads them from it.
package field

import "math"

// A Field is one header or trailer field, or a pseudo-header field such as :path.
//
// A Sensitive field is written as a never-indexed literal, and a field that
// arrives as one is Sensitive: who forwards it must not compress it either
// (https://www.rfc-editor.org/rfc/rfc7541#section-7.1.3).
type Field struct {
	Name, Value string
	Sensitive   bool
}

// entryOverhead is what a field counts besides its octets.
const entryOverhead = 32

// Size is the field's size in octets as tables and header list limits count
// it: name, value and 32 (https://www.rfc-editor.org/rfc/rfc7541#section-4.1).
func (f Field) Size() uint32 { return fieldSize(len(f.Name), len(f.Value)) }

func fieldSize(name, value int) uint32 {
	return uint32(min(uint64(name)+uint64(value)+entryOverhead, math.MaxUint32))
}

// addSize adds sizes that a peer chose; it stays at the top and never wraps.
func addSize(a, b uint32) uint32 {
	return uint32(min(uint64(a)+uint64(b), math.MaxUint32))
}

package field

import (
	"hash/maphash"
	"math/bits"
	"slices"
)

// Indexing says whether the peer may be made to remember a field.
type Indexing uint8

const (
	// IndexAuto inserts a field into the table on its second sight if there
	// is room.
	IndexAuto Indexing = iota
	// IndexNever leaves the table as it is: for values that belong to one
	// call, such as an id.
	IndexNever
	// IndexName inserts the second field of a name, so that the others need not
	// spell the name: for short values that differ from call to call and come with
	// most, such as a timeout. They are not coded either, which would save an octet
	// or two and cost both sides more than the rest of the field.
	IndexName
)

// An Encoder writes the header blocks of one connection in the order of the
// wire. Its zero value is ready, with a table of 4096 octets. It is not safe
// for concurrent use: it belongs to whoever holds the right to put the blocks
// on the wire.
//
// What it appends has changed its table: all of it must reach the peer, once
// and in order. A block that turns out too large has to be measured before.
type Encoder struct {
	entries []entry // oldest first; grows at its end, shrinks by resize only
	size    uint32  // what they count, in octets
	// version rises when an index comes to mean something else: with every
	// insert and every change of the table's size. What was encoded at one
	// version without an insert is right as long as the version stays.
	version uint64
	sizes   sizes
	seen    *seen // nil until there is something to remember
}

// Forget lets go of what only makes the next blocks smaller sooner.
func (e *Encoder) Forget() { e.seen = nil }

type entry struct {
	field      Field
	name, both uint32 // hashes of the name, of name and value
}

var seed = maphash.MakeSeed()

// hash gives a hash of the name, and of name and value.
func hash(f Field) (name, both uint32) {
	n := maphash.String(seed, f.Name)
	return uint32(n), uint32(bits.RotateLeft64(n, 29)*0x9e3779b97f4a7c15 ^ maphash.String(seed, f.Value))
}

// AppendField appends one field. A Sensitive one is never indexed, whatever ix says.
func (e *Encoder) AppendField(dst []byte, f Field, ix Indexing) []byte {
	dst, _ = e.append(dst, f, ix)
	return dst
}

// append appends f and reports whether it is settled: whether the same octets
// would come again as long as the version stays.
func (e *Encoder) append(dst []byte, f Field, ix Indexing) (_ []byte, settled bool) {
	index, equal := staticIndex(f.Name, f.Value)
	if equal && !f.Sensitive {
		return appendInteger(dst, indexedBit, 7, uint64(index)), true
	}
	name, both := hash(f)
	anyIndex, equal := e.find(f, name, both)
	if equal && !f.Sensitive {
		return appendInteger(dst, indexedBit, 7, uint64(anyIndex)), true
	}
	if index == 0 {
		index = anyIndex
	}
	switch {
	case f.Sensitive:
		return appendLiteral(dst, neverIndexBit, 4, index, f), true
	case ix == IndexName && index > 0:
		dst = appendInteger(dst, 0, 4, uint64(index))
		return appendOctets(dst, f.Value), true
	case ix == IndexNever || !e.room(f):
		return appendLiteral(dst, 0, 4, index, f), true
	case ix == IndexName:
		if !e.again(name) {
			return appendLiteral(dst, 0, 4, index, f), true
		}
	case !e.again(both):
		return appendLiteral(dst, 0, 4, index, f), false
	}
	e.insert(f, name, both)
	return appendLiteral(dst, insertBit, 6, index, f), false
}

// appendLiteral appends f with its name by index, or spelt out if that is 0.
func appendLiteral(dst []byte, flags byte, prefix uint, index uint32, f Field) []byte {
	dst = appendInteger(dst, flags, prefix, uint64(index))
	if index == 0 {
		dst = appendString(dst, f.Name)
	}
	return appendString(dst, f.Value)
}

// find gives the index of the entry that equals f, or else of the newest that
// has its name, or else 0.
func (e *Encoder) find(f Field, name, both uint32) (index uint32, equal bool) {
	for i := len(e.entries) - 1; i >= 0; i-- {
		en := &e.entries[i]
		if en.name != name || en.field.Name != f.Name {
			continue
		}
		at := staticLen + uint32(len(e.entries)-i)
		if en.both == both && en.field.Value == f.Value {
			return at, true
		}
		if index == 0 {
			index = at
		}
	}
	return index, false
}

// room reports whether f can be inserted without evicting.
func (e *Encoder) room(f Field) bool {
	return addSize(e.size, f.Size()) <= e.sizes.table()
}

// insert puts a copy of f in: the caller's strings may be parts of larger ones.
func (e *Encoder) insert(f Field, name, both uint32) {
	text := f.Name + f.Value
	f.Name, f.Value = text[:len(f.Name)], text[len(f.Name):]
	e.entries = append(e.entries, entry{field: f, name: name, both: both})
	e.size += f.Size()
	e.version++
}

// evict drops the oldest entries until no more than limit octets are left.
func (e *Encoder) evict(limit uint32) {
	n := 0
	for e.size > limit {
		e.size -= e.entries[n].field.Size()
		n++
	}
	e.entries = slices.Delete(e.entries, 0, n)
	e.version++
}

// seen remembers the hashes of the last fields that were written out and not
// inserted. Two fields that share a hash do no harm: one is inserted early.
type seen struct {
	ring [64]uint16
	next uint8
}

// again reports whether e remembers the field, and remembers it.
func (e *Encoder) again(both uint32) bool {
	if e.seen == nil {
		e.seen = new(seen)
	}
	s := e.seen
	h := uint16(both>>16) | 1 // 0 is an empty place
	if slices.Contains(s.ring[:], h) {
		return true
	}
	s.ring[s.next%uint8(len(s.ring))] = h
	s.next++
	return false
}

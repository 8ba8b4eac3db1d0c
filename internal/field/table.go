package field

// defaultTableSize is the size of both sides' dynamic tables, in octets, until
// something else is agreed.
// https://www.rfc-editor.org/rfc/rfc9113#section-6.5.2
const defaultTableSize = 4096

// A table is a decoder's dynamic table: a ring of the newest entries.
// https://www.rfc-editor.org/rfc/rfc7541#section-2.3.2
//
// Each entry has a number, counted from 0 over the table's whole life. A number
// is never given twice, whatever is evicted.
type table struct {
	ring     []Field // entry number i is at i%len(ring); a power of two long
	inserted uint64  // how many there ever were: the next one's number
	count    uint64  // how many there are
	size     uint32  // what they count, in octets
	max      uint32  // never exceeded by size
}

// number gives the entry's number at an index above the static table's.
func (t *table) number(index uint32) (uint64, bool) {
	back := uint64(index) - staticLen // 1 is the newest
	return t.inserted - back, back <= t.count
}

func (t *table) entry(number uint64) Field {
	return t.ring[number&uint64(len(t.ring)-1)]
}

// last is the highest valid index.
func (t *table) last() uint32 { return staticLen + uint32(t.count) }

// fits reports whether a field of that size has room in an empty table.
func (t *table) fits(size uint32) bool { return size <= t.max }

// insert makes room for f, which fits, and puts it in.
// https://www.rfc-editor.org/rfc/rfc7541#section-4.4
func (t *table) insert(f Field) {
	size := f.Size()
	t.evict(t.max - size)
	if t.count == uint64(len(t.ring)) {
		t.grow()
	}
	t.ring[t.inserted&uint64(len(t.ring)-1)] = f
	t.inserted++
	t.count++
	t.size += size
}

// resize changes the limit and evicts what is beyond it.
// https://www.rfc-editor.org/rfc/rfc7541#section-4.3
func (t *table) resize(limit uint32) {
	t.max = limit
	t.evict(limit)
}

// evict drops the oldest entries until no more than limit octets are left.
func (t *table) evict(limit uint32) {
	for t.size > limit {
		oldest := &t.ring[(t.inserted-t.count)&uint64(len(t.ring)-1)]
		t.size -= oldest.Size()
		t.count--
		*oldest = Field{}
	}
}

// firstRing is the length of the first ring. Peers of gRPC insert some ten fields,
// but few as long as they make a call now and then.
const firstRing = 4

func (t *table) grow() {
	old := *t
	t.ring = make([]Field, max(firstRing, 2*len(old.ring)))
	for n := t.inserted - t.count; n < t.inserted; n++ {
		t.ring[n&uint64(len(t.ring)-1)] = old.entry(n)
	}
}

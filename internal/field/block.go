package field

// A Block is a set of fields that recurs, such as those of every request for
// one method. It belongs to one Encoder and to that one's owner.
type Block struct {
	fields []Field
	size   uint32

	// octets encode the fields and change no table. They are right for
	// encoder at that version only: replayed at another, their indices would
	// stand for other fields.
	octets  []byte
	encoder *Encoder
	version uint64
}

// NewBlock makes a Block of fields, each indexed as by IndexAuto. It keeps the
// strings, not the slice.
func NewBlock(fields ...Field) *Block {
	b := &Block{fields: append([]Field(nil), fields...)}
	for _, f := range fields {
		b.size = addSize(b.size, f.Size())
	}
	return b
}

// Size is what the fields count against the peer's header list limit, in octets.
func (b *Block) Size() uint32 { return b.size }

// AppendBlock appends the fields of b. Once the peer's table has what it can
// take of them, this is one copy.
func (e *Encoder) AppendBlock(dst []byte, b *Block) []byte {
	if b.encoder == e && b.version == e.version {
		return append(dst, b.octets...)
	}
	b.encoder = nil
	start := len(dst)
	settled := true
	for _, f := range b.fields {
		var ok bool
		dst, ok = e.append(dst, f, IndexAuto)
		settled = settled && ok
	}
	// An insert is never settled, so the version is still that of every field.
	if settled {
		b.octets = append(b.octets[:0], dst[start:]...)
		b.encoder, b.version = e, e.version
	}
	return dst
}

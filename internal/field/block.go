package field

// A Block is the encoding of a set of fields that recurs, such as those of every
// request for one method. It belongs to one Encoder and to that one's owner, who
// has the fields. The zero value has none yet.
type Block struct {
	// octets encode the fields and change no table. They are right for
	// encoder at that version only: replayed at another, their indices would
	// stand for other fields.
	octets  []byte
	encoder *Encoder
	version uint64
}

// Replay appends the octets of b, and reports whether they are right: else
// AppendBlock has to be given the fields.
func (e *Encoder) Replay(dst []byte, b *Block) ([]byte, bool) {
	if b.encoder != e || b.version != e.version {
		return dst, false
	}
	return append(dst, b.octets...), true
}

// AppendBlock appends fields, each indexed as by IndexAuto. Once the peer's table
// has what it can take of them, b keeps the octets for Replay.
func (e *Encoder) AppendBlock(dst []byte, b *Block, fields ...Field) []byte {
	b.encoder = nil
	start := len(dst)
	settled := true
	for _, f := range fields {
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

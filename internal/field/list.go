package field

// A List is what a header block said, in the order in which it said it: the
// fields of Memo, if there is one, then Rest.
//
// A List is the caller's and serves block after block; its zero value is ready.
type List struct {
	Memo *Memo   // the leading fields; shared, never to be changed
	Rest []Field // the others; valid until the List is used again
	// Size is what all fields of the block count, in octets, kept or not; it
	// stays at the highest uint32 rather than wrap.
	// https://www.rfc-editor.org/rfc/rfc9113#section-10.5.1
	Size uint32
	// TooLarge says that Size went over the decoder's limit. The field that
	// did it and those after it are missing.
	TooLarge bool
}

// keptRest is how many fields Rest's backing array may have between blocks.
const keptRest = 128

// Reset empties the List, lets go of all strings and keeps room for the next
// block's fields.
func (l *List) Reset() {
	clear(l.Rest)
	rest := l.Rest[:0]
	if cap(rest) > keptRest {
		rest = nil
	}
	*l = List{Rest: rest}
}

// All yields every field in the order of the block.
func (l *List) All(yield func(Field) bool) {
	if l.Memo != nil {
		for _, f := range l.Memo.Fields {
			if !yield(f) {
				return
			}
		}
	}
	for _, f := range l.Rest {
		if !yield(f) {
			return
		}
	}
}

// count adds a field's size and reports whether the field is to be kept.
func (l *List) count(size, limit uint32) bool {
	l.Size = addSize(l.Size, size)
	l.TooLarge = l.Size > limit
	return !l.TooLarge
}

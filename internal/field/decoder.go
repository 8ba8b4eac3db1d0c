package field

// defaultListSize is the header list limit where none is given, in octets.
const defaultListSize = 64 << 10

// A Decoder turns the header blocks of one connection, in the order of the
// wire, into lists. It needs Init. It is not safe for concurrent use.
type Decoder struct {
	table     table
	limit     uint32 // what a size update may ask for
	announced uint32 // our SETTINGS_HEADER_TABLE_SIZE
	demand    bool   // the next block has to begin with a size update
	maxList   uint32

	memos memos
	key   []byte // of the run at hand
	text  scratch
	plain bool // without memos, for comparison in tests
}

// Init readies d for a new connection. maxTableSize is the value of our
// SETTINGS_HEADER_TABLE_SIZE in octets and bounds the dynamic table once the
// peer knows of it. maxListSize is our SETTINGS_MAX_HEADER_LIST_SIZE in octets
// and bounds what a List keeps; 0 means 64 KiB.
func (d *Decoder) Init(maxTableSize, maxListSize uint32) {
	if maxListSize == 0 {
		maxListSize = defaultListSize
	}
	*d = Decoder{
		// Until it acknowledges our SETTINGS the peer may go by the default.
		table:     table{max: defaultTableSize},
		limit:     max(maxTableSize, defaultTableSize),
		announced: maxTableSize,
		maxList:   maxListSize,
	}
}

// Forget lets go of what only makes the next blocks faster to read.
func (d *Decoder) Forget() { d.memos, d.key, d.text = memos{}, nil, nil }

// SettingsAcked says that the peer acknowledged our SETTINGS: from here on its
// table is at most as large as they allow. Without the call a peer may always
// use the default of 4096 octets.
//
// "An endpoint MUST treat a field block that follows an acknowledgment of the
// reduction to the maximum dynamic table size as a connection error (Section
// 5.4.1) of type COMPRESSION_ERROR if it does not start with a conformant
// Dynamic Table Size Update instruction."
// https://www.rfc-editor.org/rfc/rfc9113#section-4.3.1
func (d *Decoder) SettingsAcked() {
	d.limit = d.announced
	d.demand = d.table.max > d.limit
}

// Decode reads one whole header block into l, whatever l held before.
//
// An *Error means COMPRESSION_ERROR for the connection: neither l nor d is
// of use afterwards. A list over the limit is no error: l.TooLarge is set, and
// the block is decoded to its end to keep the table right.
func (d *Decoder) Decode(block []byte, l *List) error {
	l.Reset()
	at, err := d.sizeUpdates(block)
	if err != nil {
		return err
	}
	if at < len(block) && block[at]&indexedBit != 0 {
		if at, err = d.run(block, at, l); err != nil {
			return err
		}
	}
	for at < len(block) {
		if at, err = d.field(block, at, l); err != nil {
			return err
		}
	}
	if cap(d.text) > keptScratch {
		d.text = nil
	}
	return nil
}

// The first octets of the instructions.
// https://www.rfc-editor.org/rfc/rfc7541#section-6
const (
	indexedBit     = 0x80 // 1xxxxxxx, 7 bits of index
	insertBit      = 0x40 // 01xxxxxx, 6 bits of name index
	sizeUpdateBit  = 0x20 // 001xxxxx, 5 bits of size
	neverIndexBit  = 0x10 // 0001xxxx, 4 bits of name index
	sizeUpdateMask = 0xe0
)

// sizeUpdates reads the table size updates at the start of a block.
// https://www.rfc-editor.org/rfc/rfc7541#section-6.3
func (d *Decoder) sizeUpdates(block []byte) (at int, err error) {
	for at < len(block) && block[at]&sizeUpdateMask == sizeUpdateBit {
		size, next, why := readInteger(block, at, 5)
		if why != 0 {
			return at, &Error{Reason: why, Offset: at}
		}
		// "The new maximum size MUST be lower than or equal to the limit
		// determined by the protocol using HPACK."
		if size > d.limit {
			return at, &Error{Reason: SizeUpdateTooHigh, Offset: at, Got: size, Limit: d.limit}
		}
		d.table.resize(size)
		d.demand = false
		at = next
	}
	if d.demand {
		return at, &Error{Reason: SizeUpdateMissing, Offset: at, Got: d.table.max, Limit: d.limit}
	}
	return at, nil
}

// identity gives for an index what it will mean for ever; see memos.
func (d *Decoder) identity(index uint32) (id uint64, ok bool) {
	if index <= staticLen {
		return uint64(index), index != 0
	}
	n, ok := d.table.number(index)
	return staticLen + 1 + n, ok
}

func (d *Decoder) byIdentity(id uint64) Field {
	if id <= staticLen {
		return staticTable[id]
	}
	return d.table.entry(id - (staticLen + 1))
}

// run reads the indexed fields with which a block begins, by a memo if there
// is one. They change no table, and identities do not depend on what changed
// it before or will change it after: so neither a size update before the run
// nor an insert behind it keeps the memo from being right.
func (d *Decoder) run(block []byte, at int, l *List) (int, error) {
	d.key = d.key[:0]
	for n := 0; n < maxRun && at < len(block) && block[at]&indexedBit != 0; n++ {
		index, next, why := readInteger(block, at, 7)
		if why != 0 {
			return at, &Error{Reason: why, Offset: at}
		}
		id, ok := d.identity(index)
		if !ok {
			return at, &Error{Reason: BadIndex, Offset: at, Got: index, Limit: d.table.last()}
		}
		d.key = appendIdentity(d.key, id)
		at = next
	}
	if !d.plain {
		if m := d.memos.find(d.key); m != nil {
			l.Memo, l.Size = m, m.Size
			return at, nil
		}
	}
	for i := range runLen(d.key) {
		d.keep(l, d.byIdentity(identityAt(d.key, i)))
	}
	if !d.plain && !l.TooLarge {
		m := &Memo{Fields: append([]Field(nil), l.Rest...), Size: l.Size}
		d.memos.keep(d.key, m)
		clear(l.Rest)
		l.Memo, l.Rest = m, l.Rest[:0]
	}
	return at, nil
}

func (d *Decoder) keep(l *List, f Field) {
	if l.count(f.Size(), d.maxList) {
		l.Rest = append(l.Rest, f)
	}
}

// field reads the instruction at block[at] and gives the offset behind it.
func (d *Decoder) field(block []byte, at int, l *List) (int, error) {
	switch b := block[at]; {
	case b&indexedBit != 0:
		index, next, why := readInteger(block, at, 7)
		if why != 0 {
			return at, &Error{Reason: why, Offset: at}
		}
		id, ok := d.identity(index)
		if !ok {
			return at, &Error{Reason: BadIndex, Offset: at, Got: index, Limit: d.table.last()}
		}
		d.keep(l, d.byIdentity(id))
		return next, nil
	case b&insertBit != 0:
		return d.literal(block, at, 6, l, true, false)
	case b&sizeUpdateBit != 0:
		// "This dynamic table size update MUST occur at the beginning of the
		// first header block following the change to the dynamic table size."
		// https://www.rfc-editor.org/rfc/rfc7541#section-4.2
		return at, &Error{Reason: SizeUpdateLate, Offset: at}
	default:
		return d.literal(block, at, 4, l, false, b&neverIndexBit != 0)
	}
}

// jointValue is how long a value may be that shares one allocation with its
// name. Later entries of the same name hold on to that allocation, so a long
// value must not be in it: it would outlive its eviction uncounted.
const jointValue = 64

// literal reads a literal field, inserts it if told to, and keeps it if there
// is room in l. Its strings are made only if one of the two wants them.
// https://www.rfc-editor.org/rfc/rfc7541#section-6.2
func (d *Decoder) literal(block []byte, start int, prefix uint, l *List, insert, sensitive bool) (int, error) {
	index, at, why := readInteger(block, start, prefix)
	if why != 0 {
		return start, &Error{Reason: why, Offset: start}
	}
	f := Field{Sensitive: sensitive}
	var name []byte
	d.text = d.text[:0]
	if index != 0 {
		id, ok := d.identity(index)
		if !ok {
			return start, &Error{Reason: BadIndex, Offset: start, Got: index, Limit: d.table.last()}
		}
		f.Name = d.byIdentity(id).Name
	} else {
		if name, at, why = d.octets(block, at); why != 0 {
			return start, &Error{Reason: why, Offset: start}
		}
		if known, ok := knownName(name); ok {
			f.Name, name = known, nil
		}
	}
	value, at, why := d.octets(block, at)
	if why != 0 {
		return start, &Error{Reason: why, Offset: start}
	}

	size := fieldSize(len(f.Name)+len(name), len(value))
	keep := l.count(size, d.maxList)
	fits := d.table.fits(size)
	if keep || insert && fits {
		switch {
		case len(name) == 0:
			f.Value = string(value)
		case len(value) > jointValue:
			f.Name, f.Value = string(name), string(value)
		default:
			f.Name, f.Value = d.join(name, value)
		}
	}
	switch {
	case insert && fits:
		d.table.insert(f)
	case insert:
		// "an attempt to add an entry larger than the maximum size causes the
		// table to be emptied of all existing entries"
		// https://www.rfc-editor.org/rfc/rfc7541#section-4.4
		d.table.evict(0)
	}
	if keep {
		l.Rest = append(l.Rest, f)
	}
	return at, nil
}

// octets reads a string literal. What it gives is valid until d.text is
// emptied.
func (d *Decoder) octets(block []byte, at int) (s []byte, next int, why Reason) {
	s, huffman, next, why := readString(block, at)
	if why == 0 && huffman {
		s, why = d.text.decodeHuffman(s)
	}
	return s, next, why
}

// join makes two strings with one allocation.
func (d *Decoder) join(name, value []byte) (string, string) {
	start := len(d.text)
	d.text = append(append(d.text, name...), value...)
	s := string(d.text[start:])
	return s[:len(name)], s[len(name):]
}

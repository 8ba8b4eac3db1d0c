package field

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
)

func TestFaultyBlocks(t *testing.T) {
	for _, tt := range []struct {
		name, octets string
		want         Reason
		offset       int
	}{
		{"index 0", "80", BadIndex, 0},
		{"index past the static table of an empty one", "82 be", BadIndex, 1},
		{"index of 32 bits", "ff 80 ff ff ff 0f", BadIndex, 0},
		{"index of 64 bits", "ff 80 ff ff ff ff ff ff ff 7f", IntegerOverflow, 0},
		{"index past the end, in a run behind a field", "04 00 be", BadIndex, 2},
		{"name index past the end, inserting", "7e 00", BadIndex, 0},
		{"name index past the end, not indexing", "0f 2f 00", BadIndex, 0},
		{"index cut", "ff", Truncated, 0},
		{"no name", "40", Truncated, 0},
		{"name cut", "40 03 61 62", Truncated, 0},
		{"no value", "40 01 61", Truncated, 0},
		{"value cut", "82 41 05 61", Truncated, 1},
		{"a value of 4 GiB announced, of 2 octets present", "41 7f 80 ff ff ff 0f 61 61", Truncated, 0},
		{"length of more than 32 bits", "41 7f ff ff ff ff 7f 61", IntegerOverflow, 0},
		{"size update cut", "3f", Truncated, 0},
		{"size update over the limit", "3f e2 1f", SizeUpdateTooHigh, 0},
		{"size update after a field", "82 20", SizeUpdateLate, 1},
		{"size update after a literal", "04 00 20", SizeUpdateLate, 2},
		// "A Huffman-encoded string literal containing the EOS symbol MUST be
		// treated as a decoding error."
		{"EOS", "41 84 ff ff ff ff", BadHuffman, 0},
		// "A padding strictly longer than 7 bits MUST be treated as a decoding error."
		{"padding of 11 bits", "41 82 07 ff", BadHuffman, 0},
		// "A padding not corresponding to the most significant bits of the code
		// for the EOS symbol MUST be treated as a decoding error."
		{"padding of zeros", "41 81 00", BadHuffman, 0},
		{"name is no Huffman code", "40 81 00 00", BadHuffman, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var d Decoder
			d.Init(defaultTableSize, 0)
			var l List
			err := d.Decode(unhex(t, tt.octets), &l)
			var fault *Error
			if !errors.As(err, &fault) || fault.Reason != tt.want || fault.Offset != tt.offset {
				t.Errorf("got %v, want reason %d at octet %d", err, tt.want, tt.offset)
			}
		})
	}
}

func TestEmptyBlock(t *testing.T) {
	var d Decoder
	d.Init(defaultTableSize, 0)
	l := List{Rest: list("stale: yes"), TooLarge: true}
	if err := d.Decode(nil, &l); err != nil || len(collect(&l)) != 0 || l.TooLarge {
		t.Errorf("got %v, %+v; want an empty list", err, l)
	}
}

// Row A57: the table size we advertise bounds the decoder's table, above and below the default.
// Row C6: a table above 4,096 octets that is announced is there.
func TestAdvertisedTableSizeIsApplied(t *testing.T) {
	update := func(n uint64) []byte { return appendInteger(nil, sizeUpdateBit, 5, n) }
	insert := appendLiteral(nil, insertBit, 6, 0, entryOf(0, 100))
	for _, tt := range []struct {
		name       string
		advertised uint32
		acked      bool
		block      []byte
		want       Reason
		max        uint32
	}{
		{"default", 4096, true, insert, 0, 4096},
		{"raised, as far as announced", 65536, true, update(65536), 0, 65536},
		{"raised, further than announced", 65536, true, update(65537), SizeUpdateTooHigh, 0},
		{"raised, the peer need not follow", 65536, true, insert, 0, 4096},
		{"lowered, not yet known to the peer", 100, false, insert, 0, 4096},
		{"lowered, not yet known to the peer, who updates", 100, false, update(4096), 0, 4096},
		{"lowered, as far as announced", 100, true, append(update(100), insert...), 0, 100},
		{"lowered, further than announced", 100, true, update(50), 0, 50},
		{"lowered, not as far as announced", 100, true, update(101), SizeUpdateTooHigh, 0},
		// https://www.rfc-editor.org/rfc/rfc9113#section-4.3.1; see SettingsAcked.
		{"lowered, without the update", 100, true, insert, SizeUpdateMissing, 0},
		{"lowered, without the update, empty block", 100, true, nil, SizeUpdateMissing, 0},
		{"no table", 0, true, append(update(0), insert...), 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var d Decoder
			d.Init(tt.advertised, 0)
			if tt.acked {
				d.SettingsAcked()
			}
			var l List
			err := d.Decode(tt.block, &l)
			var fault *Error
			switch {
			case tt.want != 0 && (!errors.As(err, &fault) || fault.Reason != tt.want):
				t.Errorf("got %v, want reason %d", err, tt.want)
			case tt.want == 0 && (err != nil || d.table.max != tt.max || d.table.size > tt.max):
				t.Errorf("got %v, a table of %d octets of %d, want at most %d", err, d.table.size, d.table.max, tt.max)
			}
		})
	}
}

func TestSmallestUpdateEvicts(t *testing.T) {
	var d Decoder
	d.Init(defaultTableSize, 0)
	var l List
	decode := func(block []byte) {
		t.Helper()
		if err := d.Decode(block, &l); err != nil {
			t.Fatal(err)
		}
	}
	decode(appendLiteral(appendLiteral(nil, insertBit, 6, 0, entryOf(0, 100)), insertBit, 6, 0, entryOf(1, 100)))
	decode(appendInteger(appendInteger(nil, sizeUpdateBit, 5, 150), sizeUpdateBit, 5, 4096))
	if got := d.table.newest(); !slices.Equal(got, []Field{entryOf(1, 100)}) || d.table.max != 4096 {
		t.Errorf("table %v of %d octets, want the newest entry only, of 4096", got, d.table.max)
	}
}

// Row A57: a list over the limit is cut, and the table stays right for the blocks that follow.
func TestTooLargeListKeepsTheTableRight(t *testing.T) {
	inserted := list("x-one: 1", "x-two: 2")
	build := func(big Field) []byte {
		b := appendInteger(nil, indexedBit, 7, 3) // :method: POST, counts 43
		b = appendLiteral(b, insertBit, 6, 0, inserted[0])
		b = appendLiteral(b, 0, 4, 0, big)
		b = appendLiteral(b, insertBit, 6, 0, inserted[1])
		return appendInteger(b, indexedBit, 7, 62)
	}
	for _, n := range []int{20, 1000, 100_000} {
		big := Field{Name: "x-big", Value: strings.Repeat("~", n)}
		size := 43 + inserted[0].Size() + big.Size() + 2*inserted[1].Size()
		for _, limit := range []uint32{1, 42, 43, 100, size - 1, size, 0} {
			var d Decoder
			d.Init(defaultTableSize, limit)
			var l List
			if err := d.Decode(build(big), &l); err != nil {
				t.Fatal(err)
			}
			if limit == 0 {
				limit = 64 << 10
			}
			all := append(list(":method: POST"), inserted[0], big, inserted[1], inserted[1])
			var want []Field
			var kept uint32
			for _, f := range all {
				if kept += f.Size(); kept > limit {
					break
				}
				want = append(want, f)
			}
			if got := collect(&l); !slices.Equal(got, want) || l.TooLarge != (size > limit) || l.Size != size {
				t.Errorf("limit %d: %d fields, TooLarge %v, Size %d; want %d, %v, %d",
					limit, len(got), l.TooLarge, l.Size, len(want), size > limit, size)
			}
			if got, want := d.table.newest(), []Field{inserted[1], inserted[0]}; !slices.Equal(got, want) {
				t.Errorf("limit %d: table %v, want %v", limit, got, want)
			}
		}
	}
}

// A short block of indices may stand for more octets than 32 bits count.
func TestListSizeDoesNotWrap(t *testing.T) {
	l := List{Size: math.MaxUint32 - 10}
	if l.count(4096, 64<<10) || l.Size != math.MaxUint32 || !l.TooLarge {
		t.Errorf("Size %d, TooLarge %v; want the highest, true", l.Size, l.TooLarge)
	}
}

func TestLiteralLargerThanTheTableEmptiesIt(t *testing.T) {
	var d Decoder
	d.Init(defaultTableSize, 1<<20)
	small, large := entryOf(0, 100), entryOf(1, 4097)
	var l List
	if err := d.Decode(appendLiteral(appendLiteral(nil, insertBit, 6, 0, small), insertBit, 6, 0, large), &l); err != nil {
		t.Fatal(err)
	}
	if got := collect(&l); !slices.Equal(got, []Field{small, large}) {
		t.Errorf("%d fields, want both", len(got))
	}
	if d.table.count != 0 || d.table.size != 0 {
		t.Errorf("table has %d entries of %d octets, want none", d.table.count, d.table.size)
	}
}

// The name of an entry that is about to be evicted may be referred to.
// https://www.rfc-editor.org/rfc/rfc7541#section-4.4
func TestInsertByTheNameItEvicts(t *testing.T) {
	var d Decoder
	d.Init(defaultTableSize, 0)
	d.table.resize(120)
	var l List
	if err := d.Decode(appendLiteral(nil, insertBit, 6, 0, entryOf(7, 100)), &l); err != nil {
		t.Fatal(err)
	}
	want := Field{Name: entryOf(7, 100).Name, Value: "next"}
	if err := d.Decode(appendLiteral(nil, insertBit, 6, 62, want), &l); err != nil {
		t.Fatal(err)
	}
	if got := d.table.newest(); !slices.Equal(got, []Field{want}) {
		t.Errorf("table %v, want %v", got, want)
	}
}

// appendPlain appends s without Huffman code, whose decoder has a pool that
// forgets under the race detector.
func appendPlain(dst []byte, s string) []byte {
	return append(appendInteger(dst, 0, 7, uint64(len(s))), s...)
}

func TestLiteralAllocations(t *testing.T) {
	for _, tt := range []struct {
		name string
		f    Field
		at   uint32
		want float64
	}{
		{"name by index", Field{Value: "/weir.Shop/Buy"}, 4, 1},
		{"known name", Field{Name: "grpc-timeout", Value: "999984u"}, 0, 1},
		{"name and value in one", Field{Name: "x-request", Value: "4a0e-99"}, 0, 1},
		{"large value apart", Field{Name: "x-request", Value: strings.Repeat("~", 100)}, 0, 2},
		{"no value", Field{Name: "grpc-message"}, 0, 0},
	} {
		var d Decoder
		d.Init(defaultTableSize, 0)
		var l List
		block := appendInteger(nil, 0, 4, uint64(tt.at))
		if tt.at == 0 {
			block = appendPlain(block, tt.f.Name)
		}
		block = appendPlain(block, tt.f.Value)
		got := testing.AllocsPerRun(100, func() {
			if err := d.Decode(block, &l); err != nil {
				t.Fatal(err)
			}
		})
		if got != tt.want {
			t.Errorf("%s: %v allocations, want %v", tt.name, got, tt.want)
		}
	}
}

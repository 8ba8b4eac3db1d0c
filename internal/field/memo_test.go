package field

import (
	"fmt"
	"maps"
	"slices"
	"testing"
)

// hits decodes blocks and counts those whose memo was there before.
func hits(t *testing.T, d *Decoder, blocks [][]byte, want ...[]Field) (n int) {
	t.Helper()
	known := map[*Memo]bool{}
	var l List
	for i, block := range blocks {
		if err := d.Decode(block, &l); err != nil {
			t.Fatalf("block %d: %v", i, err)
		}
		if got := collect(&l); !slices.Equal(got, want[i]) {
			t.Fatalf("block %d: %v, want %v", i, got, want[i])
		}
		var size uint32
		for f := range l.All {
			size += f.Size()
		}
		if l.Size != size || l.TooLarge {
			t.Fatalf("block %d: Size %d, TooLarge %v; want %d", i, l.Size, l.TooLarge, size)
		}
		if l.Memo != nil && len(l.Memo.Fields) > 2 && known[l.Memo] {
			n++
		}
		known[l.Memo] = true
	}
	return n
}

// grpc-go's client inserts each new grpc-timeout, which shifts the indices of
// all other fields and now and then evicts them. The run is known nevertheless.
func TestMemoHitsThoughIndicesShift(t *testing.T) {
	const calls = 500
	var lists [][]Field
	for i := range calls {
		lists = append(lists, request("/weir.Shop/Buy", fmt.Sprintf("%du", 999_999-i)))
	}
	blocks := foreignBlocks(t, lists...)
	var d Decoder
	d.Init(defaultTableSize, 0)
	got := hits(t, &d, blocks, lists...)
	// 4096 octets hold some 80 timeouts: about once in 80 calls the run is
	// evicted, spelt out again, and learnt again.
	if got < calls*9/10 {
		t.Errorf("%d of %d requests were known by their run, want 9 in 10", got, calls)
	}
	t.Logf("%d of %d, %d memos", got, calls, d.memos.len())
}

func TestMemoHitsOfSeveralMethods(t *testing.T) {
	var lists [][]Field
	for i := range 300 {
		lists = append(lists, request(fmt.Sprintf("/weir.Shop/M%d", i%10), "", fmt.Sprintf("x-id: %d", i)))
	}
	var d Decoder
	d.Init(defaultTableSize, 0)
	// Each method is learnt anew when the ids have evicted it: twice in 300.
	if got := hits(t, &d, foreignBlocks(t, lists...), lists...); got < 200 {
		t.Errorf("%d of 300 requests were known by their run, want 200", got)
	}
}

// An index that came to mean another field never gives the old memo.
func TestMemoFollowsWhatAnIndexMeans(t *testing.T) {
	var d Decoder
	d.Init(defaultTableSize, 0)
	run := []byte{0x83, 0xbe, 0xbf} // :method POST and the two newest entries
	var l List
	for i := range 200 {
		f := Field{Name: "x-call", Value: fmt.Sprint(i)}
		if err := d.Decode(appendLiteral(nil, insertBit, 6, 0, f), &l); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			continue
		}
		for range 2 {
			if err := d.Decode(run, &l); err != nil {
				t.Fatal(err)
			}
			want := []Field{staticTable[3], f, {Name: "x-call", Value: fmt.Sprint(i - 1)}}
			if got := collect(&l); !slices.Equal(got, want) {
				t.Fatalf("insert %d: %v, want %v", i, got, want)
			}
		}
		if i%20 == 19 { // numbers go on, whatever is evicted
			if err := d.Decode([]byte{0x20, 0x3f, 0xe1, 0x1f}, &l); err != nil {
				t.Fatal(err)
			}
			if err := d.Decode(appendLiteral(nil, insertBit, 6, 0, f), &l); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A run may follow size updates and precede inserts of its own block.
func TestMemoBetweenUpdateAndInsert(t *testing.T) {
	var d Decoder
	d.Init(defaultTableSize, 0)
	var l List
	decode := func(block []byte) *Memo {
		t.Helper()
		if err := d.Decode(block, &l); err != nil {
			t.Fatal(err)
		}
		return l.Memo
	}
	decode(appendLiteral(nil, insertBit, 6, 0, Field{Name: "x", Value: "1"}))
	first := decode([]byte{0x83, 0xbe})
	again := decode(appendLiteral([]byte{0x3f, 0xe1, 0x1f, 0x83, 0xbe}, insertBit, 6, 0, Field{Name: "y", Value: "2"}))
	shifted := decode([]byte{0x83, 0xbf})
	if first == nil || again != first || shifted != first {
		t.Errorf("memos %p, %p, %p; want one", first, again, shifted)
	}
	if other := decode([]byte{0x83, 0xbe}); other == first {
		t.Errorf("the memo of x for a run with y")
	}
}

func TestMemoIsBounded(t *testing.T) {
	var d Decoder
	d.Init(65536, 1<<20)
	var l List
	decode := func(block []byte) {
		t.Helper()
		if err := d.Decode(block, &l); err != nil {
			t.Fatal(err)
		}
		var size uint32
		byKey := maps.Clone(d.memos.byKey)
		for _, k := range d.memos.few {
			if byKey[k.key] != nil || d.memos.byKey != nil {
				t.Fatal("a memo is there twice, or in the wrong place")
			}
			if byKey == nil {
				byKey = make(map[string]*Memo)
			}
			byKey[k.key] = k.memo
		}
		for key, m := range byKey {
			size += m.Size + uint32(len(key)) + memoOverhead
		}
		if size != d.memos.size || size > maxMemoBytes || d.memos.len() > maxMemos {
			t.Fatalf("%d memos of %d octets, counted %d; want at most %d of %d",
				d.memos.len(), size, d.memos.size, maxMemos, maxMemoBytes)
		}
	}
	for i := range 61 { // many short runs
		for j := range 61 {
			decode([]byte{indexedBit | byte(i+1), indexedBit | byte(j+1)})
		}
	}
	decode(appendLiteral(nil, insertBit, 6, 0, entryOf(0, 3000)))
	for i := range 61 { // large ones
		block := []byte{indexedBit | byte(i+1), 0xbe, 0xbe}
		decode(block)
		if l.Memo == nil || len(l.Rest) != 0 {
			t.Fatal("no memo for a run of three fields")
		}
	}
	huge := append([]byte{0xbe}, slices.Repeat([]byte{0xbe}, 20)...)
	decode(huge)
	if got := collect(&l); len(got) != len(huge) || got[20] != entryOf(0, 3000) {
		t.Errorf("%d fields, want %d", len(got), len(huge))
	}
	long := slices.Repeat([]byte{0x83}, 3*maxRun)
	for range 2 {
		decode(long)
		if got := collect(&l); len(got) != len(long) || l.Size != uint32(len(long))*43 {
			t.Errorf("%d fields of %d octets, want %d", len(got), l.Size, len(long))
		}
	}
}

func TestMemoKeepsWhatItsOwnerParsed(t *testing.T) {
	var d Decoder
	d.Init(defaultTableSize, 0)
	var l List
	for i := range 3 {
		if err := d.Decode([]byte{0x83, 0x86}, &l); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			l.Memo.Parsed = "POST over http"
		} else if l.Memo.Parsed != "POST over http" {
			t.Errorf("Parsed is %v", l.Memo.Parsed)
		}
	}
}

// A run over the list limit is cut like any list, each time anew.
func TestTooLargeRunIsNoMemo(t *testing.T) {
	var d Decoder
	d.Init(defaultTableSize, 100)
	var l List
	for range 2 {
		if err := d.Decode([]byte{0x83, 0x86, 0x84}, &l); err != nil {
			t.Fatal(err)
		}
		if !l.TooLarge || l.Memo != nil || len(l.Rest) != 2 || l.Size != 43+43+38 {
			t.Errorf("TooLarge %v, %d fields, Size %d; want true, 2, 124", l.TooLarge, len(l.Rest), l.Size)
		}
	}
}

func TestMemoHitDoesNotAllocate(t *testing.T) {
	blocks := foreignBlocks(t, request("/weir.Shop/Buy", ""), request("/weir.Shop/Buy", ""))
	var d Decoder
	d.Init(defaultTableSize, 0)
	var l List
	for _, b := range blocks {
		if err := d.Decode(b, &l); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(100, func() {
		if err := d.Decode(blocks[1], &l); err != nil || l.Memo == nil {
			t.Fatal("no memo", err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a block, want none", n)
	}
}

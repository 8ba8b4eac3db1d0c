package field

import (
	"fmt"
	"slices"
	"testing"
)

// Replayed blocks between inserts and size changes always say their own fields:
// a replay at the wrong version would say another method's.
func TestReplayBetweenInserts(t *testing.T) {
	var e Encoder
	peer := newForeign(4096)
	var blocks []*Block
	var fields [][]Field
	for i := range 5 {
		fs := request(fmt.Sprintf("/weir.Shop/M%d", i), "")
		blocks, fields = append(blocks, NewBlock(fs...)), append(fields, fs)
	}
	replays := 0
	for call := range 600 {
		which := call % 5
		if call == 200 {
			e.SetMaxTableSize(300)
		}
		if call == 400 {
			e.SetMaxTableSize(4096)
		}
		b, want := blocks[which], slices.Clone(fields[which])
		if b.encoder == &e && b.version == e.version {
			replays++
		}
		wire := e.AppendBlock(e.Begin(nil), b)
		extra := Field{Name: "x-extra", Value: fmt.Sprint(call / 7)} // recurs, so is inserted
		wire = e.AppendField(wire, extra, IndexAuto)
		want = append(want, extra)
		if call%3 == 0 { // a second replay behind an insert of the same block
			wire = e.AppendBlock(wire, blocks[(which+1)%5])
			want = append(want, fields[(which+1)%5]...)
		}
		if got, err := peer.decode(wire); err != nil || !slices.Equal(got, want) {
			t.Fatalf("call %d: the peer read %v, %v\nwant %v", call, got, err, want)
		}
		peer.wantTable(t, e.newest())
	}
	if replays < 200 || replays > 590 {
		t.Errorf("%d of 600 blocks were replayed: the test wants many, and some that were not", replays)
	}
}

func TestBlockSettles(t *testing.T) {
	fs := append(request("/weir.Shop/Buy", ""), Field{Name: "authorization", Value: "Bearer abc", Sensitive: true})
	var e Encoder
	b := NewBlock(fs...)
	first := len(e.AppendBlock(nil, b))
	if b.encoder != nil {
		t.Errorf("kept the octets of first sight: they would never be inserted")
	}
	e.AppendBlock(nil, b)
	if b.encoder != nil {
		t.Errorf("kept octets that insert")
	}
	third := len(e.AppendBlock(nil, b))
	if b.encoder != &e || third*2 > first {
		t.Errorf("third time %d octets, first %d, kept %v; want less than half, kept", third, first, b.encoder == &e)
	}
	if want := fs[0].Size() + fs[len(fs)-1].Size(); b.Size() < want {
		t.Errorf("Size %d, want more than %d", b.Size(), want)
	}
}

// A full table, or none, lets a block settle with literals, until there is room.
func TestBlockSettlesWithoutRoom(t *testing.T) {
	var e Encoder
	e.SetMaxTableSize(0)
	peer := newForeign(4096)
	fs := request("/weir.Shop/Buy", "")
	b := NewBlock(fs...)
	for i := range 6 {
		if i == 3 {
			e.SetMaxTableSize(4096)
		}
		wire := e.AppendBlock(e.Begin(nil), b)
		if got, err := peer.decode(wire); err != nil || !slices.Equal(got, fs) {
			t.Fatalf("block %d: read %v, %v", i, got, err)
		}
		if kept := b.encoder == &e; kept != (i < 3 || i == 5) {
			t.Errorf("block %d: kept %v", i, kept)
		}
	}
}

// The octets of a Block are of no use to another Encoder.
func TestBlockOfAnotherEncoder(t *testing.T) {
	var one, two Encoder
	fs := request("/weir.Shop/Buy", "")
	b := NewBlock(fs...)
	for range 3 {
		one.AppendBlock(nil, b)
	}
	two.version = one.version
	if got, err := newForeign(4096).decode(two.AppendBlock(nil, b)); err != nil || !slices.Equal(got, fs) {
		t.Errorf("read %v, %v; want %v", got, err, fs)
	}
}

func TestReplayDoesNotAllocate(t *testing.T) {
	var e Encoder
	b := NewBlock(request("/weir.Shop/Buy", "")...)
	buf := make([]byte, 0, 1024)
	for range 3 {
		e.AppendBlock(buf, b)
	}
	if n := testing.AllocsPerRun(100, func() {
		dst := e.AppendBlock(e.Begin(buf), b)
		e.AppendField(dst, Field{Name: "grpc-timeout", Value: "1S"}, IndexNever)
	}); n != 0 {
		t.Errorf("%v allocations a block, want none", n)
	}
}

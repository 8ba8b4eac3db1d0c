package field

import (
	"fmt"
	"slices"
	"testing"
)

// replayOr is Replay, or AppendBlock where there is nothing to replay.
func (e *Encoder) replayOr(dst []byte, b *Block, fields []Field) ([]byte, bool) {
	dst, ok := e.Replay(dst, b)
	if !ok {
		dst = e.AppendBlock(dst, b, fields...)
	}
	return dst, ok
}

// Replayed blocks between inserts and size changes always say their own fields:
// a replay at the wrong version would say another method's.
func TestReplayBetweenInserts(t *testing.T) {
	var e Encoder
	peer := newForeign(4096)
	var blocks [5]Block
	var fields [][]Field
	for i := range 5 {
		fs := request(fmt.Sprintf("/weir.Shop/M%d", i), "")
		fields = append(fields, fs)
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
		want := slices.Clone(fields[which])
		wire, ok := e.replayOr(e.Begin(nil), &blocks[which], fields[which])
		if ok {
			replays++
		}
		extra := Field{Name: "x-extra", Value: fmt.Sprint(call / 7)} // recurs, so is inserted
		wire = e.AppendField(wire, extra, IndexAuto)
		want = append(want, extra)
		if call%3 == 0 { // a second replay behind an insert of the same block
			wire, _ = e.replayOr(wire, &blocks[(which+1)%5], fields[(which+1)%5])
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
	var b Block
	first := len(e.AppendBlock(nil, &b, fs...))
	if b.encoder != nil {
		t.Errorf("kept the octets of first sight: they would never be inserted")
	}
	e.AppendBlock(nil, &b, fs...)
	if b.encoder != nil {
		t.Errorf("kept octets that insert")
	}
	third := len(e.AppendBlock(nil, &b, fs...))
	if b.encoder != &e || third*2 > first {
		t.Errorf("third time %d octets, first %d, kept %v; want less than half, kept", third, first, b.encoder == &e)
	}
	if again, ok := e.Replay(nil, &b); !ok || len(again) != third {
		t.Errorf("replayed %d octets, %v; want %d", len(again), ok, third)
	}
}

// A full table, or none, lets a block settle with literals, until there is room.
func TestBlockSettlesWithoutRoom(t *testing.T) {
	var e Encoder
	e.SetMaxTableSize(0)
	peer := newForeign(4096)
	fs := request("/weir.Shop/Buy", "")
	var b Block
	for i := range 6 {
		if i == 3 {
			e.SetMaxTableSize(4096)
		}
		wire, _ := e.replayOr(e.Begin(nil), &b, fs)
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
	var b Block
	for range 3 {
		one.AppendBlock(nil, &b, fs...)
	}
	two.version = one.version
	wire, ok := two.replayOr(nil, &b, fs)
	if got, err := newForeign(4096).decode(wire); ok || err != nil || !slices.Equal(got, fs) {
		t.Errorf("read %v, %v; want %v", got, err, fs)
	}
}

func TestReplayDoesNotAllocate(t *testing.T) {
	var e Encoder
	var b Block
	fs := request("/weir.Shop/Buy", "")
	buf := make([]byte, 0, 1024)
	for range 3 {
		e.AppendBlock(buf, &b, fs...)
	}
	if n := testing.AllocsPerRun(100, func() {
		dst, ok := e.Replay(e.Begin(buf), &b)
		if !ok {
			t.Fatal("nothing is replayed")
		}
		e.AppendField(dst, Field{Name: "grpc-timeout", Value: "1S"}, IndexNever)
	}); n != 0 {
		t.Errorf("%v allocations a block, want none", n)
	}
}

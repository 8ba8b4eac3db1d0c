package transport

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/weir-rpc/weir/internal/buffer"
)

// What is pending keeps its order, whether it was copied or not, and holds no
// memory once it is dropped.
func TestPending_Order_IsThatOfItsParts(t *testing.T) {
	var p pending
	var want []byte
	rng := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		part := make([]byte, 1+rng.IntN(3000))
		for i := range part {
			part[i] = byte(rng.Uint32())
		}
		want = append(want, part...)
		switch rng.IntN(3) {
		case 0:
			p.copy(part)
		case 1:
			copy(p.room(len(part)), part)
		default:
			b := buffer.Get(len(part))
			copy(*b, part)
			p.ref(*b)
			p.keep(b)
		}
	}
	if got := bytes.Join(p.segs, nil); !bytes.Equal(got, want) || p.size != len(want) {
		t.Errorf("%d octets of %d are not what was put in", len(got), len(want))
	}
	p.drop()
	if !p.empty() || len(p.owned) > 0 {
		t.Error("a batch that was dropped holds something")
	}
}

// Large payloads between small frames do not cost a chunk each.
func TestPending_SmallFramesBetweenLarge_ShareAChunk(t *testing.T) {
	var p pending
	large := make([]byte, 100)
	for range 50 {
		p.copy([]byte("a small frame"))
		p.ref(large)
	}
	if len(p.owned) != 1 {
		t.Errorf("50 small frames took %d chunks", len(p.owned))
	}
	p.drop()
}

// A batch that is discarded forgets its octets and keeps its memory, which a
// write that is under way may still read from.
func TestPending_Discarded_KeepsItsMemory(t *testing.T) {
	var p pending
	p.copy([]byte("gone"))
	p.discard()
	p.copy([]byte("last words"))
	if got := string(bytes.Join(p.segs, nil)); got != "last words" || len(p.owned) != 2 {
		t.Errorf("%q in %d chunks", got, len(p.owned))
	}
	p.drop()
}

// What is copied leaves in as few pieces as it can: each is a write of its own,
// and over TLS a record.
func TestPending_Copied_FillsItsChunks(t *testing.T) {
	var p pending
	payload := make([]byte, 16<<10)
	for range 8 {
		copy(p.room(9), "a header.")
		p.copy(payload)
	}
	if want := (8*(9+len(payload)) + chunkSize - 1) / chunkSize; len(p.segs) != want {
		t.Errorf("8 frames are in %d pieces, want %d", len(p.segs), want)
	}
	p.drop()
}

package field

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

var fuzzLimits = []uint32{4096, 0, 64, 256, 65536}

// stricter reports whether two verdicts may differ: where we go by the RFC and
// x/net does not.
func stricter(block []byte, ours, theirs error) bool {
	if fault, ok := errors.AsType[*Error](ours); ok {
		switch fault.Reason {
		case IntegerOverflow: // x/net takes padding up to nine octets
			return true
		case SizeUpdateLate: // x/net takes it while its table is empty
			return theirs == nil || strings.Contains(theirs.Error(), "beginning of a header block")
		}
	}
	// x/net refuses the second of two updates while its table is not empty.
	return theirs != nil && strings.Contains(theirs.Error(), "beginning of a header block") &&
		len(block) > 1 && block[0]&sizeUpdateMask == sizeUpdateBit
}

// Octets of any kind: the same fields, the same verdicts and the same tables as x/net.
// The first octet chooses the table size that we advertise; each block follows
// its length in one octet.
func FuzzDecoderAgainstHpack(f *testing.F) {
	seed := func(limit byte, blocks ...[]byte) {
		data := []byte{limit}
		for _, b := range blocks {
			if len(b) < 256 {
				data = append(append(data, byte(len(b))), b...)
			}
		}
		f.Add(data)
	}
	for _, group := range vectors {
		var blocks [][]byte
		for _, v := range group.blocks {
			blocks = append(blocks, unhex(f, v.octets))
		}
		seed(0, blocks...)
	}
	seed(4, append(foreignBlocks(f, request("/a.B/C", "1S"), request("/a.B/C", "2S"), request("/a.B/D", "")),
		[]byte{0x20, 0x3f, 0xe1, 0x1f, 0x83}, []byte{0x3f, 0xe1, 0xff, 0x03})...)
	seed(1, []byte{0x20, 0x83}, []byte{0x20, 0x20, 0x40, 1, 'a', 0})
	seed(0, []byte{0x83, 0x20}, []byte{0xff, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00})

	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) == 0 {
			return
		}
		limit := fuzzLimits[int(data[0])%len(fuzzLimits)]
		data = data[1:]
		var d Decoder
		d.Init(limit, math.MaxUint32)
		peer := newForeign(max(limit, defaultTableSize))
		var l List
		for len(data) > 0 {
			n := min(int(data[0]), len(data)-1)
			block := data[1 : 1+n]
			data = data[1+n:]
			err := d.Decode(block, &l)
			want, wantErr := peer.decode(block)
			if (err == nil) != (wantErr == nil) && !stricter(block, err, wantErr) {
				t.Fatalf("block % x: we say %v, x/net says %v", block, err, wantErr)
			}
			if err != nil || wantErr != nil {
				return
			}
			if got := collect(&l); !slices.Equal(got, want) {
				t.Fatalf("block % x:\nwe read    %v\nx/net read %v", block, got, want)
			}
			peer.wantTable(t, d.table.newest())
		}
	})
}

// Blocks that make sense, in long sequences: a decoder with memos, one without
// and x/net agree, whatever is inserted, evicted and cut.
func FuzzMemoAgainstPlain(f *testing.F) {
	for i := range 40 {
		var data []byte
		for j := range 600 {
			data = append(data, byte(i*j*j+j*7+i*31+j/(i+1)))
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s := script{octets: data}
		limit := fuzzLimits[s.pick(len(fuzzLimits))]
		maxList := []uint32{0, 100, 300, 2000, math.MaxUint32}[s.pick(5)]
		var memo, plain Decoder
		memo.Init(limit, maxList)
		plain.Init(limit, maxList)
		plain.plain = true
		limit = max(limit, defaultTableSize)
		peer := newForeign(limit)
		var a, b List
		var blocks [][]byte
		for s.more() {
			var block []byte
			if len(blocks) > 0 && s.pick(2) == 1 { // peers repeat themselves
				block = blocks[s.pick(len(blocks))]
			} else {
				block = s.block(&plain.table, limit)
				blocks = append(blocks, block)
			}
			aErr, bErr := memo.Decode(block, &a), plain.Decode(block, &b)
			if fmt.Sprint(aErr) != fmt.Sprint(bErr) {
				t.Fatalf("block % x: with memos %v, without %v", block, aErr, bErr)
			}
			want, wantErr := peer.decode(block)
			if (aErr == nil) != (wantErr == nil) && !stricter(block, aErr, wantErr) {
				t.Fatalf("block % x: we say %v, x/net says %v", block, aErr, wantErr)
			}
			if aErr != nil || wantErr != nil {
				return
			}
			got := collect(&a)
			if !slices.Equal(got, b.Rest) || a.Size != b.Size || a.TooLarge != b.TooLarge {
				t.Fatalf("block % x:\nwith memos %v %d %v\nwithout    %v %d %v", block, got, a.Size, a.TooLarge, b.Rest, b.Size, b.TooLarge)
			}
			if len(got) > len(want) || !slices.Equal(got, want[:len(got)]) || a.TooLarge == (len(got) == len(want)) {
				t.Fatalf("block % x:\nwe read    %v, TooLarge %v\nx/net read %v", block, got, a.TooLarge, want)
			}
			peer.wantTable(t, memo.table.newest())
		}
	})
}

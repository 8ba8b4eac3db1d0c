package field

import (
	"bytes"
	"slices"
	"testing"
)

// https://www.rfc-editor.org/rfc/rfc7541#section-4.2
func TestSizeUpdates(t *testing.T) {
	update := func(sizes ...uint64) (b []byte) {
		for _, n := range sizes {
			b = appendInteger(b, sizeUpdateBit, 5, n)
		}
		return b
	}
	for _, tt := range []struct {
		name   string
		limits []uint32
		want   []byte
	}{
		{"none", nil, nil},
		{"the default again", []uint32{4096}, nil},
		{"raised: 4096 are enough", []uint32{65536}, nil},
		{"lowered", []uint32{1000}, update(1000)},
		{"lowered to nothing", []uint32{0}, update(0)},
		{"lowered twice", []uint32{1000, 500}, update(500)},
		// "The smallest maximum table size that occurs in that interval MUST be signaled"
		{"lowered and raised", []uint32{1000, 2000}, update(1000, 2000)},
		{"lowered and back", []uint32{0, 4096}, update(0, 4096)},
		{"up and down", []uint32{65536, 300, 800, 500}, update(300, 500)},
		{"a reduction above what is used", []uint32{65536, 5000}, update(4096)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var e Encoder
			for _, n := range tt.limits {
				e.SetMaxTableSize(n)
			}
			if got := e.Begin(nil); !bytes.Equal(got, tt.want) {
				t.Errorf("% x, want % x", got, tt.want)
			}
			if got := e.Begin(nil); len(got) != 0 {
				t.Errorf("the next block starts with % x, want nothing", got)
			}
			e.SetMaxTableSize(100)
			if got := e.Begin([]byte{1}); !bytes.Equal(got, append([]byte{1}, update(100)...)) {
				t.Errorf("a later change gives % x", got)
			}
		})
	}
}

// Lowered limits evict at once, on both sides of the wire.
func TestLoweredLimitEvicts(t *testing.T) {
	for _, limits := range [][]uint32{{250}, {100}, {99}, {0}, {100, 4096}, {250, 200, 4096}, {0, 4096, 50, 300}} {
		var e Encoder
		peer := newForeign(4096)
		for i := range 4 {
			for range 2 {
				if _, err := peer.decode(e.AppendField(e.Begin(nil), entryOf(i, 100), IndexAuto)); err != nil {
					t.Fatal(err)
				}
			}
		}
		peer.wantTable(t, []Field{entryOf(3, 100), entryOf(2, 100), entryOf(1, 100), entryOf(0, 100)})
		for _, n := range limits {
			e.SetMaxTableSize(n)
		}
		var want []Field
		var block []byte
		block = e.Begin(block)
		for i := range 4 {
			f := entryOf(i, 100)
			block = e.AppendField(block, f, IndexAuto)
			want = append(want, f)
		}
		if got, err := peer.decode(block); err != nil || !slices.Equal(got, want) {
			t.Fatalf("limits %v: read %v, %v", limits, got, err)
		}
		if last := limits[len(limits)-1]; e.size > last {
			t.Errorf("limits %v: table has %d octets", limits, e.size)
		}
		peer.wantTable(t, e.newest())
	}
}

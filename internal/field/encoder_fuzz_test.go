package field

import (
	"slices"
	"testing"
)

// Random fields, recurring blocks and size changes: x/net and our own decoder
// read what was meant, and the three tables stay in step.
func FuzzEncoderAgainstHpack(f *testing.F) {
	for i := range 40 {
		var data []byte
		for j := range 800 {
			data = append(data, byte(i*j*j+j*11+i*17+j/(i+1)))
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s := script{octets: data}
		blocks := make([]Block, 6)
		fields := make([][]Field, len(blocks))
		for i := range blocks {
			for range s.pick(6) {
				fd := s.field()
				fd.Sensitive = s.pick(8) == 7
				fields[i] = append(fields[i], fd)
			}
		}
		var e Encoder
		peer := newForeign(defaultTableSize)
		var own Decoder
		own.Init(65536, 1<<30)
		var l List
		for s.more() {
			for s.pick(12) == 11 {
				n := []uint32{0, 40, 100, 300, 1000, 4096, 5000, 65536}[s.pick(8)]
				e.SetMaxTableSize(n)
				peer.dec.SetAllowedMaxDynamicTableSize(n)
			}
			wire := e.Begin(nil)
			var want []Field
			for range s.pick(5) {
				if s.pick(2) == 1 {
					i := s.pick(len(blocks))
					wire, _ = e.replayOr(wire, &blocks[i], fields[i])
					want = append(want, fields[i]...)
					continue
				}
				fd := s.field()
				fd.Sensitive = s.pick(8) == 7
				before := e.version
				ix := Indexing(s.pick(2))
				wire = e.AppendField(wire, fd, ix)
				if e.version != before && (ix == IndexNever || fd.Sensitive) {
					t.Fatalf("%v was inserted, as %v", fd, ix)
				}
				want = append(want, fd)
			}
			if got, err := peer.decode(wire); err != nil || !slices.Equal(got, want) {
				t.Fatalf("block % x:\nx/net read %v, %v\nwanted     %v", wire, got, err, want)
			}
			if err := own.Decode(wire, &l); err != nil || !slices.Equal(collect(&l), want) {
				t.Fatalf("block % x:\nwe read %v, %v\nwanted  %v", wire, collect(&l), err, want)
			}
			table := e.newest()
			peer.wantTable(t, table)
			if got := own.table.newest(); !slices.Equal(got, table) || own.table.size != e.size || e.size > e.sizes.table() {
				t.Fatalf("tables differ:\ndecoder %v\nencoder %v", got, table)
			}
		}
	})
}

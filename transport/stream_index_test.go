package transport

import "testing"

// Ids that rise one by one need a place each and nothing else, though a few of the
// streams stay open for long.
func TestStreamIndex_IDsThatRise_HaveAPlace(t *testing.T) {
	x := newStreamIndex()
	var open []*stream
	for id := uint32(1); id < 20000; id += 2 {
		st := &stream{id: id}
		x.add(st)
		if open = append(open, st); len(open) > 128 {
			x.remove(open[3]) // the first three stay
			open = append(open[:3], open[4:]...)
		}
		for _, st := range open {
			if x.find(st.id) != st {
				t.Fatalf("stream %d is not found", st.id)
			}
		}
		if x.find(id+2) != nil {
			t.Fatalf("stream %d is found, which is not in", id+2)
		}
	}
	if len(x.places) > 512 || len(x.others) > 3 {
		t.Errorf("%d places, and %d streams without, for 128 streams", len(x.places), len(x.others))
	}
}

// Streams that are open at a time and came one after the other fill their places:
// a stream that idles costs little more than the pointer to it.
func TestStreamIndex_ManyAtATime_FillTheirPlaces(t *testing.T) {
	x := newStreamIndex()
	for n := range uint32(1 << 15) {
		x.add(&stream{id: 2*n + 1})
	}
	if len(x.places) != 1<<15 || len(x.others) != 0 {
		t.Errorf("%d places, and %d streams without, for %d streams", len(x.places), len(x.others), x.n)
	}
}

// A peer that chooses its ids badly gets a map, and no more places than others.
func TestStreamIndex_IDsFarApart_AreBounded(t *testing.T) {
	x := newStreamIndex()
	for n := range uint32(1000) {
		x.add(&stream{id: n<<20 + 1})
	}
	for n := range uint32(1000) {
		if st := x.find(n<<20 + 1); st == nil || st.id != n<<20+1 {
			t.Fatalf("stream %d gave %v", n<<20+1, st)
		}
	}
	if len(x.places) > 4096 {
		t.Errorf("%d places for %d streams", len(x.places), x.n)
	}
}

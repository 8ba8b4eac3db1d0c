package sched

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// Whoever joins and leaves, the line is what a slice would be.
func TestLineIsFirstComeFirstServed(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var l Line[int]
	var want []*Place[int]
	for i := range 20_000 {
		switch {
		case rng.IntN(100) < 52:
			want = append(want, l.Join(i))
		case len(want) > 0:
			at := 0 // the front is served
			if rng.IntN(2) == 0 {
				at = rng.IntN(len(want)) // somebody gives up
			}
			p := want[at]
			if want = slices.Delete(want, at, at+1); !l.Leave(p) || l.Leave(p) {
				t.Fatalf("%d did not leave once", p.Who)
			}
		}
		if l.Len() != len(want) || len(want) > 0 && l.Front() != want[0] {
			t.Fatalf("%d stand in line, want %d", l.Len(), len(want))
		}
	}
	for ; l.Len() > 0; want = want[1:] {
		if who := l.Next(); who != &want[0].Who {
			t.Fatalf("%d is next, want %d", *who, want[0].Who)
		}
	}
	if l.first != nil || l.last != nil {
		t.Error("an empty line holds somebody")
	}
}

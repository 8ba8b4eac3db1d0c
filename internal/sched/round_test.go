package sched

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/weir-rpc/weir/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// Row A106: who has more to send goes behind the others.
func TestRoundGivesTurnsInOrder(t *testing.T) {
	var r Round[int]
	left := map[int]int{1: 3, 2: 1, 3: 2}
	for s := 1; s <= 3; s++ {
		r.Push(s)
	}
	var turns []int
	for r.Len() > 0 {
		s := r.Pop()
		turns = append(turns, s)
		if left[s]--; left[s] > 0 {
			r.Push(s)
		}
	}
	if want := []int{1, 2, 3, 1, 3, 1}; !slices.Equal(turns, want) {
		t.Fatalf("turns = %v, want %v", turns, want)
	}
}

func TestRoundAgainstSlice(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var r Round[int]
	var model []int
	for i := range 100_000 {
		switch k := rnd.IntN(10); {
		case k < 4:
			r.Push(i)
			model = append(model, i)
		case k < 5:
			r.PushFront(i)
			model = slices.Insert(model, 0, i)
		default:
			want := 0
			if len(model) > 0 {
				want, model = model[0], model[1:]
			}
			if got := r.Pop(); got != want {
				t.Fatalf("step %d: Pop = %d, want %d", i, got, want)
			}
		}
		if r.Len() != len(model) {
			t.Fatalf("step %d: Len = %d, want %d", i, r.Len(), len(model))
		}
	}
}

func TestRoundKeepsNothingAfterABurst(t *testing.T) {
	var r Round[*int]
	for range 1000 {
		r.Push(new(int))
	}
	for r.Len() > 0 {
		r.Pop()
	}
	if r.ring != nil {
		t.Fatalf("an empty round keeps room for %d streams", len(r.ring))
	}
}

package sched

import (
	"math/rand/v2"
	"testing"
)

// Against a plain slice, in any order of pushes and pops.
func TestQueueIsFirstInFirstOut(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var q Queue[int]
	var model []int
	var room [1]int
	q.Use(room[:])
	for n := range 200_000 {
		if rising := n/500%2 == 0; len(model) == 0 || r.IntN(10) < 5 == rising && r.IntN(3) > 0 {
			q.Push(n)
			model = append(model, n)
		} else {
			if got := q.Pop(); got != model[0] {
				t.Fatalf("step %d: %d came out, want %d", n, got, model[0])
			}
			model = model[1:]
		}
		if q.Len() != len(model) {
			t.Fatalf("step %d: %d wait, want %d", n, q.Len(), len(model))
		}
		if len(model) > 0 && (*q.Front() != model[0] || *q.Back() != model[len(model)-1]) {
			t.Fatalf("step %d: from %d to %d, want %d to %d", n, *q.Front(), *q.Back(), model[0], model[len(model)-1])
		}
	}
}

// What a queue holds does not grow with what has passed through it.
func TestQueueThatIsNeverEmptyIsBounded(t *testing.T) {
	for _, waiting := range []int{1, 2, 7, 100} {
		var q Queue[*int]
		for range waiting {
			q.Push(new(int))
		}
		for range 100_000 {
			q.Push(new(int))
			q.Pop()
		}
		if got, most := cap(q.items), 4*(waiting+1); got > most {
			t.Errorf("%d wait in memory for %d, want at most %d", waiting, got, most)
		}
		for _, p := range q.items[:q.head] {
			if p != nil {
				t.Fatal("what was taken is still referred to")
			}
		}
	}
}

func TestEmptyQueueKeepsLittle(t *testing.T) {
	var q Queue[[64]byte]
	for range 10_000 {
		q.Push([64]byte{})
	}
	for q.Len() > 0 {
		q.Pop()
	}
	if n := cap(q.items) * 64; n > queueKeeps {
		t.Errorf("an empty queue keeps %d octets, want at most %d", n, queueKeeps)
	}
}

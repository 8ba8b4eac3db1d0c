package sched

// A Round is the order in which streams that had to wait get their turns:
// first come, first served, and who has more to send goes behind the others.
// The zero value is empty and usable. The caller holds its lock and sees to it
// that a stream stands in it at most once.
type Round[S any] struct {
	ring []S
	head int
	n    int
}

// Len gives the number of streams that wait.
func (r *Round[S]) Len() int { return r.n }

// Push puts s behind the others.
func (r *Round[S]) Push(s S) {
	if r.n == len(r.ring) {
		r.grow()
	}
	r.ring[(r.head+r.n)%len(r.ring)] = s
	r.n++
}

// PushFront gives s the next turn.
func (r *Round[S]) PushFront(s S) {
	if r.n == len(r.ring) {
		r.grow()
	}
	r.head = (r.head + len(r.ring) - 1) % len(r.ring)
	r.ring[r.head] = s
	r.n++
}

// Pop takes the stream whose turn it is. It gives the zero value if none
// waits.
func (r *Round[S]) Pop() S {
	var zero S
	if r.n == 0 {
		return zero
	}
	s := r.ring[r.head]
	r.ring[r.head] = zero
	r.head = (r.head + 1) % len(r.ring)
	r.n--
	if r.n == 0 && len(r.ring) > 64 {
		r.ring, r.head = nil, 0 // a burst is over: keep nothing for it
	}
	return s
}

func (r *Round[S]) grow() {
	ring := make([]S, max(8, 2*len(r.ring)))
	for i := range r.n {
		ring[i] = r.ring[(r.head+i)%len(r.ring)]
	}
	r.ring, r.head = ring, 0
}

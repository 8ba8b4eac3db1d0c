package sched

import "unsafe"

// A Queue is first in, first out. What it holds is bounded by what waits in it
// at the most, however long it is never empty; what a burst has left behind goes
// when it is. The zero value is empty and usable. The caller holds its lock.
type Queue[T any] struct {
	items []T
	head  int // items before it have been taken
}

// queueKeeps is what an empty Queue keeps for later, in octets.
const queueKeeps = 2 << 10

// Use has the queue, which is empty, begin with the memory of room.
func (q *Queue[T]) Use(room []T) { q.items, q.head = room[:0], 0 }

// Len is how many wait.
func (q *Queue[T]) Len() int { return len(q.items) - q.head }

// Push puts v behind the others.
func (q *Queue[T]) Push(v T) {
	if q.head > 0 && len(q.items) == cap(q.items) {
		q.compact()
	}
	q.items = append(q.items, v)
}

// compact makes room at the end of what is taken, unless that is less than half:
// then it pays to grow.
func (q *Queue[T]) compact() {
	if 2*q.head < len(q.items) {
		return
	}
	n := copy(q.items, q.items[q.head:])
	clear(q.items[n:])
	q.items, q.head = q.items[:n], 0
}

// Front is the one that waits longest. There is one. It may be changed in place
// until another comes or goes.
func (q *Queue[T]) Front() *T { return &q.items[q.head] }

// Back is the one that came last, as Front is the first.
func (q *Queue[T]) Back() *T { return &q.items[len(q.items)-1] }

// Pop takes the front. There is one.
func (q *Queue[T]) Pop() T {
	var zero T
	v := q.items[q.head]
	q.items[q.head] = zero
	if q.head++; q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
		if uintptr(cap(q.items))*unsafe.Sizeof(zero) > queueKeeps {
			q.items = nil
		}
	}
	return v
}

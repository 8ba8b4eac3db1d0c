package sched

// A Line is first come, first served, and who gives up leaves it from wherever
// they stand, in one step: thousands may give up at a time. The zero value is
// empty and usable. The caller holds its lock.
type Line[T any] struct {
	first, last *Place[T]
	n           int
}

// A Place is one in a Line.
type Place[T any] struct {
	Who        T
	prev, next *Place[T]
	in         bool
}

// Len is how many stand in the line.
func (l *Line[T]) Len() int { return l.n }

// Join puts who behind the others.
func (l *Line[T]) Join(who T) *Place[T] {
	p := &Place[T]{Who: who, prev: l.last, in: true}
	if l.last == nil {
		l.first = p
	} else {
		l.last.next = p
	}
	l.last = p
	l.n++
	return p
}

// Front is the place of the one who came first. There is one.
func (l *Line[T]) Front() *Place[T] { return l.first }

// Next takes the one who came first out of the line. There is one.
func (l *Line[T]) Next() *T {
	p := l.first
	l.Leave(p)
	return &p.Who
}

// Leave takes a place out of the line. It reports whether it was in.
func (l *Line[T]) Leave(p *Place[T]) bool {
	if !p.in {
		return false
	}
	if p.prev == nil {
		l.first = p.next
	} else {
		p.prev.next = p.next
	}
	if p.next == nil {
		l.last = p.prev
	} else {
		p.next.prev = p.prev
	}
	p.prev, p.next, p.in = nil, nil, false
	l.n--
	return true
}

package peers

// slots gives ids to what is under way, and finds it by them.
type slots[T any] struct {
	of   []*T // by id; nil where there is none
	free []uint64
}

func (s *slots[T]) open(v *T) (id uint64) {
	if n := len(s.free); n > 0 {
		id = s.free[n-1]
		s.free = s.free[:n-1]
		s.of[id] = v
		return id
	}
	s.of = append(s.of, v)
	return uint64(len(s.of) - 1)
}

// at is nil for an id that is not in use.
func (s *slots[T]) at(id uint64) *T {
	if id >= uint64(len(s.of)) {
		return nil
	}
	return s.of[id]
}

// close is for an id in use.
func (s *slots[T]) close(id uint64) {
	s.of[id] = nil
	s.free = append(s.free, id)
}

func (s *slots[T]) used() int { return len(s.of) - len(s.free) }

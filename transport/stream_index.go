package transport

// streamIndex finds streams by ids that rise one by one: those that are open have
// ids near one another, so that the last bits of an id tell a place of its own. A
// stream whose place is taken, by one that has been open for long or since the peer
// chose the ids so, stands in a map.
type streamIndex struct {
	places []*stream // as many as a power of two
	others map[uint32]*stream
	n      int // streams, wherever they stand
}

func newStreamIndex() *streamIndex { return &streamIndex{places: make([]*stream, 8)} }

// place is where a stream stands. All ids of a side are odd, or all are even.
func (x *streamIndex) place(id uint32) **stream {
	return &x.places[int(id/2)&(len(x.places)-1)]
}

// add puts a stream in that is not in.
func (x *streamIndex) add(st *stream) {
	x.n++
	p := x.place(st.id)
	for *p != nil && 2*x.n > len(x.places) {
		x.grow()
		p = x.place(st.id)
	}
	if *p == nil {
		*p = st
		return
	}
	if x.others == nil {
		x.others = make(map[uint32]*stream)
	}
	x.others[st.id] = st
}

// grow doubles the places.
func (x *streamIndex) grow() {
	old := x.places
	x.places = make([]*stream, 2*len(old))
	for _, st := range old {
		if st != nil {
			*x.place(st.id) = st // half of them has a place that nobody had
		}
	}
	for id, st := range x.others {
		if p := x.place(id); *p == nil {
			*p = st
			delete(x.others, id)
		}
	}
}

func (x *streamIndex) find(id uint32) *stream {
	if st := *x.place(id); st != nil && st.id == id {
		return st
	}
	if len(x.others) == 0 {
		return nil
	}
	return x.others[id]
}

// remove takes a stream out that is in.
func (x *streamIndex) remove(st *stream) {
	x.n--
	if p := x.place(st.id); *p == st {
		*p = nil
		return
	}
	delete(x.others, st.id)
}

// each yields the streams, in no order.
func (x *streamIndex) each(yield func(*stream) bool) {
	for _, st := range x.places {
		if st != nil && !yield(st) {
			return
		}
	}
	for _, st := range x.others {
		if !yield(st) {
			return
		}
	}
}

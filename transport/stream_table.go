package transport

// streamTable has the open streams of a connection by their ids. The zero value is
// empty. As long as there is one at a time, as on most connections, there is no index.
type streamTable struct {
	// latest was looked for last, or is the only one; nil if that has left.
	latest *stream
	all    *streamIndex // nil if there is latest alone, or nothing
}

func (t *streamTable) len() int {
	switch {
	case t.all != nil:
		return t.all.n
	case t.latest != nil:
		return 1
	}
	return 0
}

// add puts a stream in.
func (t *streamTable) add(st *stream) {
	if t.all == nil {
		if t.latest == nil {
			t.latest = st
			return
		}
		t.all = newStreamIndex()
		t.all.add(t.latest)
	}
	t.all.add(st)
}

// find gives the stream of that id, or nil. Most frames come behind another one of
// their stream.
func (t *streamTable) find(id uint32) *stream {
	if st := t.latest; st != nil && st.id == id {
		return st
	}
	if t.all == nil {
		return nil
	}
	st := t.all.find(id)
	if st != nil {
		t.latest = st
	}
	return st
}

// remove takes a stream out that is in.
func (t *streamTable) remove(st *stream) {
	if t.all != nil {
		t.all.remove(st)
	}
	if t.latest == st {
		t.latest = nil // its memory may serve another call
	}
}

// each yields the streams, in no order.
func (t *streamTable) each(yield func(*stream) bool) {
	if t.all == nil {
		if t.latest != nil {
			yield(t.latest)
		}
		return
	}
	t.all.each(yield)
}

// rest lets go of the index, if there is no stream.
func (t *streamTable) rest() {
	if t.all != nil && t.all.n == 0 {
		t.all = nil
	}
}

package weir

import "sync"

// openStreams are the streams of a Client whose calls are not over. The zero
// value has none.
type openStreams struct {
	mu    sync.Mutex
	first *clientStream
	ended bool
}

// add takes a stream. It reports false if the Client is closed.
func (o *openStreams) add(cs *clientStream) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		return false
	}
	if cs.next = o.first; cs.next != nil {
		cs.next.prev = cs
	}
	o.first = cs
	return true
}

// remove forgets a stream, once.
func (o *openStreams) remove(cs *clientStream) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case cs.prev != nil:
		cs.prev.next = cs.next
	case o.first == cs:
		o.first = cs.next
	default:
		return // it came too late to be taken
	}
	if cs.next != nil {
		cs.next.prev = cs.prev
	}
	cs.next, cs.prev = nil, nil
}

// end has every stream hear of the end of the Client, and takes no more.
func (o *openStreams) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
	for cs := o.first; cs != nil; cs = cs.next {
		go cs.orphaned()
	}
}

package channel

import (
	"context"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/connectivity"
)

// view is what a channel shows of itself until the next one.
type view struct {
	state  connectivity.State
	picker picker
	err    error // the latest reason why there is no connection; may be nil
}

// states publishes views, and tells an observer of changes of state.
type states struct {
	current  atomic.Pointer[view]
	observer func(from, to connectivity.State, err error) // may be nil

	mu       sync.Mutex
	replaced chan struct{} // closed when there is a next view; nil if nobody waits
	left     chan struct{} // closed when the state changes; nil if nobody waits
	pending  []change      // that the observer has not been told
	telling  bool
	story    story
}

type change struct {
	from, to connectivity.State
	err      error
}

// begin publishes the first view: IDLE.
func (s *states) begin(p picker) {
	s.story.begin()
	s.current.Store(&view{state: connectivity.Idle, picker: p})
}

// set publishes the next view. After SHUTDOWN there is none.
func (s *states) set(to connectivity.State, p picker, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.current.Load()
	if old.state == connectivity.Shutdown {
		return
	}
	s.current.Store(&view{state: to, picker: p, err: err})
	if s.replaced != nil {
		close(s.replaced)
		s.replaced = nil
	}
	if old.state == to {
		return
	}
	if s.left != nil {
		close(s.left)
		s.left = nil
	}
	if to == connectivity.Connecting {
		err = nil // that of the state before, which its change told
	}
	ch := change{from: old.state, to: to, err: err}
	s.story.changed(ch)
	if s.observer == nil {
		return
	}
	s.pending = append(s.pending, ch)
	if !s.telling {
		s.telling = true
		go s.tell()
	}
}

// tell calls the observer, one change after the other and without a lock, so
// that it may use the channel. It ends when there is nothing more to tell.
func (s *states) tell() {
	for {
		s.mu.Lock()
		if len(s.pending) == 0 {
			s.telling, s.pending = false, nil
			s.mu.Unlock()
			return
		}
		c := s.pending[0]
		s.pending = s.pending[1:]
		s.mu.Unlock()
		s.observer(c.from, c.to, c.err)
	}
}

// next gives what is closed when there is a view after v, or nil if there is
// one.
func (s *states) next(v *view) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current.Load() != v {
		return nil
	}
	if s.replaced == nil {
		s.replaced = make(chan struct{})
	}
	return s.replaced
}

// wait waits until the state is or was another than source. It reports false
// if ctx ended before.
func (s *states) wait(ctx context.Context, source connectivity.State) bool {
	s.mu.Lock()
	if s.current.Load().state != source {
		s.mu.Unlock()
		return true
	}
	if s.left == nil {
		s.left = make(chan struct{})
	}
	left := s.left
	s.mu.Unlock()
	select {
	case <-left:
		return true
	case <-ctx.Done():
		return false
	}
}

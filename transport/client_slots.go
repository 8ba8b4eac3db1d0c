package transport

import (
	"context"

	"github.com/weir-rpc/weir/internal/sched"
	"github.com/weir-rpc/weir/internal/wait"
)

// slots are the streams that the server lets us have open at a time: its
// SETTINGS_MAX_CONCURRENT_STREAMS, and fewer while it does not read. Who finds none
// free waits in line. Guarded by conn.mu.
type slots struct {
	taken   uint32 // open streams, and slots given to those who waited
	waiting sched.Line[slotWaiter]
	pool    *SlotPool // whose calls get what these leave; nil if there is none
}

type slotWaiter struct {
	given chan struct{} // closed when the wait is over
	ok    bool          // a slot was given
}

// tryLocked takes a slot if one is free and nobody waits for one.
//
// "Endpoints MUST NOT exceed the limit set by their peer."
// https://www.rfc-editor.org/rfc/rfc9113#section-5.1.2
func (s *slots) tryLocked(t *http2Client) bool {
	if !s.freeLocked(t) {
		return false
	}
	s.taken++
	return true
}

func (s *slots) freeLocked(t *http2Client) bool { return s.waiting.Len() == 0 && s.roomLocked(t) }

// roomLocked reports whether the server allows another stream, and its socket:
// headers need no credit, and calls that are cancelled leave theirs behind. Without
// a bound a server that does not read would gather them here.
func (s *slots) roomLocked(t *http2Client) bool {
	if t.out.size >= unreadLimit {
		t.crowded = true // takeLocked makes room
		return false
	}
	return s.taken < t.settings.maxStreams
}

// releaseLocked gives a slot back.
func (s *slots) releaseLocked(t *http2Client) {
	s.taken--
	s.grantLocked(t)
}

// grantLocked gives the free slots to those who wait, first come, first
// served. On a connection that takes no more streams, all of them leave empty
// handed. A limit below what is taken gives nothing until enough is released.
func (s *slots) grantLocked(t *http2Client) {
	for s.waiting.Len() > 0 {
		granted := t.life == lifeOpen
		if granted {
			if !s.roomLocked(t) {
				return
			}
			s.taken++
		}
		w := s.waiting.Next()
		w.ok = granted
		close(w.given)
	}
	for s.pool != nil && t.life == lifeOpen && s.roomLocked(t) && s.pool.give(t) {
		s.taken++
	}
}

// wait waits for a slot, with mu held, and holds it again when it succeeds.
func (s *slots) wait(ctx context.Context, t *http2Client) *StreamError {
	w := s.waiting.Join(slotWaiter{given: make(chan struct{})})
	reason, limit := wait.StreamSlot, t.settings.maxStreams
	if t.crowded {
		reason = wait.Socket
	}
	t.mu.Unlock()
	err := wait.For(ctx, reason, wait.Holder{}, w.Who.given)
	t.mu.Lock()
	if err == nil && w.Who.ok {
		if refused := t.refusedLocked(); refused != nil {
			s.releaseLocked(t)
			t.mu.Unlock()
			return refused
		}
		return nil
	}
	defer t.mu.Unlock()
	if w.Who.ok {
		s.releaseLocked(t) // it came too late
	}
	if err == nil {
		return t.refusedLocked()
	}
	s.waiting.Leave(w)
	e := contextError(ctx)
	e.Unprocessed, e.Unsent = true, true
	if reason == wait.Socket {
		e.Status = statusf(e.Status.Code(), "%s while it waited for the socket: the network or the server takes too little of what was sent before", e.Status.Message())
		return e
	}
	e.Status = statusf(e.Status.Code(), "%s while it waited for a stream slot: the server allows %d streams at a time on this connection (option MaxConcurrentStreams of the server)",
		e.Status.Message(), limit)
	return e
}

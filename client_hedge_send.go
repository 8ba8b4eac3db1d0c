package weir

import (
	"context"
	"errors"
	"io"

	"github.com/weir-rpc/weir/internal/grpcwire"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// outbox is what a call that is hedged has sent: each attempt gets all of it.
// The zero value is empty.
type outbox struct {
	messages []outgoingMessage
	size     int  // in octets, with prefixes
	ended    bool // there are no more
	direct   bool // the call goes on with an attempt that has all of it
}

type outgoingMessage struct {
	m    transport.Buffer
	note *sentNote
}

func (o *outbox) free() {
	for i := range o.messages {
		o.messages[i].m.Free()
	}
	o.messages, o.direct = nil, true
}

// feed sends an attempt what the call has sent and will send, until the call
// goes on with it, or without it.
func (a *hedgedAttempt) feed(cs *clientStream) {
	h := a.h
	for {
		m, last, ok := a.next(cs)
		if !ok {
			return
		}
		if last {
			_ = cs.CloseSend()
			continue
		}
		err := cs.put(m.m, m.note)
		h.mu.Lock()
		if a.cs == cs {
			a.taken++
			a.fed = err != nil
			h.changed.Broadcast()
		}
		h.mu.Unlock()
		if err != nil {
			return // who waits for the headers hears of it
		}
	}
}

// next waits for what an attempt is to send next: a message, or the end. It
// reports false if there is nothing for it any more.
func (a *hedgedAttempt) next(cs *clientStream) (m outgoingMessage, last, ok bool) {
	h := a.h
	h.mu.Lock()
	defer h.mu.Unlock()
	o := &h.outbox
	for {
		switch {
		case a.ended, a.cs != cs, o.direct, h.over && h.winner != a:
			return m, false, false
		case a.taken < len(o.messages):
			m = o.messages[a.taken]
			m.m = duplicate(m.m)
			return m, false, true
		case o.ended && h.desc.ClientStreams && !cs.sentLast.Load():
			return m, true, true
		case h.over:
			o.free()
			h.changed.Broadcast()
			return m, false, false
		}
		h.changed.Wait()
	}
}

// SendMsg sends a message on all attempts.
func (h *hedge) SendMsg(v any) error {
	v, within := sendWithin(v)
	h.mu.Lock()
	ended := h.outbox.ended
	h.mu.Unlock()
	if ended {
		err := status.Error(codes.Internal, errSendAfterEnd)
		h.abandon(err)
		return err
	}
	info := &h.info
	if within != nil { // a Raw that is not sent may be sent again
		keeping := h.info
		keeping.codec.once = false
		info = &keeping
	}
	m, size, err := info.encode(v, h.comp)
	if err != nil {
		h.abandon(err)
		return err
	}
	var note *sentNote
	if h.c.stats != nil {
		note = &sentNote{v, size, m.Len(), true}
	}
	if err = h.put(within, m, note); err == nil {
		h.logSent()
	}
	if within != nil && !errors.Is(err, ErrNotSent) {
		giveAway(v)
	}
	if !h.desc.ClientStreams && err == io.EOF {
		return nil // RecvMsg tells
	}
	return err
}

// put keeps a message for all attempts. If that is too much for the buffer the
// call is committed:
//
// "For hedged RPCs, when an RPC becomes committed, the client will continue the
// currently in-flight attempt on which the maximum number of messages have
// already been sent. All other currently in-flight attempts will be immediately
// cancelled, and no subsequent attempts will be started."
// https://github.com/grpc/proposal/blob/master/A6-client-retries.md#memory-management-buffering
//
// It waits no longer than within allows, if that is not nil.
func (h *hedge) put(within context.Context, m transport.Buffer, note *sentNote) error {
	h.mu.Lock()
	o := &h.outbox
	size := grpcwire.PrefixLen + m.Len()
	if !h.over && o.size+size <= h.info.maxReplay {
		o.ended = !h.desc.ClientStreams // then it is the only one
		o.messages = append(o.messages, outgoingMessage{m, note})
		o.size += size
		h.changed.Broadcast()
		h.mu.Unlock()
		return nil
	}
	in := h.commitLocked(within)
	w := h.winner
	h.mu.Unlock()
	var err error
	switch {
	case !in:
		err = notSent(within)
	case w == nil:
		err = io.EOF
	default:
		err = w.cs.waitSend(within)
	}
	if err != nil {
		m.Free()
		return err
	}
	if !h.desc.ClientStreams {
		h.mu.Lock()
		o.ended = true
		h.mu.Unlock()
	}
	return w.cs.put(m, note)
}

// commitLocked commits the call, and waits until the attempt that it goes on
// with has all that was kept. It reports false if within ended before that.
func (h *hedge) commitLocked(within context.Context) bool {
	if within != nil && within.Err() == nil {
		defer context.AfterFunc(within, func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.changed.Broadcast()
		})()
	}
	for {
		a := h.furthestLocked()
		if a == nil && h.running == 0 {
			a = h.last // the next was to be made later
		}
		if h.frozen = true; !h.over && a != nil {
			h.settleLocked(a)
		}
		switch w := h.winner; {
		case h.over && (w == nil || w.ended || w.fed || h.outbox.direct):
			return true
		case within != nil && within.Err() != nil:
			return false
		}
		h.changed.Wait() // for a stream, or for what it sends
	}
}

// furthestLocked gives the attempt that has sent the most, or nil.
func (h *hedge) furthestLocked() (best *hedgedAttempt) {
	for _, a := range h.attempts {
		if a.open && !a.ended && (best == nil || a.taken > best.taken) {
			best = a
		}
	}
	return best
}

// CloseSend tells the server, on all attempts, that no more messages come. It
// never fails.
func (h *hedge) CloseSend() error {
	h.mu.Lock()
	h.outbox.ended = true
	w := h.winner
	if !h.outbox.direct {
		w = nil // who feeds it does so
	}
	h.changed.Broadcast()
	h.mu.Unlock()
	if w != nil {
		return w.cs.CloseSend()
	}
	return nil
}

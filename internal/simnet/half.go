package simnet

import (
	"io"
	"math/rand/v2"
	"net"
	"os"
	"syscall"
	"time"
)

// A segment is octets that arrive together.
type segment struct {
	data    []byte
	arrival time.Time
}

// An ending is something that ends a direction once it has got there. A zero
// ending is none.
type ending struct {
	err     error
	arrival time.Time
}

// A half is one direction of a wire. All times but the deadlines are on the
// wire's clock.
type half struct {
	wire *wire // its mu guards all of this
	dice *rand.Rand

	segments []segment
	unread   int       // octets in segments
	idle     time.Time // when the sender has put out all that was written
	last     time.Time // latest arrival so far; nothing overtakes it
	atReader ending    // the writer went: EOF or reset, once segments are read
	atWriter ending    // the reader went: octets have nowhere to go

	readerClosed, writerClosed  bool
	readDeadline, writeDeadline time.Time // on the current clock
	writing                     bool      // a Write has its turn
	cut                         int       // most octets a Read gives, or zero
	octetsRead, octetsWritten   int64
	writes                      int64
	changed                     chan struct{} // closed by the next broadcast; nil if nobody waits
}

// broadcast wakes all who wait for a change of this half.
func (h *half) broadcast() {
	if h.changed != nil {
		close(h.changed)
		h.changed = nil
	}
}

// wait gives the lock up until something changes, the wire's clock reaches
// event or the current clock reaches deadline; zero times are never reached.
func (h *half) wait(event, deadline time.Time) {
	if h.changed == nil {
		h.changed = make(chan struct{})
	}
	changed := h.changed
	var due <-chan time.Time
	if pause, ok := h.pause(event, deadline); ok {
		if pause <= 0 {
			return
		}
		timer := time.NewTimer(pause)
		defer timer.Stop()
		due = timer.C
	}
	h.wire.mu.Unlock()
	defer h.wire.mu.Lock()
	select {
	case <-changed:
	case <-due:
	}
}

// pause is how long it takes until event or deadline, if either is to come.
func (h *half) pause(event, deadline time.Time) (pause time.Duration, ok bool) {
	if !event.IsZero() && h.wire.stalled.IsZero() {
		pause, ok = event.Sub(h.wire.now()), true
	}
	if !deadline.IsZero() {
		if d := time.Until(deadline); !ok || d < pause {
			pause, ok = d, true
		}
	}
	return pause, ok
}

func expired(deadline time.Time) bool {
	return !deadline.IsZero() && !time.Now().Before(deadline)
}

func (e ending) reached(now time.Time) bool {
	return e.err != nil && !now.Before(e.arrival)
}

// read takes what has arrived, or waits for it.
func (h *half) read(b []byte) (int, error) {
	h.wire.mu.Lock()
	defer h.wire.mu.Unlock()
	for {
		now := h.wire.now()
		switch {
		case h.readerClosed:
			return 0, net.ErrClosed
		case expired(h.readDeadline):
			return 0, os.ErrDeadlineExceeded
		case len(b) == 0:
			return 0, nil
		}
		if n := h.take(b, now); n > 0 {
			return n, nil
		}
		var event time.Time
		if len(h.segments) > 0 {
			event = h.segments[0].arrival
		} else {
			if h.atReader.reached(now) {
				return 0, h.atReader.err
			}
			event = h.atReader.arrival
		}
		h.wait(event, h.readDeadline)
	}
}

// take moves arrived octets to b.
func (h *half) take(b []byte, now time.Time) int {
	if h.cut > 0 && len(b) > h.cut {
		b = b[:h.cut]
	}
	n := 0
	for n < len(b) && len(h.segments) > 0 && !now.Before(h.segments[0].arrival) {
		s := &h.segments[0]
		m := copy(b[n:], s.data)
		n += m
		if s.data = s.data[m:]; len(s.data) == 0 {
			h.segments[0] = segment{}
			h.segments = h.segments[1:]
		}
	}
	if n > 0 {
		h.unread -= n
		h.octetsRead += int64(n)
		h.broadcast()
	}
	return n
}

// write sends all of b, as fast as there is room for it.
func (h *half) write(b []byte) (n int, err error) {
	h.wire.mu.Lock()
	defer h.wire.mu.Unlock()
	mine := false // whether it is our turn: octets of two writes do not mix
	defer func() {
		if mine {
			h.writing = false
			h.broadcast()
		}
	}()
	for {
		now := h.wire.now()
		switch {
		case h.writerClosed:
			return n, net.ErrClosed
		case expired(h.writeDeadline):
			return n, os.ErrDeadlineExceeded
		case h.atWriter.reached(now):
			return n, h.atWriter.err
		}
		if !mine && !h.writing {
			mine, h.writing = true, true
			h.writes++
		}
		if mine {
			room := h.wire.link.buffer() - h.unread
			if m := min(room, len(b)-n); m > 0 {
				h.send(b[n:n+m], now)
				n += m
			}
			if n == len(b) {
				return n, nil
			}
		}
		h.wait(h.atWriter.arrival, h.writeDeadline)
	}
}

// send puts octets on the wire, in segments.
func (h *half) send(b []byte, now time.Time) {
	l := h.wire.link
	h.octetsWritten += int64(len(b))
	h.unread += len(b)
	if h.readerClosed {
		return // lost, which the writer learns when atWriter has arrived
	}
	for size := l.segment(); len(b) > 0; {
		m := min(size, len(b))
		h.segments = append(h.segments, segment{append([]byte(nil), b[:m]...), h.arrival(m, now)})
		b = b[m:]
	}
	h.broadcast()
}

// arrival is when n octets arrive that are sent now, after all before them.
func (h *half) arrival(n int, now time.Time) time.Time {
	l := h.wire.link
	if now.After(h.idle) {
		h.idle = now
	}
	h.idle = h.idle.Add(l.transmission(n))
	at := h.idle.Add(l.RTT / 2).Add(l.lateness(h.dice))
	if at.After(h.last) {
		h.last = at
	}
	return h.last
}

// closeWriter ends the direction from its writer's side, orderly: what was
// written arrives, then the end of the stream.
func (h *half) closeWriter(now time.Time) {
	h.writerClosed = true
	if h.atReader.err == nil {
		h.atReader = ending{io.EOF, h.arrival(0, now)}
	}
	h.broadcast()
}

// abort ends the direction from its writer's side at once: what has not
// arrived is lost.
func (h *half) abort(now time.Time) {
	h.writerClosed = true
	h.atReader = ending{os.NewSyscallError("read", syscall.ECONNRESET), now.Add(h.wire.link.RTT / 2)}
	for i, s := range h.segments {
		if s.arrival.After(now) {
			h.segments = h.segments[:i]
			break
		}
	}
	h.broadcast()
}

// closeReader ends the direction from its reader's side. The writer learns it,
// as err, half a round trip later.
func (h *half) closeReader(now time.Time, errno syscall.Errno) {
	h.readerClosed = true
	if h.atWriter.err == nil {
		h.atWriter = ending{os.NewSyscallError("write", errno), now.Add(h.wire.link.RTT / 2)}
	}
	h.segments = nil // and unread stays: no room is made by who is gone
	h.broadcast()
}

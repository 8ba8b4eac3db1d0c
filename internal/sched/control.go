// Package sched decides what is written next: the controlBuffer, which holds
// what the peer provokes, and the round robin by which loopyWriter serves the
// streams that had to wait. It knows no socket and no HPACK.
package sched

import (
	"slices"

	"github.com/weir-rpc/weir/internal/frame"
)

// DefaultControlLimit is how many octets of replies a connection keeps for a
// peer that does not read them: some 900 acknowledgements of PING. A peer that
// reads at all never comes near.
const DefaultControlLimit = 16 << 10

// A ControlBuffer holds the frames that the peer provoked and that wait to be
// written: acknowledgements and resets, bounded in octets, and window updates,
// merged to one a stream. It takes no memory while it is empty. The zero value
// is usable. The caller holds its lock.
type ControlBuffer struct {
	frames []byte
	credit []update
	conn   uint32 // credit for the connection
	own    uint32 // octets of frames that the peer did not provoke
	count  int    // of frames
	Limit  int    // octets of those that it did; zero means DefaultControlLimit
}

type update struct{ stream, increment uint32 }

func (b *ControlBuffer) full(n int) bool {
	limit := b.Limit
	if limit == 0 {
		limit = DefaultControlLimit
	}
	return len(b.frames)-int(b.own)+n > limit
}

// SettingsAck queues the acknowledgement of a SETTINGS frame. Like the other
// methods that return a bool, it gives false, and queues nothing, when the
// peer provoked more than Limit octets that it does not read.
func (b *ControlBuffer) SettingsAck() bool {
	if b.full(frame.HeaderLen) {
		return false
	}
	b.frames = frame.AppendSettingsAck(b.frames)
	b.count++
	return true
}

// PingAck queues the acknowledgement of a PING frame.
func (b *ControlBuffer) PingAck(data [8]byte) bool {
	if b.full(frame.HeaderLen + len(data)) {
		return false
	}
	b.frames = frame.AppendPing(b.frames, true, data)
	b.count++
	return true
}

// Reset queues a RST_STREAM frame.
func (b *ControlBuffer) Reset(stream uint32, code frame.ErrCode) bool {
	if b.full(frame.HeaderLen + 4) {
		return false
	}
	b.DropCredit(stream)
	b.frames = frame.AppendRSTStream(b.frames, stream, code)
	b.count++
	return true
}

// maxIncrement is the largest that a WINDOW_UPDATE frame can say. More is waiting
// only for a peer that has sent more than it was told it may: it loses the rest.
const maxIncrement = 1<<31 - 1

// Credit queues a window update, merged with one for the same stream that
// still waits, unless that of others came between. Stream 0 is the connection.
// They need no limit: a peer gets no credit for more than it has sent.
func (b *ControlBuffer) Credit(stream, increment uint32) {
	if stream == 0 {
		b.conn += increment
		return
	}
	// A stream comes back soon or not at all: look at the newest only.
	for i := len(b.credit) - 1; i >= 0 && i >= len(b.credit)-8; i-- {
		if b.credit[i].stream == stream {
			b.credit[i].increment = min(b.credit[i].increment+increment, maxIncrement)
			return
		}
	}
	b.credit = append(b.credit, update{stream, increment})
}

// ConnCredit gives the connection's credit that waits.
func (b *ControlBuffer) ConnCredit() uint32 { return b.conn }

// ResetOwn queues a RST_STREAM frame that the peer did not provoke: it is not
// bounded, but by the streams that this side has opened.
func (b *ControlBuffer) ResetOwn(stream uint32, code frame.ErrCode) {
	b.DropCredit(stream)
	before := len(b.frames)
	b.frames = frame.AppendRSTStream(b.frames, stream, code)
	b.own += uint32(len(b.frames) - before)
	b.count++
}

// DropCredit forgets the credit of a stream that is about to be reset: nothing
// may follow RST_STREAM.
func (b *ControlBuffer) DropCredit(stream uint32) {
	b.credit = slices.DeleteFunc(b.credit, func(u update) bool { return u.stream == stream })
}

// Empty reports whether nothing waits.
func (b *ControlBuffer) Empty() bool {
	return len(b.frames) == 0 && len(b.credit) == 0 && b.conn == 0
}

// Len gives the octets that AppendTo will append.
func (b *ControlBuffer) Len() int {
	n := len(b.frames) + len(b.credit)*(frame.HeaderLen+4)
	if b.conn > 0 {
		n += frame.HeaderLen + 4
	}
	return n
}

// Frames gives how many frames AppendTo will append: window updates for the
// connection and for streams, and all others.
func (b *ControlBuffer) Frames() (conn, streams, others int) {
	if b.conn > 0 {
		conn = 1
	}
	return conn, len(b.credit), b.count
}

// AppendTo appends everything that waits to dst, the connection's credit
// first, and empties the buffer.
func (b *ControlBuffer) AppendTo(dst []byte) []byte {
	if b.conn > 0 {
		dst = frame.AppendWindowUpdate(dst, 0, b.conn)
		b.conn = 0
	}
	dst = append(dst, b.frames...)
	for _, u := range b.credit {
		dst = frame.AppendWindowUpdate(dst, u.stream, u.increment)
	}
	b.frames, b.credit, b.count, b.own = b.frames[:0], b.credit[:0], 0, 0
	if cap(b.frames) > 1<<10 {
		b.frames = nil
	}
	if cap(b.credit) > 64 {
		b.credit = nil
	}
	return dst
}

package transport

import (
	"slices"

	"github.com/weir-rpc/weir/internal/buffer"
	"github.com/weir-rpc/weir/internal/frame"
)

// chunkSize is the size of the chunks that small frames are copied to, and the
// most that is written at once to a connection that is not a plain socket.
const chunkSize = 16 << 10

// pending is what waits for the socket, in wire order: parts of pooled chunks
// and, between them, large payloads by reference. It holds no memory while it
// is empty. The zero value is empty and usable.
type pending struct {
	segs  [][]byte
	owned []*[]byte // given back when the segments are written
	size  int       // octets in segs
	ends  int32     // answers whose end is in segs, and which hold a place of their client's until it leaves
	open  bool      // the last segment is part of a chunk with room behind it
	data  bool      // HEADERS or DATA are in segs
	small bool      // a message of up to copyLimit was queued meanwhile

	// The DATA frame with which the last segment ends, which may grow: its stream,
	// 0 if there is none, and the length of its payload.
	lastData, lastLen uint32
}

// room gives n octets to be written to, at the end. n is at most chunkSize.
func (p *pending) room(n int) []byte {
	if n > chunkSize {
		panic("BUG: more than a chunk at once")
	}
	p.size += n
	p.lastData = 0
	if p.open {
		last := &p.segs[len(p.segs)-1]
		if at := len(*last); cap(*last)-at >= n {
			*last = (*last)[:at+n]
			return (*last)[at : at+n : at+n]
		}
	}
	b := buffer.Get(chunkSize)
	p.owned = append(p.owned, b)
	p.open = true
	p.segs = append(p.segs, (*b)[:n])
	return (*b)[:n:n]
}

// copy appends b. It fills a chunk before it begins another, for a connection
// that is no plain socket gets each of them in a write of its own.
func (p *pending) copy(b []byte) {
	for len(b) > 0 {
		n := min(len(b), p.left())
		copy(p.room(n), b[:n])
		b = b[n:]
	}
}

// growData puts b and its flags to the DATA frame that ends what is pending, if
// that is one of the same stream, and there is room, and the peer takes a frame
// so long: it then handles one where there were many small ones.
func (p *pending) growData(id uint32, b []byte, fl frame.Flags, most uint32) bool {
	length := p.lastLen + uint32(len(b))
	if p.lastData != id || length > most {
		return false
	}
	last := &p.segs[len(p.segs)-1]
	if cap(*last)-len(*last) < len(b) {
		return false
	}
	at := len(*last) - int(p.lastLen) - frame.HeaderLen
	*last = append(*last, b...)
	frame.PutHeader((*last)[at:], int(length), frame.TypeData, fl, id)
	p.size += len(b)
	p.lastLen = length
	return true
}

// left is the room behind the last segment, or that of a new chunk.
func (p *pending) left() int {
	if p.open {
		if last := p.segs[len(p.segs)-1]; cap(last) > len(last) {
			return cap(last) - len(last)
		}
	}
	return chunkSize
}

// ref appends b without copying it. b must stay as it is until it is written:
// see keep.
func (p *pending) ref(b []byte) {
	p.size += len(b)
	p.lastData = 0
	p.segs = append(p.segs, b)
	if !p.open {
		return
	}
	// What is left of the chunk serves the next small frames.
	used := p.segs[len(p.segs)-2]
	if cap(used)-len(used) < 64 {
		p.open = false
		return
	}
	p.segs[len(p.segs)-2] = slices.Clip(used)
	p.segs = append(p.segs, used[len(used):len(used):cap(used)])
}

// keep gives b back to its pool when all that is pending now is written.
func (p *pending) keep(b *[]byte) { p.owned = append(p.owned, b) }

func (p *pending) empty() bool { return p.size == 0 }

// discard forgets what is pending, but keeps its memory: a write that is under
// way may still read from it.
func (p *pending) discard() {
	clear(p.segs)
	p.segs, p.open, p.size, p.ends, p.data, p.small, p.lastData = p.segs[:0], false, 0, 0, false, false, 0
}

// drop forgets everything and gives the memory back.
func (p *pending) drop() {
	p.free()
	p.discard()
}

// free gives the memory back of what is written, or never will be.
func (p *pending) free() {
	for i, b := range p.owned {
		buffer.Put(b)
		p.owned[i] = nil
	}
	p.owned = p.owned[:0]
	if cap(p.segs) > 256 {
		p.segs, p.owned = nil, nil
	}
}

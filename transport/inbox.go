package transport

import (
	"io"

	"github.com/weir-rpc/weir/internal/buffer"
	"github.com/weir-rpc/weir/internal/flow"
	"github.com/weir-rpc/weir/internal/frame"
	"github.com/weir-rpc/weir/internal/gate"
	"github.com/weir-rpc/weir/internal/grpcwire"
	"github.com/weir-rpc/weir/internal/sched"
	"github.com/weir-rpc/weir/internal/wait"
	"google.golang.org/grpc/codes"
)

// inbox is the receiving half of a stream: the messages that have come and
// were not taken, in order, and how the stream ended. The reader fills it and
// never waits; one goroutine at a time takes from it.
//
// A message lies whole, behind its prefix, in one chunk. Small ones share a
// chunk. A large one has a chunk that grows with what really came, whatever
// its prefix promises.
type inbox struct {
	gate.Gate // guards everything below

	limit uint32 // the largest message that is accepted
	taken uint32 // counts messages, over all calls that the stream serves: one of the past frees nothing
	flow  flow.InFlow

	chunks sched.Queue[chunk]
	first  [1]chunk // backs chunks at first: most streams hold one
	count  uint32   // complete messages that were not taken

	messages uint32 // complete messages of this call; the reader, who alone writes it, reads it without

	spare *[]byte // the first chunk of each call if keeps, no buffer of the pool
	split grpcwire.Splitter
	fault *StreamError // why it ended, if not by END_STREAM

	client bool // immutable: it receives what a server sends
	single bool // immutable: there is to be one message, and nobody takes it before the end

	inUse   bool
	keeps   bool // the stream serves one unary call after the other
	ended   bool // nothing more will come
	over    bool // the reader has seen ended; its own, as is the next
	touched bool // conn.touched has the stream
	dead    bool // nobody will take anything any more
}

// chunk is a buffer with received messages. r <= done <= len(*b).
type chunk struct {
	b    *[]byte
	r    int // everything before has been taken
	done int // everything before are complete messages
}

// Sizes of chunks: the first of a stream, one that follows a full one, and the
// most that is taken on a prefix's word alone.
const (
	firstChunk = 1 << 10
	nextChunk  = 16 << 10
	wordChunk  = 80 << 10
)

// openFlow gives the peer the credit of a new stream. Until it has
// acknowledged our SETTINGS it may count with up to most octets: a larger
// window that it had before, or the 65,535 that HTTP/2 starts with.
func (in *inbox) openFlow(window, most uint32) {
	in.flow.Init(max(window, most))
	if most > window {
		in.flow.SetLimit(window)
	}
}

// setWindow says that SETTINGS with another window are about to be sent. It
// gives the credit that has to follow them: a message under way may have lost
// the room that it was promised. It is not ok, and nothing is changed, if the
// window would become larger than HTTP/2 allows.
func (in *inbox) setWindow(window uint32) (update uint32, ok bool) {
	in.Lock()
	defer in.Unlock(false)
	update, ok = in.flow.SetLimit(window)
	if missing := in.split.Missing(); ok && missing > 0 && !in.ended {
		update += in.flow.Raise(missing)
	}
	return update, ok
}

// acked says that the peer counts with the present window and no other.
func (in *inbox) acked() {
	in.Lock()
	in.flow.Acked()
	in.Unlock(false)
}

// data takes one fragment of DATA, and gives the credit that receiving earned
// the stream: for padding, and for a message larger than the window. It is
// partial if more of a message has to come, and not ok if the peer overran the
// window.
func (in *inbox) data(f *frame.Frame, end bool) (update uint32, partial, ok bool) {
	in.Lock()
	defer in.Unlock(false) // the receiver hears of it at the end of the read
	if in.ended || in.dead {
		return 0, false, true
	}
	if !in.flow.OnData(uint32(f.FlowLen)) {
		return 0, false, false
	}
	if pad := f.FlowLen - len(f.Payload); pad > 0 {
		update += in.flow.OnRead(uint32(pad))
	}
	for p := f.Payload; len(p) > 0 && in.fault == nil; {
		part, n, err := in.split.Next(p)
		p = p[n:]
		if err != nil {
			in.stop(localErrorf(CodeCancel, codes.Internal, "the peer sent a malformed message: %v", err))
		} else {
			in.take(part)
		}
	}
	if missing := in.split.Missing(); missing > 0 && !end && in.fault == nil {
		update += in.flow.Raise(missing)
		partial = true
	}
	switch {
	case in.fault != nil:
	case end:
		in.end()
	case in.single && in.messages > 1 && in.flow.Window() <= 0:
		in.stop(manyMessages(in.client)) // more cannot come, nor can the end behind it
	}
	in.over = in.ended
	return update, partial, true
}

// take takes a part of a message.
func (in *inbox) take(part grpcwire.Part) {
	if part.Begin {
		if part.Size > in.limit {
			in.stop(localErrorf(CodeCancel, codes.ResourceExhausted, "%s", grpcwire.TooLarge(in.client, part.Size, in.limit)))
			return
		}
		in.begin(part)
	}
	if len(part.Payload) > 0 {
		in.append(part.Payload)
	}
	if part.End {
		ch := in.chunks.Back()
		ch.done = len(*ch.b)
		in.count++
		in.messages++
		if in.single && in.client && in.messages > 1 {
			in.stop(manyMessages(true))
		}
	}
}

// begin finds room for a message and puts its prefix there.
func (in *inbox) begin(part grpcwire.Part) {
	whole := grpcwire.PrefixLen + int(part.Size)
	if !in.fits(whole) {
		in.chunks.Push(chunk{b: in.chunkFor(whole)})
	}
	b := in.chunks.Back().b
	n := len(*b)
	*b = (*b)[:n+grpcwire.PrefixLen]
	grpcwire.PutPrefix((*b)[n:], part.Compressed, int(part.Size))
}

// chunkFor gives an empty chunk for a message of n octets, or for its beginning.
func (in *inbox) chunkFor(n int) *[]byte {
	size := nextChunk
	if in.chunks.Len() == 0 {
		size = firstChunk
		if in.keeps && n <= firstChunk {
			if in.spare == nil {
				in.spare = new(make([]byte, 0, firstChunk))
			}
			return in.spare
		}
	}
	b := buffer.Get(max(min(n, wordChunk), size))
	*b = (*b)[:0]
	return b
}

// put gives a chunk back.
func (in *inbox) put(b *[]byte) {
	if b == in.spare {
		*b = (*b)[:0]
		return
	}
	buffer.Put(b)
}

// fits reports whether a message of n octets fits behind the others of the
// last chunk.
func (in *inbox) fits(n int) bool {
	if in.chunks.Len() == 0 {
		return false
	}
	b := *in.chunks.Back().b
	return cap(b)-len(b) >= n
}

// append puts p to the last chunk. If there is no room the chunk holds the
// beginning of this one message and nothing else, and grows.
func (in *inbox) append(p []byte) {
	ch := in.chunks.Back()
	if n := len(*ch.b); cap(*ch.b)-n < len(p) {
		whole := n + len(p) + int(in.split.Missing())
		b := buffer.Get(min(whole, max(4*n, n+len(p))))
		*b = append((*b)[:0], *ch.b...)
		in.put(ch.b)
		ch.b = b
	}
	*ch.b = append(*ch.b, p...)
}

// end is END_STREAM from the peer.
func (in *inbox) end() {
	if in.split.Missing() > 0 {
		in.stop(localErrorf(CodeInternal, codes.Internal, "the peer ended the stream in the middle of a message"))
		return
	}
	in.ended = true
}

// stop ends the inbox for a fault. What is complete can still be taken.
func (in *inbox) stop(fault *StreamError) {
	if in.fault == nil && !in.ended {
		in.fault, in.ended = fault, true
	}
}

// kill drops everything: nobody will take it.
func (in *inbox) kill(fault *StreamError) {
	in.Lock()
	in.killLocked(fault)
	in.Unlock(true)
}

func (in *inbox) killLocked(fault *StreamError) {
	if fault != nil && !in.dead && (!in.ended || in.count > 0) {
		in.fault = fault
	}
	in.dead, in.ended = true, true
	in.count = 0
	in.freeLocked()
}

func (in *inbox) freeLocked() {
	if in.inUse {
		return // Message.Free will come back
	}
	for in.chunks.Len() > 0 {
		in.put(in.chunks.Pop().b)
	}
}

// resetLocked makes an inbox new of which everything is taken and freed.
func (in *inbox) resetLocked() {
	in.Gate.Reset()
	in.count, in.messages, in.ended, in.over = 0, 0, false, false
	in.split = grpcwire.Splitter{}
}

// release says that the message taken last is not needed any more.
func (in *inbox) release(number uint32) {
	in.Lock()
	if number != in.taken || !in.inUse {
		in.Unlock(false)
		return
	}
	in.inUse = false
	if in.dead {
		in.freeLocked()
	} else {
		in.trimLocked()
	}
	in.Unlock(false)
}

// trimLocked gives back the first chunk if everything in it has been taken.
func (in *inbox) trimLocked() {
	if ch := in.chunks.Front(); ch.r == len(*ch.b) {
		in.put(in.chunks.Pop().b)
	}
}

// takeLocked takes the next complete message, if there is one, and gives the
// credit to be returned for it.
func (in *inbox) takeLocked() (m Message, update uint32, ok bool) {
	if in.inUse { // Recv says that the one before is not needed any more
		in.inUse = false
		in.trimLocked()
	}
	if in.count == 0 {
		return Message{}, 0, false
	}
	if ch := in.chunks.Front(); ch.r == ch.done {
		in.trimLocked() // the spare, with nothing to come back for it
	}
	ch := in.chunks.Front()
	b := (*ch.b)[ch.r:ch.done]
	compressed, n, _ := grpcwire.ParsePrefix(b) // as begin put it
	whole := grpcwire.PrefixLen + int(n)
	ch.r += whole
	in.count--
	in.taken++
	update = in.flow.OnRead(uint32(whole))
	m = Message{Data: b[grpcwire.PrefixLen:whole:whole], Compressed: compressed}
	if ch.b != in.spare { // which stays as it is until the stream serves again
		in.inUse = true
		m.number, m.inbox = in.taken, in
	}
	return m, update, true
}

// recv takes the next message and waits for it. It gives io.EOF when the peer
// has ended the stream and everything is taken.
func (st *stream) recv() (Message, error) {
	in := &st.in
	st.sends.Store(0)
	for {
		in.Lock()
		m, update, ok := in.takeLocked()
		ended, fault := in.ended, in.fault
		if ended && !ok {
			in.freeLocked() // a message that will never be complete
		}
		in.Unlock(ended) // whoever waits beside us must see the end too
		switch {
		case ok:
			if !ended {
				st.credit(update)
			}
			return m, nil
		case fault != nil:
			return Message{}, fault
		case ended:
			return Message{}, io.EOF
		}
		_ = wait.For(contextBackground, wait.Peer, wait.Holder{Stream: st.id}, in.C())
	}
}

package transport

import (
	"github.com/weir-rpc/weir/internal/buffer"
	"github.com/weir-rpc/weir/internal/grpcwire"
)

// A Buffer holds one message to be sent, with room for its gRPC prefix in
// front, so that an encoder can write straight to where the message leaves
// from. The zero Buffer is an empty message. Who makes a Buffer either sends
// it, which gives it away whatever comes of it, or frees it.
type Buffer struct {
	b          *[]byte // prefix and payload
	Compressed bool    // the payload is compressed with the stream's grpc-encoding
	shared     bool    // b is sealed, others refer to it, and nobody writes to it
	value      any     // in place of b: see NewValue
}

// NewBuffer gives a Buffer whose Bytes are n octets long. Their contents are
// undefined.
func NewBuffer(n int) Buffer {
	return Buffer{b: buffer.Get(grpcwire.PrefixLen + n)}
}

// NewSharedBuffer gives a Buffer with a copy of p that may be sent any number of
// times, by several goroutines and on streams of several connections: a stream
// refers to it and does not copy it. Compressed says what p is, and must not be
// changed later, nor must the octets. The garbage collector has the memory in the
// end: Free does nothing.
func NewSharedBuffer(p []byte, compressed bool) Buffer {
	b := make([]byte, grpcwire.PrefixLen+len(p))
	grpcwire.PutPrefix(b, compressed, len(p))
	copy(b[grpcwire.PrefixLen:], p)
	return Buffer{b: &b, Compressed: compressed, shared: true}
}

// Bytes gives the message without its prefix.
func (m Buffer) Bytes() []byte {
	if m.b == nil {
		return nil
	}
	return (*m.b)[grpcwire.PrefixLen:]
}

// Len gives the length of the message without its prefix, in octets.
func (m Buffer) Len() int { return len(m.Bytes()) }

// SetBytes makes p the message. It costs nothing if p lies in Bytes, from its
// start on, as it does after an encoder appended to Bytes()[:0] and had room;
// else p is copied.
func (m *Buffer) SetBytes(p []byte) {
	if b := m.Bytes(); !m.shared && len(p) > 0 && cap(b) >= len(p) && &b[:1][0] == &p[0] {
		*m.b = (*m.b)[:grpcwire.PrefixLen+len(p)]
		return
	}
	next := NewBuffer(len(p))
	copy(next.Bytes(), p)
	next.Compressed = m.Compressed
	m.Free()
	*m = next
}

// Free gives the memory back. The Buffer is then empty.
func (m *Buffer) Free() {
	if m.b != nil && !m.shared {
		buffer.Put(m.b)
	}
	m.b, m.shared, m.value = nil, false, nil
}

// seal writes the prefix and gives the octets to be framed and their owner.
func (m Buffer) seal() *[]byte {
	b := m.b
	if m.value != nil {
		panic("weir: a Buffer of NewValue is sent over HTTP/2, which takes octets")
	}
	if m.shared {
		b = buffer.Get(len(*m.b))
		copy(*b, *m.b)
		return b
	}
	if b == nil {
		b = buffer.Get(grpcwire.PrefixLen)
	}
	grpcwire.PutPrefix(*b, m.Compressed, len(*b)-grpcwire.PrefixLen)
	return b
}

// Message makes m a message received, without a copy: it is how transports of
// other packages hand on what a stream was sent, or what they have read. It
// takes the place of m, whose memory goes back with Message.Free.
func (m Buffer) Message() Message {
	msg := Message{Data: m.Bytes(), Compressed: m.Compressed, value: m.value}
	if !m.shared {
		msg.buf = m.b
	}
	return msg
}

// A Message is one message received. Its Data are valid until Free, or until
// the next Recv of the stream that it came from.
type Message struct {
	Data       []byte // without the prefix of gRPC
	Compressed bool   // with the peer's grpc-encoding
	number     uint32
	inbox      *inbox
	buf        *[]byte // of a Buffer; nil if there is an inbox
	value      any     // in place of Data
}

// Free gives the memory back.
func (m *Message) Free() {
	switch {
	case m.inbox != nil:
		m.inbox.release(m.number)
		m.inbox = nil
	case m.buf != nil:
		buffer.Put(m.buf)
		m.buf = nil
	}
	m.Data, m.value = nil, nil
}

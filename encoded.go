package weir

import (
	"reflect"
	"sync"

	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/encoding"
)

// Encoded is a message that is encoded once, however many streams send it: a
// server that tells a thousand clients the same does the work of one. It is
// passed as the message to any number of streams and unary calls of any Client
// or Server, by several goroutines at a time:
//
//	m := weir.NewEncoded(update)
//	for _, s := range subscribers {
//		err := s.SendMsg(m)
//		...
//	}
//
// It is encoded when it is first sent with a codec, and compressed when it is
// first sent with a compressor, so that streams which differ in these can share
// one. Streams refer to what was encoded and do not copy it, except small
// messages, which are put together with others. The memory is free when nothing
// refers to the Encoded any more and all of it is sent.
//
// It does what grpc.PreparedMsg does, which is made for one stream, and whose
// Encode works on none of weir's. It cannot be received into. Interceptors see
// the Encoded, stats handlers its message.
type Encoded struct {
	message any
	plain   bool // never compressed

	mu    sync.Mutex
	forms []*encodedForm // guarded by mu, and so are they
}

// encodedForm is a message in one codec.
type encodedForm struct {
	codec codec
	size  int
	err   error
	sent  map[string]transport.Buffer // by the compressor's name, "" is none
}

// NewEncoded makes a message ready to be sent many times. It must not be changed
// from now on. Uncompressed messages stay so.
func NewEncoded(message any) *Encoded {
	if w, ok := message.(uncompressed); ok {
		return &Encoded{message: w.message, plain: true}
	}
	return &Encoded{message: message}
}

// encode gives the message in a codec, compressed if comp is not nil and the
// message has least octets at least, and its size before that.
func (e *Encoded) encode(c *codec, comp encoding.Compressor, least int) (transport.Buffer, int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f := e.formLocked(c)
	if f.err != nil {
		return transport.Buffer{}, 0, f.err
	}
	if c.log != nil {
		c.log.Marshalled(f.sent[""].Bytes())
	}
	name := ""
	if comp != nil && !e.plain && f.size >= least {
		name = comp.Name()
	}
	m, ok := f.sent[name]
	if !ok {
		b := f.sent[""] // which compress leaves as it is, since it is shared
		if err := compress(&b, comp); err != nil {
			return transport.Buffer{}, 0, err
		}
		m = share(b)
		f.sent[name] = m
	}
	return m, f.size, nil
}

func (e *Encoded) formLocked(c *codec) *encodedForm {
	for _, f := range e.forms {
		if c.same(&f.codec) {
			return f
		}
	}
	f := &encodedForm{codec: *c}
	f.codec.log, f.codec.once, f.codec.hands = nil, false, false // which are a call's
	b, err := f.codec.marshal(e.message)
	f.size, f.err, f.sent = b.Len(), err, map[string]transport.Buffer{"": share(b)}
	if c.same(c) { // else nobody would find it again
		e.forms = append(e.forms, f)
	}
	return f
}

// share makes a Buffer one that many streams send.
func share(b transport.Buffer) transport.Buffer {
	defer b.Free()
	return transport.NewSharedBuffer(b.Bytes(), b.Compressed)
}

// same reports whether two codecs are known to encode alike.
func (c *codec) same(d *codec) bool {
	switch {
	case c.proto || d.proto:
		return c.proto == d.proto && c.vt == d.vt
	case c.v2 != nil && d.v2 != nil:
		return reflect.ValueOf(c.v2).Comparable() && reflect.ValueOf(d.v2).Comparable() && c.v2 == d.v2
	}
	return false
}

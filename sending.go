package weir

import (
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/status"
)

// sending is what messages have to heed on their way out.
type sending struct {
	least  int    // octets that are worth compressing
	limit  int    // of what is sent, in octets
	whose  string // limit it is, as either side may read it
	option string // that changes it
}

// encode makes the message v ready to be sent, compressed with comp unless that
// is nil, and tells its size before that, in octets. What it gives is empty if
// it fails.
func (o sending) encode(v any, c *codec, comp encoding.Compressor) (m transport.Buffer, size int, err error) {
	if w, ok := v.(uncompressed); ok {
		v, comp = w.message, nil
	}
	if e, ok := v.(*Encoded); ok {
		m, size, err = e.encode(c, comp, o.least)
	} else {
		m, err = c.marshal(v)
		size = m.Len()
		if err == nil && c.log != nil {
			c.log.Marshalled(m.Bytes())
		}
		if err == nil && comp != nil && size >= o.least {
			err = compress(&m, comp)
		}
	}
	if err == nil && m.Len() > o.limit {
		err = o.tooLarge(m.Len())
	}
	if err != nil {
		m.Free()
	}
	return m, size, err
}

func (o *sending) tooLarge(n int) error {
	return status.Errorf(codes.ResourceExhausted, "cannot send a message of %d octets: %s is %d (option %s)", n, o.whose, o.limit, o.option)
}

// Uncompressed gives a message that is sent like message, but never compressed,
// whatever the compressor of its call: for what compression does not make
// smaller, such as pictures, and for secrets that must not share a compressed
// message with what others may choose. It is passed in place of the message to
// SendMsg of a stream of either side, to Invoke, or as the result of a unary
// handler behind an interceptor. It cannot be received into. Interceptors see
// the wrapped message, stats handlers the message itself. grpc-go has no such
// thing.
func Uncompressed(message any) any { return uncompressed{message} }

type uncompressed struct{ message any }

// payload gives the message that stats handlers get to see of v.
func payload(v any) any {
	if w, ok := v.(uncompressed); ok {
		v = w.message
	}
	if e, ok := v.(*Encoded); ok {
		v = e.message
	}
	return v
}

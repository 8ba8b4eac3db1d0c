package weir

import (
	"fmt"

	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
)

// A Raw is a message as octets, which nothing decodes: a proxy hands it on.
// Clients and servers take a *Raw in place of a message of any type, with any
// codec: SendMsg and Invoke send its octets, RecvMsg and Invoke store in it
// what has come, decompressed.
//
// SendMsg of a stream takes the octets away, even if it fails: the Raw is empty
// then. So a message that is received into a Raw and sent from it is copied
// once. Invoke leaves them.
//
// The zero Raw is an empty message, and so is one that was freed. It must not
// be copied, nor be used by two goroutines at a time.
type Raw struct{ b transport.Buffer }

// NewRaw makes a Raw that holds a copy of p.
func NewRaw(p []byte) *Raw {
	r := new(Raw)
	r.set(p)
	return r
}

// Bytes gives the octets, which may be changed. They are valid until the Raw is
// sent on a stream, received into, or freed.
func (r *Raw) Bytes() []byte { return r.b.Bytes() }

// Len gives the number of octets.
func (r *Raw) Len() int { return r.b.Len() }

// Free gives the memory back, so that it is used again. Without it the garbage
// collector frees it.
func (r *Raw) Free() { r.b.Free() }

// set makes r a copy of p.
func (r *Raw) set(p []byte) {
	r.b.Free()
	r.b = transport.NewBuffer(len(p))
	copy(r.b.Bytes(), p)
}

// marshal gives the octets away, or a copy of them.
func (r *Raw) marshal(away bool) transport.Buffer {
	if away {
		b := r.b
		r.b = transport.Buffer{}
		return b
	}
	b := transport.NewBuffer(r.Len())
	copy(b.Bytes(), r.Bytes())
	return b
}

// giveAway empties a message that was sent if it is a Raw.
func giveAway(v any) {
	if w, ok := v.(uncompressed); ok {
		v = w.message
	}
	if r, ok := v.(*Raw); ok {
		r.Free()
	}
}

// RawCodec is a codec for *Raw and nothing else, for calls of any
// content-subtype. The client of a proxy needs it, by grpc.ForceCodecV2, for
// content-subtypes whose codec the proxy does not have; grpc.CallContentSubtype
// names the content-subtype. A server uses it by itself for the calls of an
// UnknownServiceHandler.
type RawCodec struct{}

var _ encoding.CodecV2 = RawCodec{}

// Marshal gives the octets of a *Raw away.
func (RawCodec) Marshal(v any) (mem.BufferSlice, error) {
	r, ok := v.(*Raw)
	if !ok {
		return nil, notRaw(v)
	}
	p := append([]byte(nil), r.Bytes()...)
	r.Free()
	return mem.BufferSlice{mem.SliceBuffer(p)}, nil
}

// Unmarshal puts data into a *Raw.
func (RawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	r, ok := v.(*Raw)
	if !ok {
		return notRaw(v)
	}
	r.b.Free()
	r.b = transport.NewBuffer(data.Len())
	data.CopyTo(r.b.Bytes())
	return nil
}

// Name gives "proto", the content-subtype where grpc.CallContentSubtype sets no
// other.
func (RawCodec) Name() string { return "proto" }

func notRaw(v any) error {
	return fmt.Errorf("%T is not a *weir.Raw, and weir.RawCodec takes nothing else: is a codec for the content-subtype missing (encoding.RegisterCodecV2)?", v)
}

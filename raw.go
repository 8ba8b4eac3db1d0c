package weir

import (
	"fmt"

	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
)

// A Raw is a message that nothing decodes: its octets, as a proxy hands them on.
// Clients and servers take a *Raw for a message of any type with any codec:
// SendMsg and Invoke send its octets, RecvMsg and Invoke put those that came
// there, decompressed.
//
// SendMsg of a stream gives the octets away, whatever comes of it: the Raw is
// empty then. So a message that is received into a Raw and sent from it is
// copied once. Invoke keeps them.
//
// The zero Raw is an empty message, and so is one that was freed. It must not be
// copied, nor be used by two goroutines at a time.
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

// Len gives their number.
func (r *Raw) Len() int { return r.b.Len() }

// Free gives the memory back. Without it the garbage collector does.
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

// RawCodec is a codec that knows no message but *Raw, for calls of any
// content-subtype: a proxy's client needs it, by grpc.ForceCodecV2, for those
// whose codec it does not have; grpc.CallContentSubtype says which. A server
// uses it by itself for calls of an UnknownServiceHandler.
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

// Name gives "proto": what the octets are where nobody says otherwise.
func (RawCodec) Name() string { return "proto" }

func notRaw(v any) error {
	return fmt.Errorf("%T is not a *weir.Raw, and weir.RawCodec takes nothing else: is a codec for the content-subtype missing (encoding.RegisterCodecV2)?", v)
}

package weir

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/weir-rpc/weir/internal/binlog"
	"github.com/weir-rpc/weir/internal/grpcwire"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	stock "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
)

// codec turns messages into octets and back. Exactly one of proto and v2 is set.
type codec struct {
	proto bool // the codec that grpc-go registers as "proto": done here, without its copies
	vt    bool // with proto: the methods of vtprotobuf come first
	hands bool // with proto: the other end takes the message itself
	once  bool // what is marshalled is not marshalled again: a Raw need not keep its octets
	v2    encoding.CodecV2
	log   *binlog.Call   // of the call, if it is logged
	pool  mem.BufferPool // of what v2 is given; nil for memory that is given once
}

// codecFor gives the codec that is registered for a content-subtype. A codec
// of the first kind takes precedence, as in grpc-go.
func codecFor(subtype string) (codec, bool) {
	if c := encoding.GetCodec(subtype); c != nil {
		return codecV1(c), true
	}
	c := encoding.GetCodecV2(subtype)
	if c == nil {
		return codec{}, false
	}
	return codecV2(c), true
}

// codecV1 wraps a codec of the first kind.
func codecV1(c encoding.Codec) codec { return codec{v2: firstKind{c}} }

// firstKind makes a codec of the first kind one of the second.
type firstKind struct{ encoding.Codec }

func (c firstKind) Marshal(v any) (mem.BufferSlice, error) {
	b, err := c.Codec.Marshal(v)
	if err != nil {
		return nil, err
	}
	return mem.BufferSlice{mem.SliceBuffer(b)}, nil
}

// Unmarshal gives the codec what it may keep.
func (c firstKind) Unmarshal(data mem.BufferSlice, v any) error {
	return c.Codec.Unmarshal(data.Materialize(), v)
}

// codecV2 wraps a codec of the second kind.
func codecV2(c encoding.CodecV2) codec {
	if t := reflect.TypeOf(c); t.Kind() == reflect.Pointer && isStock(t.Elem()) || isStock(t) {
		return codec{proto: true}
	}
	return codec{v2: c}
}

// name is the content-subtype of calls that set none.
func (c *codec) name() string {
	if c.proto {
		return stock.Name
	}
	return strings.ToLower(c.v2.Name())
}

func isStock(t reflect.Type) bool {
	return t.Name() == "codecV2" && t.PkgPath() == "google.golang.org/grpc/encoding/"+stock.Name
}

// marshal encodes v into a buffer that can be sent. No message at all is an
// empty one, as in grpc-go.
func (c *codec) marshal(v any) (transport.Buffer, error) {
	if r, ok := v.(*Raw); ok {
		return r.marshal(c.once), nil
	}
	switch {
	case v == nil:
		return transport.Buffer{}, nil
	case c.proto:
		if c.hands && c.log == nil {
			if p, ok := v.(proto.Message); ok {
				return transport.NewValue(p), nil
			}
		}
		if c.vt {
			if p, ok := v.(vtMessage); ok {
				return marshalVT(p)
			}
		}
		return marshalProto(v)
	}
	return c.marshalV2(v)
}

// marshalV2 is marshal for a codec that is not protobuf's.
func (c *codec) marshalV2(v any) (transport.Buffer, error) {
	bs, err := c.v2.Marshal(v)
	if err != nil {
		return transport.Buffer{}, marshalError(err)
	}
	m := transport.NewBuffer(bs.Len())
	bs.CopyTo(m.Bytes())
	bs.Free()
	return m, nil
}

func marshalProto(v any) (transport.Buffer, error) {
	p, ok := protoMessage(v)
	if !ok {
		return transport.Buffer{}, noProto(v)
	}
	m := transport.NewBuffer(proto.Size(p))
	b, err := proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(m.Bytes()[:0], p)
	if err != nil {
		m.Free()
		return transport.Buffer{}, marshalError(err)
	}
	m.SetBytes(b)
	return m, nil
}

func noProto(v any) error { return marshalError(fmt.Errorf("%T is not a protobuf message", v)) }

func protoMessage(v any) (proto.Message, bool) {
	switch v := v.(type) {
	case proto.Message:
		return v, true
	case protoadapt.MessageV1:
		return protoadapt.MessageV2Of(v), true
	}
	return nil, false
}

// unmarshal decodes data into v. It keeps nothing of data.
func (c *codec) unmarshal(data []byte, v any) error {
	if r, ok := v.(*Raw); ok {
		r.set(data)
		return nil
	}
	var err error
	switch {
	case c.proto:
		if c.vt {
			if p, ok := v.(vtMessage); ok {
				err = unmarshalVT(data, p)
				break
			}
		}
		p, ok := protoMessage(v)
		if !ok {
			return unmarshalError(fmt.Errorf("%T is not a protobuf message", v))
		}
		err = proto.Unmarshal(data, p)
	default:
		err = c.unmarshalV2(data, v)
	}
	if err != nil {
		return unmarshalError(err)
	}
	return nil
}

// unmarshalV2 gives v2 a copy, which it may keep. If that is from a pool, it has
// to take a reference for it.
func (c *codec) unmarshalV2(data []byte, v any) error {
	if c.pool == nil {
		return c.v2.Unmarshal(mem.BufferSlice{mem.SliceBuffer(append([]byte(nil), data...))}, v)
	}
	b := mem.BufferSlice{mem.Copy(data, c.pool)}
	defer b.Free()
	return c.v2.Unmarshal(b, v)
}

func marshalError(err error) error {
	return status.Errorf(codes.Internal, "cannot marshal the message: %v", err)
}

func unmarshalError(err error) error {
	return status.Errorf(codes.Internal, "cannot unmarshal the message that was received: %v", err)
}

// compress compresses m with the registered compressor. An empty message stays
// as it is.
func compress(m *transport.Buffer, comp encoding.Compressor) error {
	if comp == nil || m.Len() == 0 {
		return nil
	}
	out := transport.NewBuffer(m.Len())
	b, err := grpcwire.Compress(out.Bytes()[:0], comp, m.Bytes())
	if err != nil {
		out.Free()
		return status.Errorf(codes.Internal, "cannot compress the message: %v", err)
	}
	out.SetBytes(b)
	out.Compressed = true
	m.Free()
	*m = out
	return nil
}

// received decodes a message of the peer: decompresses it, if it is
// compressed, and unmarshals it.
type received struct {
	codec    *codec
	limit    int    // of the decompressed message
	option   string // that changes the limit
	server   bool   // this side is the server
	unknown  codes.Code
	encoding string // the peer's grpc-encoding

	// Of the message that was decoded last, in octets.
	size int // decompressed
	wire int // as it came, without its prefix
}

func (r *received) into(m *transport.Message, v any) error {
	r.size, r.wire = len(m.Data), len(m.Data)
	if value := m.Value(); value != nil {
		return r.codec.take(value, v)
	}
	if !m.Compressed {
		if len(m.Data) > r.limit {
			return r.tooLarge(len(m.Data))
		}
		return r.decode(m.Data, v)
	}
	return r.inflate(m, v)
}

// inflate is into for a compressed message.
func (r *received) inflate(m *transport.Message, v any) error {
	comp := grpcwire.Lookup(r.encoding)
	switch {
	case r.encoding == "" || r.encoding == encoding.Identity:
		from, _ := r.sides()
		return status.Errorf(codes.Internal, "the %s sent a compressed message without saying how it is compressed (grpc-encoding is %q)", from, r.encoding)
	case comp == nil:
		from, to := r.sides()
		return status.Errorf(r.unknown, "the %s compressed a message with %q, and the %s has no such compressor (%s)", from, r.encoding, to, compressorHint(r.encoding))
	}
	buf := transport.NewBuffer(max(0, min(4*len(m.Data), r.limit)))
	defer func() { buf.Free() }()
	b, err := grpcwire.Decompress(buf.Bytes()[:0], comp, m.Data, r.limit)
	switch {
	case err == grpcwire.ErrTooLarge:
		return r.tooLarge(r.limit + 1)
	case err != nil:
		return status.Errorf(codes.Internal, "cannot decompress the message that was received: %v", err)
	}
	r.size = len(b)
	if raw, ok := v.(*Raw); ok {
		buf.SetBytes(b)
		raw.b, buf = buf, raw.b // what it had is freed
		r.codec.log.Received(b)
		return nil
	}
	return r.decode(b, v)
}

// decode unmarshals and logs a message.
func (r *received) decode(data []byte, v any) error {
	err := r.codec.unmarshal(data, v)
	if err == nil {
		r.codec.log.Received(data)
	}
	return err
}

// sides gives who sent the message and who received it.
func (r *received) sides() (from, to string) {
	if r.server {
		return "client", "server"
	}
	return "server", "client"
}

func (r *received) tooLarge(n int) error {
	from, to := r.sides()
	return status.Errorf(codes.ResourceExhausted, "the %s sent a message of at least %d octets, the %s accepts %d (its option %s)", from, n, to, r.limit, r.option)
}

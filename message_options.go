package weir

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weir-rpc/weir/internal/grpcwire"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
)

// messageConfig says how the messages of a Client or a Server are encoded.
type messageConfig struct {
	least  int            // octets that are worth compressing
	vt     bool           // the methods of vtprotobuf are used
	pool   mem.BufferPool // of what codecs of the second kind are given; nil for none
	accept *acceptList
}

// acceptList are compressors that a client says it accepts. Nil are all that
// are registered, of those that it knows by name.
type acceptList struct {
	names []string
	field string // grpc-accept-encoding
}

// WithMinCompressSize leaves messages of fewer than n octets uncompressed,
// whatever the compressor of their call: small ones rarely get smaller. The
// default is zero, which compresses all but empty messages. grpc-go has no such
// option.
func WithMinCompressSize(n int) DialOption {
	return dialOption(func(c *clientConfig) { c.messages.least = n })
}

// MinCompressSize leaves messages of fewer than n octets uncompressed. The
// default is zero, which compresses all but empty messages. See
// WithMinCompressSize.
func MinCompressSize(n int) ServerOption {
	return serverOption(func(c *serverConfig) { c.messages.least = n })
}

// WithVTProto encodes and decodes messages by the methods that vtprotobuf
// generates, SizeVT, MarshalToSizedBufferVT and UnmarshalVT, where a message
// has them; other messages are encoded as without the option. It is off by
// default. It holds for calls with the codec that grpc-go registers as "proto",
// not for those with another. These methods do not check that strings are
// UTF-8. A message that is received into is reset first.
func WithVTProto() DialOption {
	return dialOption(func(c *clientConfig) { c.messages.vt = true })
}

// VTProto encodes and decodes messages by the methods that vtprotobuf
// generates, where a message has them. It is off by default. See WithVTProto.
func VTProto() ServerOption {
	return serverOption(func(c *serverConfig) { c.messages.vt = true })
}

// WithAcceptCompressors sets what servers may compress their answers with
// (grpc-accept-encoding), in the order of preference. NewClient fails if one of
// the names is not registered (encoding.RegisterCompressor). With no names
// answers may not be compressed. An answer that is compressed otherwise fails
// its call with INTERNAL.
//
// Without the option the Client offers those of gzip, zstd, snappy and deflate
// that are registered, and takes whatever is registered. So a compressor of
// another name needs the option. grpc-go offers all that is registered.
//
// The call option experimental.AcceptCompressors counts more for its call.
func WithAcceptCompressors(names ...string) DialOption {
	names = slices.Clone(names)
	return dialOption(func(c *clientConfig) { c.messages.accept = &acceptList{names: names} })
}

// check completes the configuration of a client.
func (c *messageConfig) check() error {
	if c.accept == nil {
		return nil
	}
	list := new(acceptList) // the option may configure several Clients
	for _, name := range c.accept.names {
		switch {
		case name == encoding.Identity:
			continue
		case grpcwire.Lookup(name) == nil:
			return fmt.Errorf("weir: WithAcceptCompressors: the client has no compressor %q (%s)", name, compressorHint(name))
		}
		list.names = append(list.names, name)
	}
	list.field = strings.Join(list.names, ",")
	c.accept = list
	return nil
}

// acceptEncoding is the grpc-accept-encoding of calls that say nothing else.
func (c *messageConfig) acceptEncoding() string {
	if c.accept != nil {
		return c.accept.field
	}
	return grpcwire.AcceptEncoding([]string{"gzip", "zstd", "snappy", "deflate"})
}

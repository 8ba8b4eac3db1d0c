package weir

import (
	"fmt"
	"time"

	"github.com/weir-rpc/weir/internal/frame"
	"github.com/weir-rpc/weir/transport"
)

// WithMaxHeaderListSize bounds the headers and the trailers of an answer, in
// octets as RFC 9113 §6.5.2 counts them. Zero means the default, 64 KiB;
// grpc-go's is 16 MiB. Servers are told. If one sends more, the call fails with
// INTERNAL.
func WithMaxHeaderListSize(n uint32) DialOption {
	return connOption(func(c *transport.ConnConfig) { c.MaxHeaderListSize = n }).client()
}

// MaxHeaderListSize bounds the headers of a request, in octets as RFC 9113
// §6.5.2 counts them. Zero means the default, 64 KiB; grpc-go's is 16 MiB.
// Clients are told. A larger request ends with RESOURCE_EXHAUSTED.
func MaxHeaderListSize(n uint32) ServerOption {
	return connOption(func(c *transport.ConnConfig) { c.MaxHeaderListSize = n }).server()
}

// WithMaxFrameSize lets servers send frames of up to n octets, 16,384 to
// 16,777,215; NewClient fails with another value. Zero means the default,
// 16,384. Larger frames save work where messages are large. But while one is on
// its way nothing else of the connection can be sent. They take no larger
// buffers.
//
// The option is about what the Client receives. What it sends depends on what
// the server allows, and is never more than 64 KiB a frame. A server of grpc-go
// sends no more than 16 KiB a frame, whatever it may.
func WithMaxFrameSize(n uint32) DialOption {
	return connOption(func(c *transport.ConnConfig) { c.MaxFrameSize = n }).client()
}

// MaxFrameSize lets clients send frames of up to n octets, 16,384 to
// 16,777,215; Serve fails with another value. Zero means the default, 16,384.
// See WithMaxFrameSize.
func MaxFrameSize(n uint32) ServerOption {
	return connOption(func(c *transport.ConnConfig) { c.MaxFrameSize = n }).server()
}

// checkFrameSize finds values of an option that RFC 9113 does not allow.
func checkFrameSize(option string, n uint32) error {
	if n != 0 && !frame.ValidMaxSize(n) {
		return fmt.Errorf("weir: %s(%d) is out of range: a frame's largest size can be 16,384 to 16,777,215 octets, or 0 for the default", option, n)
	}
	return nil
}

// WithStaticStreamWindowSize fixes the window of streams: how many octets a
// server may send on one before the program reads them. Zero and negative
// values leave the default, which begins with 128 KiB and follows the bandwidth
// and the delay of the connection, up to 16 MiB. If this or
// WithStaticConnWindowSize is set, both windows are fixed. Any other n counts,
// where grpc-go ignores less than 64 KiB.
func WithStaticStreamWindowSize(n int32) DialOption {
	return connOption(func(c *transport.ConnConfig) { c.InitialWindowSize = n }).client()
}

// StaticStreamWindowSize fixes the window of streams: how many octets a client
// may send on one before the handler reads them. Zero and negative values leave
// the default, which begins with 128 KiB and follows the connection. See
// WithStaticStreamWindowSize.
func StaticStreamWindowSize(n int32) ServerOption {
	return connOption(func(c *transport.ConnConfig) { c.InitialWindowSize = n }).server()
}

// WithStaticConnWindowSize fixes the window of the connection: how many octets
// a server may have in flight on all its streams together. The credit returns
// on receipt, whoever reads, so that the window need only cover a round trip.
// Zero and negative values leave the default, which begins with 256 KiB, or
// with the window of a stream if that is larger. See
// WithStaticStreamWindowSize.
func WithStaticConnWindowSize(n int32) DialOption {
	return connOption(func(c *transport.ConnConfig) { c.InitialConnWindowSize = n }).client()
}

// StaticConnWindowSize fixes the window of the connection: how many octets a
// client may have in flight on all its streams together. Zero and negative
// values leave the default, which begins with 256 KiB and follows the
// connection. See WithStaticConnWindowSize.
func StaticConnWindowSize(n int32) ServerOption {
	return connOption(func(c *transport.ConnConfig) { c.InitialConnWindowSize = n }).server()
}

// HeaderTableSize sets the memory, in octets, that the HPACK encoder of a
// client may use on each connection of the Server. Zero means the default,
// 4,096.
func HeaderTableSize(n uint32) ServerOption {
	return connOption(func(c *transport.ConnConfig) { c.HeaderTableSize = n }).server()
}

// WithWriteTimeout ends a connection when octets wait to be sent and the server
// takes none of them for d. It is noticed after twice the time at most. Zero
// means the default, 60 seconds; a negative value is no bound. grpc-go has no
// such bound.
func WithWriteTimeout(d time.Duration) DialOption {
	return connOption(func(c *transport.ConnConfig) { c.WriteTimeout = d }).client()
}

// WriteTimeout ends a connection when octets wait to be sent and the client
// takes none of them for d. Zero means the default, 60 seconds; a negative
// value is no bound. See WithWriteTimeout.
func WriteTimeout(d time.Duration) ServerOption {
	return connOption(func(c *transport.ConnConfig) { c.WriteTimeout = d }).server()
}

// connOption is an option of each connection, of either side.
type connOption func(*transport.ConnConfig)

func (f connOption) client() DialOption {
	return dialOption(func(c *clientConfig) { f(&c.conn) })
}

func (f connOption) server() ServerOption {
	return serverOption(func(c *serverConfig) { f(&c.conn) })
}

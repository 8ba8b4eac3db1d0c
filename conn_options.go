package weir

import (
	"fmt"
	"time"

	"github.com/weir-rpc/weir/internal/frame"
	"github.com/weir-rpc/weir/transport"
)

// WithMaxHeaderListSize bounds the headers and trailers that the Client
// accepts, in octets as RFC 9113 §6.5.2 counts them: 64 KiB without it, where
// grpc-go has 16 MiB. Zero means the default. Servers are told; a call whose
// server does not heed it fails.
func WithMaxHeaderListSize(n uint32) DialOption {
	return connOption(func(c *transport.ConnConfig) { c.MaxHeaderListSize = n }).client()
}

// MaxHeaderListSize bounds the headers of requests that the Server accepts, in
// octets as RFC 9113 §6.5.2 counts them: 64 KiB without it, where grpc-go has
// 16 MiB. Zero means the default. Clients are told; a request that is larger
// ends as RESOURCE_EXHAUSTED.
func MaxHeaderListSize(n uint32) ServerOption {
	return connOption(func(c *transport.ConnConfig) { c.MaxHeaderListSize = n }).server()
}

// WithMaxFrameSize lets servers send frames of up to n octets, 16,384 to
// 16,777,215; NewClient fails with another value. Zero means the default, 16,384.
// Larger frames save work where messages are large, and delay what else the
// connection has to say by the time that one takes on its way. They take no
// larger buffers. What the Client sends is for the server to say, and never in
// frames of more than 64 KiB; a server of grpc-go sends no more than 16 KiB,
// whatever it may.
func WithMaxFrameSize(n uint32) DialOption {
	return connOption(func(c *transport.ConnConfig) { c.MaxFrameSize = n }).client()
}

// MaxFrameSize lets clients send frames of up to n octets. See WithMaxFrameSize;
// with a value out of range Serve fails.
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

// WithStaticStreamWindowSize fixes how many octets a server may send on a
// stream that nobody reads, at least 1. Without it the window follows the
// bandwidth and the delay of the connection, from 128 KiB up to 16 MiB. A
// window that is fixed, of streams or of the connection, fixes both. Zero and
// less leave the default. In grpc-go less than 64 KiB is ignored; here it
// counts.
func WithStaticStreamWindowSize(n int32) DialOption {
	return connOption(func(c *transport.ConnConfig) { c.InitialWindowSize = n }).client()
}

// StaticStreamWindowSize fixes how many octets a client may send on a stream
// that nobody reads. See WithStaticStreamWindowSize.
func StaticStreamWindowSize(n int32) ServerOption {
	return connOption(func(c *transport.ConnConfig) { c.InitialWindowSize = n }).server()
}

// WithStaticConnWindowSize fixes how many octets a server may have in flight on
// a connection. Its credit returns on receipt, so that it need only cover the
// way there and back. Without it the window is 256 KiB at first, or that of a
// stream if that is larger. See WithStaticStreamWindowSize.
func WithStaticConnWindowSize(n int32) DialOption {
	return connOption(func(c *transport.ConnConfig) { c.InitialConnWindowSize = n }).client()
}

// StaticConnWindowSize fixes how many octets a client may have in flight on a
// connection. See WithStaticConnWindowSize.
func StaticConnWindowSize(n int32) ServerOption {
	return connOption(func(c *transport.ConnConfig) { c.InitialConnWindowSize = n }).server()
}

// HeaderTableSize is the memory, in octets, that the HPACK encoder of a client
// may use on each connection of the Server: 4,096 without it. Zero means the
// default.
func HeaderTableSize(n uint32) ServerOption {
	return connOption(func(c *transport.ConnConfig) { c.HeaderTableSize = n }).server()
}

// WithWriteTimeout bounds how long a connection may have octets to send of
// which the server takes none: 60 seconds without it; a negative value is no
// bound. It is found out after twice the time at most, and ends the connection.
// grpc-go has no such bound.
func WithWriteTimeout(d time.Duration) DialOption {
	return connOption(func(c *transport.ConnConfig) { c.WriteTimeout = d }).client()
}

// WriteTimeout bounds how long a connection may have octets to send of which
// the client takes none. See WithWriteTimeout.
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

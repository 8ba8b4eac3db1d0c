package weir

import (
	"time"

	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/channelz"
	"google.golang.org/grpc/mem"
)

// sizes are what options say of windows, buffers and budgets that weir finds
// good values for by itself.
type sizes struct {
	stream, conn int32 // where windows begin; 0 for the default
	tuning       transport.ConnTuning
	workers      int // 0 for the default
}

// into completes c, whose windows are set already if they are static.
func (s *sizes) into(c *transport.ConnConfig) {
	if c.InitialWindowSize <= 0 && c.InitialConnWindowSize <= 0 && (s.stream > 0 || s.conn > 0) {
		c.InitialWindowSize, c.InitialConnWindowSize, c.AdaptiveWindows = s.stream, s.conn, true
	}
	if s.tuning != (transport.ConnTuning{}) {
		tuning := s.tuning
		c.Tuning = &tuning
	}
}

// sizeOption is an option of either side.
type sizeOption func(*sizes)

func (f sizeOption) client() DialOption {
	return dialOption(func(c *clientConfig) { f(&c.sizes) })
}

func (f sizeOption) server() ServerOption {
	return serverOption(func(c *serverConfig) { f(&c.sizes) })
}

// WithInitialStreamWindowSize sets how many octets a server may send on a stream
// that nobody reads, at first: 128 KiB without it. From there on the window
// follows the bandwidth and the delay of the connection, up to 16 MiB, and never
// below n. Less than the default leaves the default. A window that
// WithStaticStreamWindowSize or WithStaticConnWindowSize fixes stays fixed.
//
// It is for programs that know their way: package tuning computes n from its
// round-trip time and bandwidth. Each stream may have n octets in the Client's
// memory when nobody reads.
func WithInitialStreamWindowSize(n int32) DialOption {
	return sizeOption(func(s *sizes) { s.stream = n }).client()
}

// InitialStreamWindowSize sets how many octets a client may send on a stream
// that nobody reads, at first. See WithInitialStreamWindowSize.
func InitialStreamWindowSize(n int32) ServerOption {
	return sizeOption(func(s *sizes) { s.stream = n }).server()
}

// WithInitialConnWindowSize sets how many octets a server may have in flight on
// a connection, at first: 256 KiB without it, or the window of a stream if that
// is larger. From there on the window follows the bandwidth and the delay of the
// connection, and never goes below n. Less than the default, or than the window
// of a stream, leaves it at that.
// A window that is fixed stays fixed. grpc-go up to v1.85 fixes the window by this
// option, which WithStaticConnWindowSize does.
func WithInitialConnWindowSize(n int32) DialOption {
	return sizeOption(func(s *sizes) { s.conn = n }).client()
}

// InitialConnWindowSize sets how many octets a client may have in flight on a
// connection, at first. See WithInitialConnWindowSize.
func InitialConnWindowSize(n int32) ServerOption {
	return sizeOption(func(s *sizes) { s.conn = n }).server()
}

// WithReadBufferSize sets how many octets the Client reads from a connection at
// once, at most: 32 KiB without it. Less than 16 KiB counts as that, more than
// 8 MiB as that, and zero and less leave the default. The buffer comes from a
// pool when there is something to read, and goes back, so that only busy
// connections hold one.
func WithReadBufferSize(n int) DialOption {
	return sizeOption(func(s *sizes) { s.tuning.ReadBufferSize = n }).client()
}

// ReadBufferSize sets how many octets the Server reads from a connection at
// once, at most. See WithReadBufferSize.
func ReadBufferSize(n int) ServerOption {
	return sizeOption(func(s *sizes) { s.tuning.ReadBufferSize = n }).server()
}

// WithWriteBufferSize has no effect, and is there for programs that set it in
// grpc-go: what is ready to be sent goes to the socket at once and together,
// however much it is. There is no buffer that could be too small.
func WithWriteBufferSize(int) DialOption { return dialOption(func(*clientConfig) {}) }

// WriteBufferSize has no effect. See WithWriteBufferSize.
func WriteBufferSize(int) ServerOption { return serverOption(func(*serverConfig) {}) }

// WithBufferPool sets where the memory is from in which a codec of the second
// kind gets messages, any but grpc-go's own for protobuf: as encoding.CodecV2 has
// it, it must take a reference to what it keeps. Without the option, and with nil,
// each message has memory of its own, which is the garbage collector's. All other
// buffers are of weir's own pool, which the connections of a process share;
// grpc-go takes the option's for those too.
func WithBufferPool(pool mem.BufferPool) DialOption {
	return dialOption(func(c *clientConfig) { c.messages.pool = pool })
}

// BufferPool sets where the memory is from in which a codec of the second kind
// gets messages. See WithBufferPool.
func BufferPool(pool mem.BufferPool) ServerOption {
	return serverOption(func(c *serverConfig) { c.messages.pool = pool })
}

// WithChannelzParentID has no effect, and is there for programs that set it in
// grpc-go, to whose own channelz the identifier belongs.
func WithChannelzParentID(channelz.Identifier) DialOption {
	return dialOption(func(*clientConfig) {})
}

// NumStreamWorkers sets how many goroutines the Server keeps for unary handlers
// to come, once they have run one: 8 for each processor without it, where grpc-go
// keeps none. More calls at a time have goroutines all the same, which end with
// them. Zero leaves the default.
func NumStreamWorkers(n uint32) ServerOption {
	return serverOption(func(c *serverConfig) { c.sizes.workers = int(min(n, 1<<31-1)) })
}

// WithSettingsTimeout bounds how long a server may take to acknowledge the
// Client's SETTINGS: 10 seconds without it; zero means that, and a negative value
// no bound. A connection that takes longer ends, and its calls fail. grpc-go has
// no such bound.
func WithSettingsTimeout(d time.Duration) DialOption {
	return connOption(func(c *transport.ConnConfig) { c.SettingsTimeout = d }).client()
}

// SettingsTimeout bounds how long a client may take to acknowledge the Server's
// SETTINGS. See WithSettingsTimeout.
func SettingsTimeout(d time.Duration) ServerOption {
	return connOption(func(c *transport.ConnConfig) { c.SettingsTimeout = d }).server()
}

// WithIdleFrameLimit bounds the frames of a server that do no work for a call by
// themselves: PING, SETTINGS, RST_STREAM, WINDOW_UPDATE, empty DATA and the like.
// As many as burst may come at any time, 20,000 if it is zero, and a second gives
// perSecond of them back, 5,000 if it is zero; calls that are answered and
// messages that are sent give back some besides. A connection that exceeds it
// ends with ENHANCE_YOUR_CALM, and the error of its calls names the most frequent
// kind. A negative burst is no bound, a negative perSecond gives nothing back.
//
// The defaults are far from what calls need. It is for the operator who finds a
// peer that is cut off and cannot be changed.
func WithIdleFrameLimit(burst, perSecond int) DialOption {
	return idleFrameLimit(burst, perSecond).client()
}

// IdleFrameLimit bounds the frames of a client that do no work for a call by
// themselves. See WithIdleFrameLimit.
func IdleFrameLimit(burst, perSecond int) ServerOption {
	return idleFrameLimit(burst, perSecond).server()
}

func idleFrameLimit(burst, perSecond int) sizeOption {
	return func(s *sizes) {
		s.tuning.IdleFrames = transport.IdleFrames{Burst: burst, PerSecond: perSecond}
	}
}

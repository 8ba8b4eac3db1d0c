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

// WithInitialStreamWindowSize sets the window that a stream begins with: how
// many octets a server may send on it before the program reads them. The
// default, and the least, is 128 KiB. From there the window follows the
// bandwidth and the delay of the connection, up to 16 MiB, and never goes below
// n. It has no effect if WithStaticStreamWindowSize or WithStaticConnWindowSize
// fixes the windows.
//
// It is for programs that know their network path: package tuning computes n
// from the round-trip time and the bandwidth. Each stream that nobody reads may
// hold n octets of memory.
func WithInitialStreamWindowSize(n int32) DialOption {
	return sizeOption(func(s *sizes) { s.stream = n }).client()
}

// InitialStreamWindowSize sets the window that a stream begins with: how many
// octets a client may send on it before the handler reads them. The default,
// and the least, is 128 KiB. See WithInitialStreamWindowSize.
func InitialStreamWindowSize(n int32) ServerOption {
	return sizeOption(func(s *sizes) { s.stream = n }).server()
}

// WithInitialConnWindowSize sets the window that a connection begins with: how
// many octets a server may have in flight on all its streams together. The
// default, and the least, is 256 KiB, or the window of a stream if that is
// larger. From there the window follows the bandwidth and the delay of the
// connection, and never goes below n. It has no effect on windows that are
// fixed. grpc-go up to v1.85 fixes the window by the option of this name, which
// WithStaticConnWindowSize does here.
func WithInitialConnWindowSize(n int32) DialOption {
	return sizeOption(func(s *sizes) { s.conn = n }).client()
}

// InitialConnWindowSize sets the window that a connection begins with: how many
// octets a client may have in flight on all its streams together. The default,
// and the least, is 256 KiB, or the window of a stream if that is larger. See
// WithInitialConnWindowSize.
func InitialConnWindowSize(n int32) ServerOption {
	return sizeOption(func(s *sizes) { s.conn = n }).server()
}

// WithReadBufferSize sets how many octets one read from a connection takes at
// most: 16 KiB to 8 MiB; less and more count as those. Zero and negative values
// mean the default, 32 KiB. The buffer comes from a pool when there is
// something to read, and goes back, so that only busy connections hold one.
func WithReadBufferSize(n int) DialOption {
	return sizeOption(func(s *sizes) { s.tuning.ReadBufferSize = n }).client()
}

// ReadBufferSize sets how many octets one read from a connection takes at most.
// The default is 32 KiB. See WithReadBufferSize.
func ReadBufferSize(n int) ServerOption {
	return sizeOption(func(s *sizes) { s.tuning.ReadBufferSize = n }).server()
}

// WithWriteBufferSize has no effect, and is there for programs that set it in
// grpc-go: what is ready to be sent goes to the socket at once and together,
// however much it is. There is no buffer that could be too small.
func WithWriteBufferSize(int) DialOption { return dialOption(func(*clientConfig) {}) }

// WriteBufferSize has no effect. See WithWriteBufferSize.
func WriteBufferSize(int) ServerOption { return serverOption(func(*serverConfig) {}) }

// WithBufferPool sets the pool whose memory an encoding.CodecV2 is given
// messages in. As that interface has it, the codec must take a reference to
// what it keeps. Without the option, and with nil, each message has memory of
// its own, which the garbage collector frees. It has no effect on grpc-go's own
// codec for protobuf, which is not called. All other buffers come from weir's
// own pool, which the connections of a process share; grpc-go takes the
// option's for those too.
func WithBufferPool(pool mem.BufferPool) DialOption {
	return dialOption(func(c *clientConfig) { c.messages.pool = pool })
}

// BufferPool sets the pool whose memory an encoding.CodecV2 is given messages
// in. Without it each message has memory of its own. See WithBufferPool.
func BufferPool(pool mem.BufferPool) ServerOption {
	return serverOption(func(c *serverConfig) { c.messages.pool = pool })
}

// WithChannelzParentID has no effect, and is there for programs that set it in
// grpc-go: the identifier belongs to grpc-go's own channelz.
func WithChannelzParentID(channelz.Identifier) DialOption {
	return dialOption(func(*clientConfig) {})
}

// NumStreamWorkers sets how many goroutines the Server keeps for further unary
// handlers when they have run one. Zero means the default, 8 for each
// processor; grpc-go keeps none. It is no bound: more calls at a time run on
// goroutines that end with them.
func NumStreamWorkers(n uint32) ServerOption {
	return serverOption(func(c *serverConfig) { c.sizes.workers = int(min(n, 1<<31-1)) })
}

// WithSettingsTimeout bounds how long a server may take to acknowledge the
// Client's SETTINGS. A connection that takes longer ends, and its calls fail.
// Zero means the default, 10 seconds; a negative value is no bound. grpc-go has
// no such bound.
func WithSettingsTimeout(d time.Duration) DialOption {
	return connOption(func(c *transport.ConnConfig) { c.SettingsTimeout = d }).client()
}

// SettingsTimeout bounds how long a client may take to acknowledge the Server's
// SETTINGS. Zero means the default, 10 seconds; a negative value is no bound.
// See WithSettingsTimeout.
func SettingsTimeout(d time.Duration) ServerOption {
	return connOption(func(c *transport.ConnConfig) { c.SettingsTimeout = d }).server()
}

// WithIdleFrameLimit bounds the frames of a server that do no work for a call
// by themselves: PING, SETTINGS, RST_STREAM, WINDOW_UPDATE, empty DATA and the
// like. Each connection has a budget for them: burst of them at first, to which
// each second adds perSecond, up to burst. Calls that are answered and messages
// that are sent add some, too. Zero means the defaults, 20,000 and 5,000 a
// second. A negative burst is no bound, a negative perSecond adds nothing. A
// connection that exceeds its budget ends with ENHANCE_YOUR_CALM, and the error
// of its calls names the most frequent kind.
//
// The defaults are far above what calls need. The option is for the case that a
// peer is cut off which cannot be changed.
func WithIdleFrameLimit(burst, perSecond int) DialOption {
	return idleFrameLimit(burst, perSecond).client()
}

// IdleFrameLimit bounds the frames of a client that do no work for a call by
// themselves: burst of them at first and at most, 20,000 by default, and
// perSecond more each second, 5,000 by default. See WithIdleFrameLimit.
func IdleFrameLimit(burst, perSecond int) ServerOption {
	return idleFrameLimit(burst, perSecond).server()
}

func idleFrameLimit(burst, perSecond int) sizeOption {
	return func(s *sizes) {
		s.tuning.IdleFrames = transport.IdleFrames{Burst: burst, PerSecond: perSecond}
	}
}

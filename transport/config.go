package transport

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/weir-rpc/weir/internal/frame"
	"github.com/weir-rpc/weir/internal/grpcwire"
	"github.com/weir-rpc/weir/internal/liveness"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
)

// Defaults that both sides share.
const (
	// DefaultStreamWindow is the window that a stream begins with, in octets: what a
	// peer may send on it before it is read.
	DefaultStreamWindow = 128 << 10
	// DefaultConnWindow is the window that a connection begins with, in octets: what
	// a peer may have in flight on it. Its credit returns on receipt, so that it need
	// only cover a round trip.
	DefaultConnWindow = 256 << 10
	// DefaultMaxHeaderListSize bounds the header lists that are accepted, in octets.
	DefaultMaxHeaderListSize = 64 << 10
	// DefaultMaxRecvMessageSize bounds the messages that are accepted, in octets, as
	// in grpc-go.
	DefaultMaxRecvMessageSize = 4 << 20
	// DefaultMaxConcurrentStreams is how many streams of a connection a server accepts
	// at a time.
	DefaultMaxConcurrentStreams = 1000
	// DefaultSettingsTimeout is how long a peer may take to acknowledge SETTINGS.
	DefaultSettingsTimeout = 10 * time.Second
	// DefaultConnectionTimeout is how long a client may take to send its preface and
	// SETTINGS.
	DefaultConnectionTimeout = 120 * time.Second
	// DefaultWriteTimeout is how long octets may wait for a peer that takes none.
	DefaultWriteTimeout = 60 * time.Second
	// DefaultDrainTimeout is how long a peer may take to answer the PING that
	// follows the first GOAWAY of a drain.
	DefaultDrainTimeout = 5 * time.Second
)

// A ConnConfig is what both sides of a connection can be told. The zero value
// means the defaults.
type ConnConfig struct {
	// InitialWindowSize is the receive window of a stream in octets: 1 to
	// 2^31-1. Zero means that it starts with DefaultStreamWindow and follows the
	// bandwidth-delay product, up to 16 MiB and back. If this or
	// InitialConnWindowSize is set, both windows are static unless
	// AdaptiveWindows is.
	InitialWindowSize int32
	// InitialConnWindowSize is the receive window of the connection in octets.
	// Zero means DefaultConnWindow, or InitialWindowSize if that is larger; it
	// grows and shrinks with the windows of streams unless they are static. It
	// may be below the 65,535 that RFC 9113 starts with: then credit is held
	// back until the difference is used up.
	InitialConnWindowSize int32
	// AdaptiveWindows makes windows that are set follow the bandwidth-delay
	// product too: they start with the sizes given, or the defaults if those are
	// larger, and never go below. That of the connection is no smaller than that
	// of a stream.
	AdaptiveWindows bool
	// Exclusive says that nobody but the transport reads, closes or sets deadlines
	// of the net.Conn or what is under it. Then a connection on which nothing comes
	// for a while (ConnTuning.RestAfter) waits without a goroutine, on Linux, if it
	// is a TCP or unix socket, or TLS above one. If somebody did close it, that
	// would not be noticed before it is used.
	Exclusive bool
	// MaxHeaderListSize bounds the header list of a request or response, in
	// octets as RFC 9113 §6.5.2 counts them. Zero means DefaultMaxHeaderListSize.
	MaxHeaderListSize uint32
	// HeaderTableSize is the memory, in octets, that the peer's HPACK encoder
	// may use here. Zero means 4,096.
	HeaderTableSize uint32
	// MaxFrameSize is the largest frame that the peer may send, in octets of
	// payload: 16,384 to 16,777,215, and anything else is an error. Zero means
	// 16,384. Larger frames save both sides work where messages are large; while
	// one is on its way nothing else of the connection is. They take no larger
	// buffer but for headers, which MaxHeaderListSize bounds. This side sends
	// frames as large as the peer allows, but of no more than 64 KiB.
	MaxFrameSize uint32
	// SettingsTimeout bounds the wait for the acknowledgement of our SETTINGS.
	// Zero means DefaultSettingsTimeout, a negative value no bound.
	SettingsTimeout time.Duration
	// WriteTimeout ends the connection when octets wait for the peer and its
	// socket takes none of them for this long: the peer is stuck, or gone. It is
	// noticed after twice the time at the latest. A peer that reads slowly is
	// left alone, and so is one that reads but gives a stream no credit: that is
	// for the call's deadline. Zero means DefaultWriteTimeout, a negative value
	// no bound.
	WriteTimeout time.Duration
	// Tuning has what is seldom set. Nil means the defaults. It is not changed, and
	// several connections may share it.
	Tuning *ConnTuning
	// AuthInfo is what the security handshake found out about the peer. It may
	// be nil.
	AuthInfo credentials.AuthInfo
	// InspectID is the id of the connection in package inspect, one that
	// inspect.NextID gave. Zero takes the next.
	InspectID int64
}

// A ConnTuning is what is seldom set about a connection. The zero value means
// the defaults.
type ConnTuning struct {
	// ReadBufferSize is how many octets are read at once at most: 16 KiB to 8
	// MiB, what is less or more counts as that. The buffer comes from a pool while
	// there is something to read, and goes back. Zero and less mean 32 KiB.
	ReadBufferSize int
	// RestAfter is how long, up to twice that, nothing is read before a connection
	// rests, with open calls or without: it lets go of what makes the next call a
	// little faster, and of its goroutine where Exclusive allows. Zero and less mean
	// a second.
	RestAfter time.Duration
	// IdleFrames bounds the frames that do no work for a call.
	IdleFrames IdleFrames
}

// IdleFrames is a budget for frames of the peer that do no work for a call by
// themselves: PING, SETTINGS, PRIORITY, RST_STREAM, WINDOW_UPDATE, empty DATA
// and the like. Calls add some to it. A peer that exceeds it loses the
// connection, with ENHANCE_YOUR_CALM.
type IdleFrames struct {
	// Burst is the budget at first, and the most that time makes of it. Zero means
	// 20,000, a negative value no bound.
	Burst int
	// PerSecond is how many frames each second adds. Zero means 5,000, a negative
	// value none.
	PerSecond int
}

// rare gives Tuning, or its defaults.
func (c *ConnConfig) rare() ConnTuning {
	if c.Tuning == nil {
		return ConnTuning{}
	}
	return *c.Tuning
}

func (c *ConnConfig) restAfter() time.Duration {
	if c.Tuning == nil || c.Tuning.RestAfter <= 0 {
		return defaultRestAfter
	}
	return c.Tuning.RestAfter
}

func (c *ConnConfig) readBufferSize() int {
	if c.Tuning == nil || c.Tuning.ReadBufferSize <= 0 {
		return defaultReadBufferSize
	}
	return min(max(c.Tuning.ReadBufferSize, frame.MinBuffer), 8<<20)
}

// staticWindows reports whether windows stay as they are configured.
func (c *ConnConfig) staticWindows() bool {
	return (c.InitialWindowSize > 0 || c.InitialConnWindowSize > 0) && !c.AdaptiveWindows
}

func (c *ConnConfig) initialWindowSize() uint32 {
	if c.InitialWindowSize <= 0 || c.AdaptiveWindows && c.InitialWindowSize < DefaultStreamWindow {
		return DefaultStreamWindow
	}
	return uint32(c.InitialWindowSize)
}

func (c *ConnConfig) initialConnWindowSize() uint32 {
	if c.InitialConnWindowSize <= 0 || c.AdaptiveWindows {
		return max(DefaultConnWindow, c.initialWindowSize(), uint32(max(c.InitialConnWindowSize, 0)))
	}
	return uint32(c.InitialConnWindowSize)
}

func (c *ConnConfig) maxHeaderListSize() uint32 {
	if c.MaxHeaderListSize == 0 {
		return DefaultMaxHeaderListSize
	}
	return c.MaxHeaderListSize
}

func (c *ConnConfig) headerTableSize() uint32 {
	if c.HeaderTableSize == 0 {
		return 4096
	}
	return c.HeaderTableSize
}

func (c *ConnConfig) maxFrameSize() uint32 {
	if c.MaxFrameSize == 0 {
		return frame.DefaultMaxSize
	}
	return c.MaxFrameSize
}

// headerBounds are those of a header block before it is decoded: twice the octets
// of the list, for a code that makes it longer, and the frames that these need.
func (c *ConnConfig) headerBounds() (octets uint64, frames uint32) {
	octets = 2 * uint64(c.maxHeaderListSize())
	return octets, uint32(max(octets/frame.DefaultMaxSize+1, maxContinuations))
}

// largestWhole is how large a frame other than DATA may be: as large as a header
// block, with priority and padding.
func (c *ConnConfig) largestWhole() uint32 {
	octets, _ := c.headerBounds()
	return uint32(min(octets+256+5, frame.MaxMaxSize))
}

// check finds values that mean nothing.
func (c *ConnConfig) check() *ConnError {
	if n := c.maxFrameSize(); !frame.ValidMaxSize(n) {
		return &ConnError{Code: CodeInternal, By: ByLocal, Reason: fmt.Sprintf(
			"the option MaxFrameSize is %d, it can be %d to %d octets, or 0 for the default", n, frame.DefaultMaxSize, frame.MaxMaxSize)}
	}
	return nil
}

func (c *ConnConfig) settingsTimeout() time.Duration {
	if c.SettingsTimeout == 0 {
		return DefaultSettingsTimeout
	}
	return c.SettingsTimeout
}

func (c *ConnConfig) writeTimeout() time.Duration {
	if c.WriteTimeout == 0 {
		return DefaultWriteTimeout
	}
	return c.WriteTimeout
}

// A ClientConfig configures a ClientTransport. The zero value means the
// defaults.
type ClientConfig struct {
	ConnConfig
	// Authority is the :authority of calls that name none. Empty means the
	// address of the server.
	Authority string
	// UserAgent is the whole user-agent field. Empty means "grpc-go-weir".
	UserAgent string
	// EarlyCalls makes NewHTTP2Client return as soon as the preface is on its way.
	// Calls then go behind it instead of waiting for the server's SETTINGS, which
	// saves a connection's first calls a round trip. Until the SETTINGS come the
	// initial values of RFC 9113 hold: windows of 65,535 octets, no bound of header
	// lists, and 100 streams at a time, the least that it recommends servers to
	// allow. A server that allows fewer may refuse calls, which fail as Unprocessed
	// then.
	//
	// The SETTINGS have to come by the deadline of NewHTTP2Client's context, or
	// within SettingsTimeout if it has none. Otherwise the connection ends, as it
	// does if the server turns out not to speak HTTP/2, and its calls fail. They
	// are Unprocessed only where that is certain: when the server speaks HTTP/1 or
	// TLS, and when they waited for a stream slot.
	EarlyCalls bool
	// AcceptEncoding is the grpc-accept-encoding field: names of compressors,
	// comma-separated. Empty sends none.
	AcceptEncoding string
	// Keepalive finds a server that died without a word. It is off if Time is
	// zero or negative; a Time of less than 10 s counts as that. A Timeout of
	// zero or less is 20 s.
	Keepalive keepalive.ClientParameters
	// IdleTimeout ends the connection when no stream was open for that long, and
	// nobody waited for one: an eighth of it later at most. Err's cause is ErrIdle
	// then. Zero and negative values are no bound.
	IdleTimeout time.Duration
	// Answers says how long a server may owe answers. Nil means for ever. It is not
	// changed, and connections may share it.
	Answers *AnswerPolicy
	// TooManyPings hears that the server ends the connection because it gets too
	// many PING frames, before Draining is closed. It is given the Time that the
	// connection had in effect, 0 if keepalive was off: Calmer makes parameters
	// for the next connection of it. The reader calls it, so that it must not
	// wait. It may be nil.
	TooManyPings func(used time.Duration)
}

// An AnswerPolicy says when a client leaves a server that does not answer.
type AnswerPolicy struct {
	// Timeout is how long nothing at all may come from the server while calls are
	// open. A PING asks the server when between 3/8 and 1/2 of it are over. Between
	// 5/8 and 3/4 the owner is asked for another connection (see Replaceable),
	// between 7/8 and the whole Draining is closed, and a quarter of it later the
	// connection ends with the calls that are open. It should be many round trips;
	// less than 8 ms counts as that. Zero and less are no bound.
	//
	// Servers that end connections for too many PING frames, as grpc-go's do, have
	// no reason to: there are two at most until a call is answered.
	Timeout time.Duration
	// PatientCalls leaves the calls that are open as they are when Timeout is over:
	// the connection does not end.
	PatientCalls bool
}

func (p *AnswerPolicy) timeout() time.Duration {
	if p == nil {
		return 0
	}
	return p.Timeout
}

func (p *AnswerPolicy) lookEvery() time.Duration {
	return max(p.Timeout/liveness.Looks, time.Millisecond)
}

// A ServerConfig configures a ServerTransport. The zero value means the
// defaults.
type ServerConfig struct {
	ConnConfig
	// MaxConcurrentStreams bounds the streams of the connection whose handler
	// runs or whose answer still waits to be written. A handler that goes on
	// after it has sent the status does not count. Zero means
	// DefaultMaxConcurrentStreams; math.MaxUint32 means no bound.
	MaxConcurrentStreams uint32
	// MaxRecvMessageSize bounds a message as it is received, before it is
	// decompressed, in octets. Zero means DefaultMaxRecvMessageSize, a negative
	// value no bound but the 2^32-1 of the wire.
	MaxRecvMessageSize int
	// ConnectionTimeout bounds the wait for the client's preface and SETTINGS.
	// Zero means DefaultConnectionTimeout.
	ConnectionTimeout time.Duration
	// Keepalive finds a client that died without a word, and ends connections
	// that are idle or old. Time is how long nothing is read before a PING is
	// sent: zero means 2 h, a negative value never, and less than 1 s counts as
	// that. Timeout is how long nothing is read after it: zero or less means
	// 20 s. MaxConnectionIdle, MaxConnectionAge (give or take a tenth, by
	// chance) and MaxConnectionAgeGrace are infinite if they are zero or less.
	// The grace counts from the GOAWAY that says which streams finish.
	Keepalive keepalive.ServerParameters
	// KeepaliveEnforcement bounds the PING frames of the client. MinTime zero
	// means 5 min, a negative value no bound while there are streams; without
	// streams it is 2 h unless PermitWithoutStream. The third PING frame that
	// comes earlier ends the connection with ENHANCE_YOUR_CALM and
	// "too_many_pings"; HEADERS and DATA that the server sends forgive.
	KeepaliveEnforcement keepalive.EnforcementPolicy
	// Unary reports whether a method takes one message and gives one. The
	// handlers of such methods may run one after the other on one goroutine
	// when they are quick; each starts when its request is complete. It is
	// called by the reader, once or a few times a method: it must be fast and
	// give the same answer each time. If it is nil, every handler runs on a
	// goroutine of its own and starts with the headers.
	Unary func(method string) bool
	// ContextValue answers what the context of a handler does not know itself.
	// It may be nil, and gives nil for keys that it does not know either.
	ContextValue func(st ServerStream, key any) any
	// Draining is called, on a goroutine of its own, when the connection begins to
	// drain: by Drain, because it is old or idle, or because the client wants no
	// more of it. It may be nil.
	Draining func()
	// Workers lends the goroutines on which unary handlers run. If it is nil,
	// the connection has its own.
	Workers *Workers
}

func (c *ServerConfig) maxConcurrentStreams() uint32 {
	if c.MaxConcurrentStreams == 0 {
		return DefaultMaxConcurrentStreams
	}
	return c.MaxConcurrentStreams
}

func (c *ServerConfig) connectionTimeout() time.Duration {
	if c.ConnectionTimeout <= 0 {
		return DefaultConnectionTimeout
	}
	return c.ConnectionTimeout
}

// messageLimit turns the option's value into a bound.
func messageLimit(n int) uint32 {
	switch {
	case n == 0:
		return DefaultMaxRecvMessageSize
	case n < 0 || n > largestMessage:
		return largestMessage
	}
	return uint32(n)
}

// largestMessage is what the prefix of a message can say, and a slice can hold.
const largestMessage = min(math.MaxUint32, math.MaxInt-grpcwire.PrefixLen)

// contextBackground stands where a transport has no context of its own.
var contextBackground = context.Background()

package inspect

import "time"

// A Connection can be asked for a snapshot. Those of package transport can, on either
// side.
type Connection interface {
	// InspectID gives the id of the connection, unique in the process: see NextID.
	InspectID() int64
	// Inspect takes a snapshot, with Streams if streams is set.
	Inspect(streams bool) Conn
}

// A Conn is the snapshot of a connection.
type Conn struct {
	ID     int64 // of NextID: unique in the process
	Client bool  // this side is the client
	// State is "open"; "draining" when no new streams are opened; or "closed",
	// and Err says why.
	State string
	Err   string
	// Leaving says why a Client looks for another connection to take the place of
	// this one, or has found one; empty if it does not.
	Leaving string
	// Since is when the connection was handed to HTTP/2, its security handshake
	// done, and Heard when the latest frame came, the zero Time if none did.
	Since, Heard time.Time
	// LastStream is when the latest stream was opened, the zero Time if none was.
	LastStream    time.Time
	Local, Remote Address
	// RemoteName is the :authority of calls that name none; empty on a server.
	RemoteName string
	Security   Security
	Counters
	Window Window // of the connection
	// Pending are the octets that are framed and wait for the socket: up to some
	// 64 KiB, and what waits beyond does so in its stream.
	Pending int
	// RoundTrip is the shortest that PING frames measured of late, and BDP the
	// bandwidth-delay product of the latest sample, in octets of DATA that came in.
	// They are measured only while the peer sends much, and never if the windows are
	// static: they are 0 then. Socket has what the operating system measures.
	RoundTrip time.Duration
	BDP       int64
	// MaxStreams is how many streams the client may have open: the server's
	// SETTINGS_MAX_CONCURRENT_STREAMS, math.MaxUint32 if it has no bound.
	MaxStreams uint32
	// SlotWaiters are calls that wait for one of the open streams to end.
	SlotWaiters int
	// Open has the sums over the open streams.
	Open Open
	// Streams are the open streams, ordered by their ids, if they were asked for.
	Streams []Stream
	// Socket is what the operating system says. It is nil on other systems than
	// Linux, and in the snapshot of a Client or Server: Registry.Conn asks.
	Socket *Socket
}

// An Address is one of the network.
type Address struct {
	Network string // as net.Addr has it: "tcp", "unix"
	Text    string // "192.0.2.1:443"
}

// Security says how a connection is secured.
type Security struct {
	// Type is that of the credentials' AuthInfo: "tls", "insecure"; empty if there
	// is none.
	Type string
	// CipherSuite is the name of a TLS cipher suite, and the certificates are in
	// DER, empty if there are none.
	CipherSuite                         string
	LocalCertificate, RemoteCertificate []byte
}

// A Window is credit of the flow control of HTTP/2, in octets of DATA.
type Window struct {
	// Send is what the peer granted and is left: its owner sends no more until the
	// peer grants more. Of a stream it may be negative, when the peer has lowered
	// its SETTINGS_INITIAL_WINDOW_SIZE.
	Send int64
	// Receive is what this side granted and is left. It may be negative in the same
	// way.
	Receive int64
	// ReceiveSize is the size that this side wants its window to have.
	ReceiveSize int64
}

// Open sums up the open streams of a connection, or of several.
type Open struct {
	Streams int // how many are open
	// SendMin, SendMax and SendSum are of the Window.Send of the streams; 0 if
	// there are none.
	SendMin, SendMax, SendSum int64
	// Queued are the octets of messages that are not framed yet, and Unread those
	// that have come and that the application has not taken.
	Queued, Unread int64
	// Waits counts the streams by what they wait for.
	Waits Waits
}

// Waits counts streams by what they wait for. See Stream.Waits.
type Waits struct{ StreamWindow, ConnWindow, Socket, Peer, Application int }

// Add adds the streams of p.
func (o *Open) Add(p Open) {
	switch {
	case p.Streams == 0:
	case o.Streams == 0:
		o.SendMin, o.SendMax = p.SendMin, p.SendMax
	default:
		o.SendMin, o.SendMax = min(o.SendMin, p.SendMin), max(o.SendMax, p.SendMax)
	}
	o.Streams += p.Streams
	o.SendSum += p.SendSum
	o.Queued += p.Queued
	o.Unread += p.Unread
	o.Waits.StreamWindow += p.Waits.StreamWindow
	o.Waits.ConnWindow += p.Waits.ConnWindow
	o.Waits.Socket += p.Waits.Socket
	o.Waits.Peer += p.Waits.Peer
	o.Waits.Application += p.Waits.Application
}

// A Stream is the snapshot of an open stream.
type Stream struct {
	ID     uint32    // of HTTP/2
	Method string    // "/package.Service/Method"
	State  string    // as RFC 9113 has it: "open", "half-closed (local)" or "(remote)"
	Since  time.Time // when it was opened
	Window Window    // of the stream
	// Queued are the octets of messages that are not framed, Unread those that have
	// come and the application has not taken.
	Queued, Unread int64
	// MessagesIn came whole, MessagesOut were given to Send.
	MessagesIn, MessagesOut uint32
	// Waits says for what the stream waits: "stream window", "connection window"
	// or "socket" if it has something to send; else "application" if something has
	// come, or if a server's handler has to answer; else "peer".
	Waits string
	// SendBlocked says that a Send waits, because too much is queued.
	SendBlocked bool
}

// The reasons of Stream.Waits.
const (
	WaitsStreamWindow = "stream window"
	WaitsConnWindow   = "connection window"
	WaitsSocket       = "socket"
	WaitsPeer         = "peer"
	WaitsApplication  = "application"
)

// Note adds one stream.
func (o *Open) Note(st *Stream) {
	one := Open{Streams: 1, SendMin: st.Window.Send, SendMax: st.Window.Send, SendSum: st.Window.Send, Queued: st.Queued, Unread: st.Unread}
	switch st.Waits {
	case WaitsStreamWindow:
		one.Waits.StreamWindow = 1
	case WaitsConnWindow:
		one.Waits.ConnWindow = 1
	case WaitsSocket:
		one.Waits.Socket = 1
	case WaitsApplication:
		one.Waits.Application = 1
	default:
		one.Waits.Peer = 1
	}
	o.Add(one)
}

// A Socket is what Linux says of a TCP socket (TCP_INFO), and options of it.
type Socket struct {
	State                                 string        // as in RFC 9293: "ESTABLISHED"
	RoundTrip, RoundTripVar, RoundTripMin time.Duration // smoothed, its variation, the least of late
	RetransmitTimeout                     time.Duration
	LastSent, LastReceived                time.Duration // how long ago data was
	CongestionWindow                      uint32        // segments
	SegmentSize, PathMTU                  uint32        // octets
	Unacked, Lost, Retrans                uint32        // segments
	TotalRetrans                          uint32        // segments, since the connection was made
	NotSent                               uint32        // octets that were written and not sent
	DeliveryRate                          uint64        // octets a second
	UserTimeout                           time.Duration // TCP_USER_TIMEOUT
	Linger                                time.Duration // SO_LINGER; negative if it is off
	NoDelay                               bool          // TCP_NODELAY
	SendBuffer, RecvBuffer                int           // SO_SNDBUF, SO_RCVBUF, in octets
}

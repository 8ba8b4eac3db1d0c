package channelz

import (
	"slices"
	"strconv"
	"time"

	"github.com/weir-rpc/weir/inspect"
	channelzpb "google.golang.org/grpc/channelz/grpc_channelz_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func socketRef(c *inspect.Conn) *channelzpb.SocketRef {
	return &channelzpb.SocketRef{SocketId: c.ID, Name: text(c.Local.Text + " -> " + c.Remote.Text)}
}

// socket leaves the socket's options out of a summary.
func socket(c *inspect.Conn, summary bool) *channelzpb.Socket {
	data := &channelzpb.SocketData{
		StreamsStarted:          int64(c.Calls.Started),
		StreamsSucceeded:        int64(c.StreamsFinished),
		StreamsFailed:           int64(c.Calls.Started - c.StreamsFinished - uint64(c.Open.Streams)),
		MessagesSent:            int64(c.MessagesOut),
		MessagesReceived:        int64(c.MessagesIn),
		KeepAlivesSent:          int64(c.Keepalives),
		LocalFlowControlWindow:  wrapperspb.Int64(c.Window.Send),
		RemoteFlowControlWindow: wrapperspb.Int64(c.Window.Receive),
	}
	if c.Client {
		data.LastLocalStreamCreatedTimestamp = timestamp(c.LastStream)
	} else {
		data.LastRemoteStreamCreatedTimestamp = timestamp(c.LastStream)
	}
	if c.Socket != nil && !summary {
		data.Option = options(c.Socket)
	}
	return &channelzpb.Socket{
		Ref: socketRef(c), Data: data,
		Local: address(c.Local), Remote: address(c.Remote), RemoteName: text(c.RemoteName),
		Security: security(&c.Security),
	}
}

// security gives nil for a connection that is not secured.
func security(s *inspect.Security) *channelzpb.Security {
	switch s.Type {
	case "", "insecure":
		return nil
	case "tls":
		return &channelzpb.Security{Model: &channelzpb.Security_Tls_{Tls: &channelzpb.Security_Tls{
			CipherSuite:       &channelzpb.Security_Tls_StandardName{StandardName: text(s.CipherSuite)},
			LocalCertificate:  s.LocalCertificate,
			RemoteCertificate: s.RemoteCertificate,
		}}}
	}
	return &channelzpb.Security{Model: &channelzpb.Security_Other{Other: &channelzpb.Security_OtherSecurity{Name: text(s.Type)}}}
}

// states are those of TCP as Linux numbers them, from 1 on.
var states = []string{
	"", "ESTABLISHED", "SYN-SENT", "SYN-RECEIVED", "FIN-WAIT-1", "FIN-WAIT-2",
	"TIME-WAIT", "CLOSED", "CLOSE-WAIT", "LAST-ACK", "LISTEN", "CLOSING",
}

func options(s *inspect.Socket) []*channelzpb.SocketOption {
	micro := func(d time.Duration) uint32 { return uint32(d.Microseconds()) }
	info := &channelzpb.SocketOptionTcpInfo{
		TcpiState:        uint32(max(slices.Index(states, s.State), 0)),
		TcpiRto:          micro(s.RetransmitTimeout),
		TcpiRtt:          micro(s.RoundTrip),
		TcpiRttvar:       micro(s.RoundTripVar),
		TcpiSndCwnd:      s.CongestionWindow,
		TcpiSndMss:       s.SegmentSize,
		TcpiPmtu:         s.PathMTU,
		TcpiUnacked:      s.Unacked,
		TcpiLost:         s.Lost,
		TcpiRetrans:      s.Retrans,
		TcpiLastDataSent: uint32(s.LastSent.Milliseconds()),
		TcpiLastDataRecv: uint32(s.LastReceived.Milliseconds()),
	}
	linger := &channelzpb.SocketOptionLinger{Active: s.Linger >= 0, Duration: durationpb.New(max(s.Linger, 0))}
	noDelay := "0"
	if s.NoDelay {
		noDelay = "1"
	}
	return []*channelzpb.SocketOption{
		{Name: "SO_LINGER", Additional: additional(linger)},
		{Name: "TCP_INFO", Additional: additional(info)},
		{Name: "TCP_NODELAY", Value: noDelay},
		{Name: "TCP_USER_TIMEOUT", Value: strconv.FormatInt(s.UserTimeout.Milliseconds(), 10)},
		{Name: "SO_SNDBUF", Value: strconv.Itoa(s.SendBuffer)},
		{Name: "SO_RCVBUF", Value: strconv.Itoa(s.RecvBuffer)},
	}
}

// additional cannot fail: the messages have no strings.
func additional(m proto.Message) *anypb.Any {
	a, err := anypb.New(m)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return a
}

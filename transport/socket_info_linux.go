package transport

import (
	"net"
	"syscall"
	"time"

	"github.com/weir-rpc/weir/inspect"
	"golang.org/x/sys/unix"
)

// tcpStates are the states of TCP as Linux numbers them, from 1 on.
var tcpStates = [...]string{
	"", "ESTABLISHED", "SYN-SENT", "SYN-RECEIVED", "FIN-WAIT-1", "FIN-WAIT-2",
	"TIME-WAIT", "CLOSED", "CLOSE-WAIT", "LAST-ACK", "LISTEN", "CLOSING",
}

// socketInfo asks the operating system about a connection, or what a secured one
// stands on. It gives nil if that is not TCP.
func socketInfo(nc net.Conn) *inspect.Socket {
	if secured, ok := nc.(interface{ NetConn() net.Conn }); ok {
		nc = secured.NetConn() // of a *tls.Conn
	}
	sc, ok := nc.(syscall.Conn) // so is gRPC's TLS connection, if what it is above is
	if !ok {
		return nil
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	var s *inspect.Socket
	_ = rc.Control(func(fd uintptr) { s = askSocket(int(fd)) })
	return s
}

func askSocket(fd int) *inspect.Socket {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return nil
	}
	micro := func(n uint32) time.Duration { return time.Duration(n) * time.Microsecond }
	option := func(level, name int) int {
		n, _ := unix.GetsockoptInt(fd, level, name) // of a TCP socket: it has all of them
		return n
	}
	s := &inspect.Socket{
		RoundTrip: micro(info.Rtt), RoundTripVar: micro(info.Rttvar), RoundTripMin: micro(info.Min_rtt),
		RetransmitTimeout: micro(info.Rto),
		LastSent:          time.Duration(info.Last_data_sent) * time.Millisecond,
		LastReceived:      time.Duration(info.Last_data_recv) * time.Millisecond,
		CongestionWindow:  info.Snd_cwnd, SegmentSize: info.Snd_mss, PathMTU: info.Pmtu,
		Unacked: info.Unacked, Lost: info.Lost, Retrans: info.Retrans, TotalRetrans: info.Total_retrans,
		NotSent: info.Notsent_bytes, DeliveryRate: info.Delivery_rate,
		UserTimeout: time.Duration(option(unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)) * time.Millisecond,
		Linger:      -1,
		NoDelay:     option(unix.IPPROTO_TCP, unix.TCP_NODELAY) != 0,
		SendBuffer:  option(unix.SOL_SOCKET, unix.SO_SNDBUF), RecvBuffer: option(unix.SOL_SOCKET, unix.SO_RCVBUF),
	}
	if int(info.State) < len(tcpStates) {
		s.State = tcpStates[info.State]
	}
	if l, err := unix.GetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER); err == nil && l.Onoff != 0 {
		s.Linger = time.Duration(l.Linger) * time.Second
	}
	return s
}

package channel

import (
	"net"
	"time"

	"github.com/weir-rpc/weir/internal/liveness"
	"google.golang.org/grpc/keepalive"
)

// ClientUserTimeout is TCP's user timeout on the connections of a client: the
// Timeout of its keepalive, and the default of that if keepalive is off.
func ClientUserTimeout(p keepalive.ClientParameters) time.Duration {
	if p.Time <= 0 || p.Timeout <= 0 {
		return liveness.DefaultTimeout
	}
	return p.Timeout
}

// ServerUserTimeout is the same of a server.
func ServerUserTimeout(p keepalive.ServerParameters) time.Duration {
	if p.Time < 0 || p.Timeout <= 0 {
		return liveness.DefaultTimeout
	}
	return p.Timeout
}

// SetUserTimeout bounds how long what is sent on nc may go unacknowledged: TCP
// ends the connection then, where it would go on for a quarter of an hour. It
// must not be longer than keepalive's Timeout, for PING frames are not
// acknowledged before the frames ahead of them.
// https://github.com/grpc/proposal/blob/master/A18-tcp-user-timeout.md
//
// It is for nc as it was dialed or accepted, before TLS: only a *net.TCPConn is
// meant, and only on Linux. A user timeout that nc has already stays. That a
// system refuses it is no fault. It reports whether nc has one.
func SetUserTimeout(nc net.Conn, d time.Duration) bool {
	tc, ok := nc.(*net.TCPConn)
	return ok && setUserTimeout(tc, d)
}

// probes says when TCP's own keepalive, if it is on, asks an idle peer so that no
// probe that is lost ends a connection. With a user timeout Linux counts no
// probes: it ends a connection when the next one is due, nothing has come for the
// user timeout and one has been sent. Go's default, every 15 s, is one probe in
// 20 s. These are three at least; where a second is too long for that, none.
func probes(user time.Duration) net.KeepAliveConfig {
	const longest = 15 * time.Second // as net has it
	between := func(d time.Duration) time.Duration {
		return min(max(d.Truncate(time.Second), time.Second), longest)
	}
	return net.KeepAliveConfig{
		Enable:   user >= 5*time.Second,
		Idle:     between(user / 2),
		Interval: between(user / 6),
		Count:    -1,
	}
}

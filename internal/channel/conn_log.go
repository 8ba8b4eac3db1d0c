package channel

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/peer"
)

// ConnLog logs the life of connections: their beginnings and ends in order on
// the level debug, what is wrong with them as warnings. Nil logs nothing.
type ConnLog struct {
	to     *slog.Logger
	warned atomic.Int64 // when the latest refusal was a warning, in ns
}

// NewConnLog gives what logs to l, which may be nil.
func NewConnLog(l *slog.Logger) *ConnLog {
	if l == nil {
		return nil
	}
	return &ConnLog{to: l}
}

// conn is a connection, of either side.
type conn interface {
	Peer() *peer.Peer
	Err() error
}

// Begins logs that a connection is there.
func (l *ConnLog) Begins(c conn) {
	if l != nil {
		p := c.Peer()
		security := "none"
		if p.AuthInfo != nil {
			security = p.AuthInfo.AuthType()
		}
		l.log(slog.LevelDebug, "connection begins", append(ends(p), slog.String("security", security)))
	}
}

// Missing logs that a further connection to an address did not come about.
func (l *ConnLog) Missing(address string, err error) {
	if l != nil {
		l.log(slog.LevelWarn, "no further connection", []slog.Attr{slog.String("remote", address), slog.Any("error", err)})
	}
}

// Ends logs that a connection is no more, and why.
func (l *ConnLog) Ends(c conn) {
	if l == nil {
		return
	}
	attrs, err := ends(c.Peer()), c.Err()
	level := slog.LevelDebug
	if ce, ok := errors.AsType[*transport.ConnError](err); ok {
		attrs = append(attrs, slog.String("by", ce.By.String()), slog.String("code", ce.Code.String()),
			slog.Duration("age", ce.Age), slog.Uint64("sent", ce.Sent), slog.Uint64("received", ce.Received))
		if ce.By == transport.ByNetwork || ce.Code != transport.CodeNoError || ce.Cause != nil && !harmless(ce) {
			level = slog.LevelWarn
		}
	}
	l.log(level, "connection ended", append(attrs, slog.Any("error", err)))
}

// harmless reports whether the cause of an end is nobody's fault.
func harmless(e *transport.ConnError) bool {
	return e.Cause == io.EOF || errors.Is(e.Cause, transport.ErrIdle) || errors.Is(e.Cause, net.ErrClosed)
}

// Over logs the end of a server's connection nc: that of its transport, if it
// has come that far.
func (l *ConnLog) Over(tr transport.ServerTransport, nc net.Conn, err error) {
	switch {
	case l == nil:
	case tr != nil:
		l.Ends(tr)
	default:
		l.Refused(nc, err)
	}
}

// Refused logs a connection that did not come about. Who connects and leaves
// without a word, as probes of load balancers do, is nothing to warn of, and of
// others there is one warning a second, so that who comes again and again does
// not fill the log; the rest is on the level debug.
func (l *ConnLog) Refused(nc net.Conn, err error) {
	if l == nil {
		return
	}
	level := slog.LevelWarn
	if ce, ok := errors.AsType[*transport.ConnError](err); ok && ce.Received == 0 && ce.By != transport.ByLocal || errors.Is(err, io.EOF) {
		level = slog.LevelDebug
	}
	now, last := time.Now().UnixNano(), l.warned.Load()
	if level == slog.LevelWarn && (now-last < int64(time.Second) || !l.warned.CompareAndSwap(last, now)) {
		level = slog.LevelDebug
	}
	l.log(level, "connection refused", append(ends(&peer.Peer{Addr: nc.RemoteAddr(), LocalAddr: nc.LocalAddr()}), slog.Any("error", err)))
}

func (l *ConnLog) log(level slog.Level, text string, attrs []slog.Attr) {
	l.to.LogAttrs(context.Background(), level, text, attrs...)
}

// ends are the ends of a connection.
func ends(p *peer.Peer) []slog.Attr {
	var attrs []slog.Attr
	if p.Addr != nil {
		attrs = append(attrs, slog.String("remote", p.Addr.String()))
	}
	if p.LocalAddr != nil {
		attrs = append(attrs, slog.String("local", p.LocalAddr.String()))
	}
	return attrs
}

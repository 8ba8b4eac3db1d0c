package transport

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/weir-rpc/weir/internal/frame"
	"github.com/weir-rpc/weir/internal/liveness"
)

func (s *http2Server) schedule(now time.Time) *liveness.Schedule {
	s.time = liveness.NewServer(s.cfg.Keepalive, s.cfg.KeepaliveEnforcement, rand.Float64(), now)
	return &s.time
}

func (s *http2Server) keepalive() (peer, option string, timeout time.Duration) {
	return "client", "KeepaliveParams", s.cfg.Keepalive.Timeout
}

// pingReceivedLocked judges a PING of the peer, which came now. The schedule
// hears of streams, HEADERS and DATA here, so that calls need not tell it.
func (c *conn) pingReceivedLocked() *frame.Error {
	if c.client {
		return nil // a server sends as many as it likes
	}
	l, now := &c.live, time.Now()
	// What waits for the socket forgives too: the client may answer what it reads
	// of it now. Our own PING ACKs do not, which it can provoke.
	if l.sent || c.out.data || c.spare != nil && c.spare.data {
		l.sent = false
		l.schedule.Sent()
	}
	if !l.counts {
		l.schedule.Streams(c.streams.len(), now)
	}
	if !l.schedule.PingReceived(false, now) {
		return nil
	}
	return &frame.Error{Code: CodeEnhanceYourCalm, Reason: liveness.DebugTooManyPings}
}

// errTooManyPings explains the debug data "too_many_pings", which clients
// compare, to who reads the server's error.
var errTooManyPings = errors.New("the client sent PING frames more often than the server permits (option KeepaliveEnforcementPolicy)")

// goAwaySentLocked says that the server drains. It is the last GOAWAY if it
// says which streams finish.
func (c *conn) goAwaySentLocked(last bool) {
	if c.live.schedule.GoAwaySent(last, time.Now()) {
		c.watchNowLocked()
	}
}

// graceError is the end of a connection whose streams outlive it.
func (c *conn) graceError() *ConnError {
	p := c.role.(*http2Server).cfg.Keepalive
	return &ConnError{By: ByLocal, Reason: fmt.Sprintf(
		"max_age: calls were not over %v (MaxConnectionAgeGrace) after the connection had to end for its age (option KeepaliveParams)", p.MaxConnectionAgeGrace)}
}

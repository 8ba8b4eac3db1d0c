package transport

import (
	"fmt"
	"time"

	"github.com/weir-rpc/weir/internal/liveness"
	"google.golang.org/grpc/keepalive"
)

func (t *http2Client) schedule(now time.Time) *liveness.Schedule {
	if t.cfg.Keepalive.Time <= 0 {
		return nil
	}
	return new(liveness.NewClient(t.cfg.Keepalive, 0, now))
}

func (t *http2Client) keepalive() (peer, option string, timeout time.Duration) {
	return "server", "WithKeepaliveParams", t.cfg.Keepalive.Timeout
}

// tooManyPings is a GOAWAY that may say that we send too many PING frames: the
// configuration's owner hears of it before the connection drains. It gives what
// there is to add to the GOAWAY's own words.
func (t *http2Client) tooManyPings(code ErrCode, debug []byte) string {
	if !liveness.TooManyPings(uint32(code), debug) {
		return ""
	}
	var used time.Duration
	if s := t.live.schedule; s != nil { // which only the reader sets
		used = s.Time() // constant
	}
	if t.cfg.TooManyPings != nil {
		t.cfg.TooManyPings(used)
	}
	if used == 0 {
		return " (this side has no keepalive: its PING frames are those of Ping or of the bandwidth estimate)"
	}
	return fmt.Sprintf(" (Time of the option WithKeepaliveParams is %v in effect: the next connection takes twice that)", used)
}

// Calmer gives the keepalive parameters for the next connections of a client,
// after one whose ClientConfig.TooManyPings was told used: p with twice that
// Time, or p as it is if its Time is longer, or if used is zero.
func Calmer(p keepalive.ClientParameters, used time.Duration) keepalive.ClientParameters {
	return liveness.Calmer(p, used)
}

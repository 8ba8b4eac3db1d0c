package liveness

import (
	"time"

	"google.golang.org/grpc/keepalive"
)

// What a server takes from its clients.
const (
	// DefaultMinTime is the MinTime of an EnforcementPolicy if none is set.
	DefaultMinTime = 5 * time.Minute
	// MinTimeWithoutStream takes the place of MinTime while a connection has
	// no stream and the policy does not permit PING frames then.
	MinTimeWithoutStream = 2 * time.Hour
	// MaxPingStrikes is how many PING frames may come too early until HEADERS
	// or DATA are sent. One more is an abuse.
	MaxPingStrikes = 2
)

// Enforcement is a server's count of PING frames that came too early. After
// HEADERS or DATA were sent it begins anew, and the next PING is never early: a
// client that measures round trips as responses come is no abuser.
//
// The zero value takes any number of them, as a client does.
type Enforcement struct {
	minTime time.Duration
	permit  bool // without streams
	on      bool

	taken   time.Time // the latest PING that was not too early; none if zero
	strikes int
}

// NewEnforcement is for a new connection. A p.MinTime of 0 is DefaultMinTime, a
// negative one allows any number of PING frames while there are streams or the
// policy permits them without.
func NewEnforcement(p keepalive.EnforcementPolicy) Enforcement {
	if p.MinTime == 0 {
		p.MinTime = DefaultMinTime
	}
	return Enforcement{minTime: max(0, p.MinTime), permit: p.PermitWithoutStream, on: true}
}

// Ping says that a PING came at now, while the connection had so many streams.
// An acknowledgement is none: it answers a PING of ours, and is not told here.
//
// If it reports true, the connection is to be closed with GOAWAY
// ENHANCE_YOUR_CALM and the debug data "too_many_pings". The PING that comes
// after MinTime is fine, one at exactly MinTime too; what came before is not
// forgiven by it.
func (e *Enforcement) Ping(now time.Time, streams int) (tooMany bool) {
	if !e.on {
		return false
	}
	least := e.minTime
	if streams == 0 && !e.permit {
		least = MinTimeWithoutStream
	}
	if e.taken.IsZero() || now.Sub(e.taken) >= least {
		e.taken = now
		return false
	}
	e.strikes++
	return e.strikes > MaxPingStrikes
}

// Sent says that HEADERS or DATA were sent. Other frames do not count: the peer
// can provoke them.
func (e *Enforcement) Sent() {
	e.taken, e.strikes = time.Time{}, 0
}

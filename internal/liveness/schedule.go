package liveness

import (
	"time"

	"google.golang.org/grpc/keepalive"
)

// Schedule is what a connection does about time: Keepalive, Lifetime and
// Enforcement on one timer, which belongs to the caller:
//
//	when ready, when the timer fires, and when a method reports true:
//	    s.Activity(the time of the latest read)
//	    action, wait := s.Next(now)
//	    set the timer to wait, or none if that is Never
//	    do the action
//
// What happens meanwhile mostly makes things due later. It leaves the timer as
// it is: it then fires early, finds nothing to do and is set anew. A method
// that reports true has made something due before the timer fires. So a timer is
// set a few times a Time or MaxConnectionIdle, whatever the number of streams
// and reads.
//
// Nothing ends with draining but what drains: a peer that dies while its last
// streams finish is found like any other.
//
// The zero value is off.
type Schedule struct {
	keepalive   Keepalive
	lifetime    Lifetime
	enforcement Enforcement

	streams int
	timer   time.Time // when Next will be asked at the latest; never if zero
	over    bool
}

// NewClient is for a client's connection that became ready at now; see
// NewClientKeepalive.
func NewClient(p keepalive.ClientParameters, least time.Duration, now time.Time) Schedule {
	return Schedule{keepalive: NewClientKeepalive(p, least, now)}
}

// NewServer is for a server's connection that became ready at now; see
// NewServerKeepalive, NewLifetime and NewEnforcement. random is the jitter of
// its age, in [0, 1).
func NewServer(p keepalive.ServerParameters, e keepalive.EnforcementPolicy, random float64, now time.Time) Schedule {
	return Schedule{
		keepalive:   NewServerKeepalive(p, now),
		lifetime:    NewLifetime(p, random, now),
		enforcement: NewEnforcement(e),
	}
}

// Off reports whether Next never has anything to do. Then no method but
// PingReceived and Sent has to be called.
func (s *Schedule) Off() bool {
	return s.keepalive.time == 0 && s.lifetime.idle == 0 && s.lifetime.old.IsZero()
}

// CountsIdle reports whether Streams looks at its now.
func (s *Schedule) CountsIdle() bool { return s.lifetime.idle > 0 }

// Time is how long nothing is read before a PING is sent; 0 if keepalive is off.
// A client's is what Calmer needs.
func (s *Schedule) Time() time.Duration { return s.keepalive.time }

// Next gives what is due, which is the caller's to do and is not told again, and
// how long the timer is to wait, Never if there is none: 0 says that there is
// more to do at once. It is never asked too early or too often.
//
// After an action that closes there is nothing more.
func (s *Schedule) Next(now time.Time) (Action, time.Duration) {
	if s.over {
		return ActionNone, Never
	}
	a := ActionNone
	if at, b := s.keepalive.due(); b != ActionNone && !now.Before(at) {
		a = b
	}
	if at, b := s.lifetime.due(now); b > a && !now.Before(at) {
		a = b
	}
	s.keepalive.take(a, now)
	s.lifetime.take(a)
	if a.closes() {
		s.over = true
		return a, Never
	}
	at, _ := s.lifetime.due(now)
	wait := min(s.keepalive.wait(now), until(at, now))
	s.timer = time.Time{}
	if wait != Never {
		s.timer = now.Add(wait)
	}
	return a, wait
}

// Activity says that something was read at that time; see Keepalive.Activity.
// It never makes a timer necessary, and may be told just before Next.
func (s *Schedule) Activity(at time.Time) { s.keepalive.Activity(at) }

// Streams says that the connection has n streams now. If it reports true, Next
// is to be asked. That is for the caller to do behind the HEADERS of a new
// stream: a PING ahead of them would reach a server that knows of no stream and
// may count it as one too many.
//
// Where CountsIdle is false, now may be zero.
func (s *Schedule) Streams(n int, now time.Time) (ask bool) {
	some := n > 0
	change := some != (s.streams > 0)
	s.streams = n
	if !change {
		return false
	}
	s.keepalive.Streams(n)
	s.lifetime.Streams(n, now)
	return s.early(now)
}

// GoAwaySent says that the connection drains; see Lifetime.GoAwaySent. If it
// reports true, Next is to be asked. A client need not tell.
func (s *Schedule) GoAwaySent(last bool, now time.Time) (ask bool) {
	s.lifetime.GoAwaySent(last, now)
	return s.early(now)
}

// early reports whether something is due before the timer fires.
func (s *Schedule) early(now time.Time) bool {
	if s.over {
		return false
	}
	ping, _ := s.keepalive.due()
	end, _ := s.lifetime.due(now)
	return sooner(ping, s.timer) || sooner(end, s.timer)
}

// PingReceived says that a PING came at now; an acknowledgement is none of the
// peer's and never counts. If it reports true, the connection is to be closed
// with GOAWAY ENHANCE_YOUR_CALM and DebugTooManyPings. A client takes any number.
func (s *Schedule) PingReceived(ack bool, now time.Time) (tooMany bool) {
	return !ack && s.enforcement.Ping(now, s.streams)
}

// Sent says that HEADERS or DATA were sent; see Enforcement.
func (s *Schedule) Sent() { s.enforcement.Sent() }

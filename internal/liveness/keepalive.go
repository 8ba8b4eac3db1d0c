package liveness

import (
	"time"

	"google.golang.org/grpc/keepalive"
)

// Defaults and bounds of keepalive, on both sides.
const (
	// MinClientTime is what a client's Time is raised to.
	MinClientTime = 10 * time.Second
	// MinServerTime is what a server's Time is raised to.
	MinServerTime = time.Second
	// DefaultServerTime is a server's Time if none is set.
	DefaultServerTime = 2 * time.Hour
	// DefaultTimeout is the Timeout of both sides if none is set.
	DefaultTimeout = 20 * time.Second
)

// Keepalive finds out whether the peer lives.
//
//	          a stream, or pings are permitted without
//	dormant ◄─────────────────────────────────────────► awake
//	                                                     │  ▲
//	                  Time after the last octet read:    │  │ any octet read
//	                  ActionPing                         ▼  │
//	                                                    asked ──► over
//	                  Timeout after the PING:  ActionCloseDead
//
// Waking does not start Time anew: if it is over, the PING is due at once. Who
// has asked stays awake until the answer, with streams or without, for it costs
// nothing more to learn it.
//
// The zero value is off.
type Keepalive struct {
	// What was configured. Off if time is 0.
	time    time.Duration
	timeout time.Duration
	always  bool // with streams or without

	read    time.Time // the latest octet
	asked   time.Time // the latest PING; it waits for an answer if after read
	streams bool
	over    bool
}

// NewClientKeepalive is keepalive on a client's connection, which became ready
// at now.
//
// It is off if p.Time is 0 or negative. A p.Time of less than least is raised to
// it; 0 for least is MinClientTime, a negative one allows any Time. A
// p.Timeout of 0 or less is DefaultTimeout.
//
// (WithKeepaliveParams of grpc-go takes a Time of 0 for ten seconds: who offers
// that option raises it before.)
func NewClientKeepalive(p keepalive.ClientParameters, least time.Duration, now time.Time) Keepalive {
	if p.Time <= 0 {
		return Keepalive{}
	}
	if least == 0 {
		least = MinClientTime
	}
	return newKeepalive(max(p.Time, least), p.Timeout, p.PermitWithoutStream, now)
}

// NewServerKeepalive is keepalive on a server's connection, which became ready
// at now. It asks with streams and without.
//
// A p.Time of 0 is DefaultServerTime, a negative one is off, and one below
// MinServerTime is raised to it. A p.Timeout of 0 or less is DefaultTimeout.
func NewServerKeepalive(p keepalive.ServerParameters, now time.Time) Keepalive {
	switch {
	case p.Time < 0:
		return Keepalive{}
	case p.Time == 0:
		p.Time = DefaultServerTime
	}
	return newKeepalive(max(p.Time, MinServerTime), p.Timeout, true, now)
}

func newKeepalive(after, timeout time.Duration, always bool, now time.Time) Keepalive {
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	return Keepalive{time: after, timeout: timeout, always: always, read: now}
}

// Time is how long nothing is read before a PING is sent, as it is in effect; 0
// if keepalive is off.
func (k *Keepalive) Time() time.Duration { return k.time }

// Activity says that something was read at that time, of whatever kind: one
// octet of a frame is enough, and it answers a PING as well as the
// acknowledgement does. Times may come late and in any order, the latest counts.
//
// It makes no action due earlier than Next said, so no timer has to be set. A
// caller may therefore note the time of each read elsewhere, without a lock, and
// tell the latest before it calls Next.
func (k *Keepalive) Activity(at time.Time) {
	if at.After(k.read) {
		k.read = at
	}
}

// Streams says how many streams the connection has. It may make a PING due, if
// it did not have any: ask Next.
func (k *Keepalive) Streams(n int) { k.streams = n > 0 }

// Next gives what is due, which is the caller's to do and is not told again, and
// how long it takes until there may be something else, if nothing is read and
// the number of streams remains. Asking early is harmless.
//
// A PING counts as sent at now. That it may have to wait for a socket that
// nobody reads is part of what is measured.
func (k *Keepalive) Next(now time.Time) (Action, time.Duration) {
	at, a := k.due()
	if a == ActionNone || now.Before(at) {
		return ActionNone, k.wait(now)
	}
	k.take(a, now)
	return a, k.wait(now)
}

// due is what is to be done next, and when.
func (k *Keepalive) due() (time.Time, Action) {
	switch {
	case k.time == 0 || k.over:
		return time.Time{}, ActionNone
	case k.waits():
		return k.asked.Add(k.timeout), ActionCloseDead
	case k.streams || k.always:
		return k.read.Add(k.time), ActionPing
	default:
		return time.Time{}, ActionNone
	}
}

// waits reports whether a PING has no answer yet. An octet of the same instant
// is one: it shows as well that the peer lives.
func (k *Keepalive) waits() bool { return k.asked.After(k.read) }

func (k *Keepalive) take(a Action, now time.Time) {
	switch a {
	case ActionPing:
		k.asked = now
	case ActionCloseDead:
		k.over = true
	}
}

// wait is how long Next need not be asked. While a PING has no answer that is
// Time at most, also if Timeout is longer: an answer that comes now makes the
// next PING due Time later, and sets no timer.
func (k *Keepalive) wait(now time.Time) time.Duration {
	at, _ := k.due()
	d := until(at, now)
	if !at.IsZero() && k.waits() {
		d = min(d, k.time)
	}
	return d
}

package liveness

import (
	"time"

	"google.golang.org/grpc/keepalive"
)

// Lifetime ends a server's connection when it is idle or old.
//
//	no stream for MaxConnectionIdle ──► ActionDrainIdle ─┐
//	as old as MaxConnectionAge      ──► ActionDrainAge  ─┴─► GOAWAY … last GOAWAY
//	                                                                    │
//	as old as MaxConnectionAge, and MaxConnectionAgeGrace after it ◄────┘
//	                                └──► ActionCloseGrace
//
// A connection is told to drain once, and not at all if it drains for another
// reason. The grace is one of age: a connection that drains while it is young
// may take until then and the grace.
//
// The zero value lets a connection live for ever.
type Lifetime struct {
	// What was configured; 0 is for ever.
	idle  time.Duration
	grace time.Duration
	old   time.Time // as old as it may become; none if zero

	unused time.Time // has had no stream since; has some if zero
	last   time.Time // GOAWAY that says which streams still finish; none if zero

	draining bool
	over     bool
}

// NewLifetime is for a connection that became ready at now, without streams.
// MaxConnectionIdle, MaxConnectionAge and MaxConnectionAgeGrace are infinite if
// they are 0 or negative.
//
// The age is MaxConnectionAge * (0.9 + 0.2*random), so that connections that
// came together do not go together. random is in [0, 1), different for each
// connection; anything else counts as 0.5, which is no jitter. The grace has
// none.
func NewLifetime(p keepalive.ServerParameters, random float64, now time.Time) Lifetime {
	l := Lifetime{
		idle:   max(0, p.MaxConnectionIdle),
		grace:  max(0, p.MaxConnectionAgeGrace),
		unused: now,
	}
	if p.MaxConnectionAge > 0 {
		l.old = now.Add(jitter(p.MaxConnectionAge, random))
	}
	return l
}

// jitter is d, give or take a tenth.
func jitter(d time.Duration, random float64) time.Duration {
	if fair := random >= 0 && random < 1; !fair { // NaN neither
		random = 0.5
	}
	tenth := d / 10
	least, more := d-tenth, time.Duration(random*float64(2*tenth))
	if least > Never-more {
		return Never
	}
	return least + more
}

// Streams says how many streams the connection has, at now. Idleness begins
// when the last one is gone; now does not matter otherwise. It may make an
// action due earlier than Next said: ask Next.
func (l *Lifetime) Streams(n int, now time.Time) {
	switch {
	case n > 0:
		l.unused = time.Time{}
	case l.unused.IsZero():
		l.unused = now
	}
}

// GoAwaySent says that the connection drains since now, at the latest, for
// whatever reason. It is last if it says which streams finish, and not the first
// of two that only tells the peer to open no more. The grace counts from the
// first one that is last. It may make an action due earlier than Next said: ask
// Next.
func (l *Lifetime) GoAwaySent(last bool, now time.Time) {
	l.draining = true
	if last && l.last.IsZero() {
		l.last = now
	}
}

// Next gives what is due, which is the caller's to do and is not told again, and
// how long it takes until there may be something else, if no other method is
// called. Asking early is harmless.
func (l *Lifetime) Next(now time.Time) (Action, time.Duration) {
	at, a := l.due(now)
	if a != ActionNone && !now.Before(at) {
		l.take(a)
		at, _ = l.due(now)
		return a, until(at, now)
	}
	return ActionNone, until(at, now)
}

// due is what is to be done next, and when.
func (l *Lifetime) due(now time.Time) (at time.Time, a Action) {
	switch {
	case l.over:
	case !l.draining:
		if l.idle > 0 && !l.unused.IsZero() {
			at, a = l.unused.Add(l.idle), ActionDrainIdle
		}
		if sooner(l.old, at) || !l.old.IsZero() && !now.Before(l.old) {
			at, a = l.old, ActionDrainAge
		}
	case l.grace > 0 && !l.old.IsZero() && !l.last.IsZero():
		at, a = l.old, ActionCloseGrace
		if l.last.After(at) {
			at = l.last
		}
		at = at.Add(l.grace)
	}
	return at, a
}

func (l *Lifetime) take(a Action) {
	switch a {
	case ActionDrainIdle, ActionDrainAge:
		l.draining = true
	case ActionCloseGrace:
		l.over = true
	}
}

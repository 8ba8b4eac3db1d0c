// Package liveness decides when a connection is asked whether its peer still
// lives, when it has lived long enough, and when the peer asks too often.
//
// A Schedule is all of it for one connection and one timer. Its parts are
// Keepalive (PING frames of ours that have to be answered), Lifetime (idleness,
// age and grace of a server's connection) and Enforcement (PING frames of the
// peer that are too many). The rules are those of gRPC's A8 and A9:
// https://github.com/grpc/proposal/blob/master/A8-client-side-keepalive.md
// https://github.com/grpc/proposal/blob/master/A9-server-side-conn-mgt.md
//
// The types are values without locks, clocks and timers: whoever owns one has
// those. What a method takes as now comes from one clock, preferably a monotonic
// one as time.Now reads it, and runs forward; time that runs back by a little
// delays an action by as much. Zero values do nothing and never ask for anything.
package liveness

import (
	"math"
	"time"
)

// Never is the wait of one who waits for no time at all: no timer is needed.
// A duration in a configuration that is this long is infinite.
const Never = time.Duration(math.MaxInt64)

// until is how long it takes from now to at. There is no at if it is zero.
func until(at, now time.Time) time.Duration {
	if at.IsZero() {
		return Never
	}
	return max(0, at.Sub(now))
}

// sooner reports whether a is a time, and before b or b is none.
func sooner(a, b time.Time) bool {
	return !a.IsZero() && (b.IsZero() || a.Before(b))
}

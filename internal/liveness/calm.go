package liveness

import (
	"time"

	"google.golang.org/grpc/keepalive"
)

// DebugTooManyPings is the debug data of the GOAWAY with ENHANCE_YOUR_CALM for a
// peer that sends too many PING frames.
const DebugTooManyPings = "too_many_pings"

// enhanceYourCalm is ENHANCE_YOUR_CALM.
// https://www.rfc-editor.org/rfc/rfc9113#section-7
const enhanceYourCalm = 0xb

// TooManyPings reports whether a GOAWAY with this error code and debug data says
// that we send too many PING frames. Who gets one tells the user, and takes
// Calmer parameters for the next connection.
func TooManyPings(code uint32, debug []byte) bool {
	return code == enhanceYourCalm && string(debug) == DebugTooManyPings
}

// Calmer is p for the next connections of a channel after one whose Time was
// used was told that it sends too many PING frames: twice that, or what p has
// already, so that several connections that are told at once double it once.
// used is Schedule.Time of that connection. Where it is 0, keepalive was off,
// and p remains.
func Calmer(p keepalive.ClientParameters, used time.Duration) keepalive.ClientParameters {
	if used > Never/2 {
		used = Never / 2
	}
	p.Time = max(p.Time, 2*used)
	return p
}

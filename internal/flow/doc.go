// Package flow counts HTTP/2 flow-control credit: what the peer lets us send
// (OutFlow) and what we let the peer send, on a stream (InFlow) and on a
// connection (ConnInFlow).
//
// How large a window should be is what BDPEstimator finds out.
//
// Only DATA is counted, with its padding and the octet that tells the padding's
// length; HEADERS and all other frames pass whatever the windows say.
//
// The types are values without locks: whoever owns one has its own. Their zero
// values are windows of 0 octets; Init may be called again to start over.
package flow

// MaxWindow is the largest window of a stream or a connection, in octets.
//
// "A sender MUST NOT allow a flow-control window to exceed 2^31-1 octets."
// https://www.rfc-editor.org/rfc/rfc9113#section-6.9.1
const MaxWindow = 1<<31 - 1

// DefaultWindow is what every connection's window starts with, and a stream's
// if SETTINGS_INITIAL_WINDOW_SIZE does not say otherwise, in octets.
// https://www.rfc-editor.org/rfc/rfc9113#section-6.9.2
const DefaultWindow = 1<<16 - 1

// updateShare is the share of a limit that is gathered before it is granted
// again: a quarter. Granting each octet at once would cost a WINDOW_UPDATE a
// DATA frame; waiting for half would let a sender whose window is one
// bandwidth-delay product run dry before the update reaches it.
const updateShare = 4

// due reports whether n octets are enough for a WINDOW_UPDATE. A limit below
// updateShare is granted octet by octet: a small window must move too.
func due(n, limit int64) bool { return n > 0 && n >= limit/updateShare }

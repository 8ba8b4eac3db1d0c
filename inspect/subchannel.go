package inspect

import "time"

// A Subchannel is the snapshot of what a balancer has calls made over: the
// connections to one of its addresses, of which there is one at a time, or several
// if the Client may have that.
type Subchannel struct {
	ID int64
	// Addresses are those of which one is connected to, in the order in which they
	// are tried. That of the Client's own pick_first is the one that it is connected
	// to, if it is.
	Addresses []string
	// State is that of the connection: one of gRPC's connectivity states, as of a
	// Client. StateSince is when it began, and Err the latest reason why there was no
	// connection. The health of the server does not count.
	State      string
	StateSince time.Time
	Err        string
	// Failures are the attempts to connect that have failed since there was a
	// connection. Retry is when the next may begin, in TRANSIENT_FAILURE, else the
	// zero Time. The Client's own pick_first is in that state while the next goes on,
	// too, and has none then.
	Failures int
	Retry    time.Time
	Since    time.Time // when it was made
	// Counters are the sums of its connections, also of those that have ended.
	Counters
	// LastCall is when the latest stream was opened, the zero Time if none was.
	LastCall time.Time
	Open     Open
	// Connections are the ids of those that have not ended, the oldest first. They are
	// among the Connections of the Client.
	Connections []int64
}

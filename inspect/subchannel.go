package inspect

import "time"

// A Subchannel is the snapshot of what a balancer chooses for a call: the
// connections to one of its addresses. There is one at a time, or several with
// weir.WithMaxConnectionsPerAddress.
type Subchannel struct {
	ID int64 // of NextID: unique in the process
	// Addresses are tried in this order until one is connected. The Client's own
	// pick_first has the one that it is connected to, or none.
	Addresses []string
	// State is that of the connection: one of gRPC's connectivity states, as of a
	// Client. StateSince is when it began, and Err the latest reason why there was no
	// connection. The health of the server does not count.
	State      string
	StateSince time.Time
	Err        string
	// Failures is how many attempts to connect have failed since there was a
	// connection. Retry is when the next one may begin, in TRANSIENT_FAILURE, and
	// the zero Time in other states. The Client's own pick_first remains in that
	// state while the next attempt goes on, and has the zero Time then, too.
	Failures int
	Retry    time.Time
	Since    time.Time // when it was made
	// Counters are the sums of its connections, also of those that have ended.
	Counters
	// LastCall is when the latest stream was opened, the zero Time if none was.
	LastCall time.Time
	Open     Open // the sums over the open streams of its connections
	// Connections are the ids of its connections that have not ended, the oldest
	// first. They are among the Connections of the Client.
	Connections []int64
}

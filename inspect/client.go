package inspect

import "time"

// A Detail says how much of a Client or Server a snapshot shows.
type Detail uint8

// The details.
const (
	Totals      Detail = iota // sums over its connections
	Connections               // its connections, too
	Streams                   // and their streams
)

// A Client is the snapshot of a Client.
type Client struct {
	ID     int64  // of NextID: unique in the process
	Target string // as it was given to NewClient
	// Balancer is the name of what chooses the connection of a call: "pick_first",
	// unless the service config says otherwise. It is empty while there is none,
	// before the first call and when the Client is idle.
	Balancer string
	// State is one of gRPC's connectivity states: "IDLE", "CONNECTING", "READY",
	// "TRANSIENT_FAILURE" or "SHUTDOWN", and StateSince when it began. Err is the
	// latest reason why there was no connection.
	State      string
	StateSince time.Time
	Err        string
	Since      time.Time // when the Client was made
	// Counters are the sums of all its connections, with the calls that got none
	// among the started and failed ones.
	Counters
	// LastCall is when the latest stream was opened, the zero Time if none was.
	LastCall time.Time
	Open     Open // the sums over the open streams of all connections
	// SlotWaiters are calls that wait for a stream slot of any of several connections
	// to an address. Where there is one to each, Conn.SlotWaiters counts them.
	SlotWaiters int
	// Connections are those that have not ended, the oldest first. There may be
	// several: one that drains stays until its last call is over.
	Connections []Conn
	// Subchannels are what the balancer chooses from, ordered by their ids, if
	// connections were asked for. The Client's own pick_first has one.
	Subchannels []Subchannel
	// Events are the latest changes of state, at most 30, the oldest first.
	// EventsCount is how many there have been altogether.
	Events      []Event
	EventsCount int
}

// An Event is something that happened to a Client.
type Event struct {
	Time    time.Time
	Text    string // what happened, for people to read
	Warning bool   // it is a failure
}

// A Server is the snapshot of a Server.
type Server struct {
	ID    int64     // of NextID: unique in the process
	Since time.Time // when the Server was made
	// State is "idle" before Serve, "serving", "draining" from GracefulStop on, or
	// "stopped".
	State     string
	Listeners []Listener // those of Serve that have not ended
	// Counters are the sums of all its connections.
	Counters
	// LastCall is when the latest stream was opened, the zero Time if none was.
	LastCall time.Time
	Open     Open // the sums over the open streams of all connections
	// Connections are those that have not ended, ordered by their ids.
	Connections []Conn
	// Handshakes is how many connections were accepted and are not ready.
	Handshakes int
}

// A Listener is one that a Server serves.
type Listener struct {
	ID      int64   // of NextID: unique in the process
	Address Address // where it listens
}

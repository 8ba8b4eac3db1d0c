// Package scenario says what is measured.
package scenario

import (
	"fmt"
	"regexp"
	"time"
)

// Shape is the kind of call.
type Shape string

// The shapes.
const (
	Unary    Shape = "unary"
	PingPong Shape = "bidi"   // one message there and back, again and again
	Stream   Shape = "stream" // from the server
	Churn    Shape = "churn"  // a connection for each unary call
	Open     Shape = "open"   // unary calls at times of their own, whatever became of those before

	// IdleConns and IdleStreams are opened, used once, and left alone, beside a
	// connection on which there was a call.
	IdleConns   Shape = "idle-conns"
	IdleStreams Shape = "idle-streams"

	// IdleAddresses are the connections of one channel, one to each of as many
	// addresses, by round_robin.
	IdleAddresses Shape = "idle-addresses"
)

// Scenario is one line of work for every peer.
type Scenario struct {
	Name        string `json:"name"`
	Shape       Shape  `json:"shape"`
	Payload     int    `json:"payload"`     // of each message, in octets
	Outstanding int    `json:"outstanding"` // calls, streams, or what is idle; over all connections
	Connections int    `json:"connections"` // or channels, where there are Addresses

	// Addresses is how many the server has. Each channel has a connection to all
	// of them, and round_robin over these. Zero is one address, and no balancer.
	Addresses int `json:"addresses,omitempty"`

	// Slots is how many streams the server takes on a connection at a time; zero
	// is MaxStreams. Clients that can may make more connections.
	Slots int `json:"slots,omitempty"`

	// Burst is how many messages the server sends on each stream.
	Burst int `json:"burst,omitempty"`

	// Bulk is how many more streams there are on the connection, which bring
	// messages of BulkSize as fast as they come.
	Bulk int `json:"bulk,omitempty"`

	// Load is how many percent of what the baseline can do is asked for, and
	// Rate how many calls a second that is. Rate is found before each Open
	// scenario.
	Load int     `json:"load,omitempty"`
	Rate float64 `json:"rate,omitempty"`

	// Sleep is how long each handler waits; Burn how long it computes, and Turns
	// how many turns of Spin that is. Turns are found before such a scenario.
	Sleep time.Duration `json:"sleep_ns,omitempty"`
	Burn  time.Duration `json:"burn_ns,omitempty"`
	Turns int           `json:"turns,omitempty"`

	// Delay is what a link between client and server adds in each direction.
	Delay time.Duration `json:"delay_ns,omitempty"`

	Deadline bool `json:"deadline,omitempty"` // of its own for each call
	Observed bool `json:"observed,omitempty"` // metadata, an interceptor and a stats handler
	TLS      bool `json:"tls,omitempty"`

	// Mixed scenarios are also measured with weir on one side only.
	Mixed bool `json:"mixed,omitempty"`

	// Long ones are not part of a quick run.
	Long bool `json:"-"`
}

// Idle says whether memory is measured and not calls.
func (s Scenario) Idle() bool {
	return s.Shape == IdleConns || s.Shape == IdleStreams || s.Shape == IdleAddresses
}

// Connected is how many connections the server sees before a run: all of them,
// or the fewest that there can be.
func (s Scenario) Connected() (n int, fewest bool) {
	return s.Connections * max(1, s.Addresses), s.Slots > 0
}

// Plain says whether it is nothing but calls or streams, one after the other on
// each lane, as the references can make them.
func (s Scenario) Plain() bool {
	switch s.Shape {
	case Unary, Open, Churn, PingPong, Stream:
	default:
		return false
	}
	return !s.Deadline && !s.Observed && s.Bulk == 0 && s.Sleep == 0 && s.Burn == 0 &&
		s.Addresses == 0 && s.Slots == 0
}

// BulkSize is that of the messages of bulk streams, in octets.
const BulkSize = 64 * kib

// MetadataKeys is how many keys each call of an observed scenario has.
const MetadataKeys = 8

// MaxStreams is how many streams all servers allow on a connection, but in
// scenarios with Slots.
const MaxStreams = 1 << 16

const (
	kib = 1 << 10
	mib = 1 << 20
)

// All are the scenarios in the order of the table.
func All() []Scenario {
	return []Scenario{
		unary("unary/32B/1", 32, 1, mixed),
		unary("unary/32B/16", 32, 16),
		unary("unary/32B/128", 32, 128, mixed),
		unary("unary/32B/1024", 32, 1024),
		unary("unary/32B/128x8", 32, 128, func(s *Scenario) { s.Connections = 8 }),
		unary("unary/1KiB/1", kib, 1),
		unary("unary/1KiB/128", kib, 128),
		unary("unary/8KiB/1", 8*kib, 1),
		unary("unary/8KiB/64", 8*kib, 64),
		unary("unary/8KiB/128", 8*kib, 128),
		unary("unary/1MiB/1", mib, 1),
		unary("unary/1MiB/16", mib, 16, mixed),
		unary("deadline/32B/1", 32, 1, deadline),
		unary("deadline/32B/128", 32, 128, deadline),
		unary("observed/32B/1", 32, 1, observed),
		unary("observed/32B/128", 32, 128, observed),
		unary("tls/32B/1", 32, 1, secured),
		unary("tls/32B/128", 32, 128, secured),
		stream("tls/stream/64KiB/16", 64*kib, 16, 32, secured),
		pingPong("bidi/32B/1", 1),
		pingPong("bidi/32B/16", 16),
		pingPong("bidi/32B/128", 128, mixed),
		pingPong("bidi/32B/1024", 1024),
		stream("stream/32B/1", 32, 1, 512),
		stream("stream/32B/16", 32, 16, 512, mixed),
		stream("stream/64KiB/1", 64*kib, 1, 32),
		stream("stream/64KiB/16", 64*kib, 16, 32, mixed),
		idle("idle/connections", IdleConns, 2000),
		idle("idle/tls/connections", IdleConns, 2000, secured, long),
		idle("idle/addresses", IdleAddresses, 2000),
		idle("idle/tls/addresses", IdleAddresses, 2000, secured, long),
		idle("idle/streams", IdleStreams, 20000),
		unary("mixed/bulk", 32, 16, func(s *Scenario) { s.Bulk = 2 }),
		unary("slow/sleep/128", 32, 128, func(s *Scenario) { s.Sleep = time.Millisecond }),
		unary("slow/cpu/16", 32, 16, func(s *Scenario) { s.Burn = time.Millisecond }, long),
		unary("churn/32B", 32, 16, churn),
		unary("churn/tls/32B", 32, 16, churn, secured, long),
		open("open/50", 50),
		open("open/90", 90),
		unary("link/40ms/1", 32, 1, link, long),
		unary("link/40ms/16", 32, 16, link),
		unary("slots/50ms/1000", 32, 1000, func(s *Scenario) { s.Slots, s.Delay = 100, 25*time.Millisecond }),
		unary("round_robin/unary/32B/1", 32, 1, balanced),
		unary("round_robin/unary/32B/16", 32, 16, balanced),
		unary("round_robin/unary/32B/128", 32, 128, balanced),
		unary("round_robin/unary/32B/1024", 32, 1024, balanced),
		unary("round_robin/unary/1KiB/128", kib, 128, balanced),
		unary("round_robin/unary/8KiB/128", 8*kib, 128, balanced),
		unary("round_robin/unary/1MiB/16", mib, 16, balanced, long),
		unary("round_robin/deadline/32B/128", 32, 128, balanced, deadline),
		unary("round_robin/observed/32B/128", 32, 128, balanced, observed),
		unary("round_robin/tls/32B/128", 32, 128, balanced, secured),
		pingPong("round_robin/bidi/32B/128", 128, balanced),
		stream("round_robin/stream/32B/16", 32, 16, 512, balanced),
		stream("round_robin/stream/64KiB/16", 64*kib, 16, 32, balanced),
	}
}

func pingPong(name string, outstanding int, changes ...func(*Scenario)) Scenario {
	return unary(name, 32, outstanding, append(changes, func(s *Scenario) { s.Shape = PingPong })...)
}

func stream(name string, payload, outstanding, burst int, changes ...func(*Scenario)) Scenario {
	return unary(name, payload, outstanding, append(changes, func(s *Scenario) { s.Shape, s.Burst = Stream, burst })...)
}

func unary(name string, payload, outstanding int, changes ...func(*Scenario)) Scenario {
	s := Scenario{Name: name, Shape: Unary, Payload: payload, Outstanding: outstanding, Connections: 1}
	for _, change := range changes {
		change(&s)
	}
	return s
}

func idle(name string, shape Shape, n int, changes ...func(*Scenario)) Scenario {
	return unary(name, 32, n, append(changes, func(s *Scenario) { s.Shape = shape })...)
}

// open is with as many calls outstanding as there are, up to 1024.
func open(name string, load int) Scenario {
	return unary(name, 32, 1024, func(s *Scenario) { s.Shape, s.Load = Open, load })
}

// Capacity is the scenario that tells what the baseline can do.
func Capacity() Scenario { return unary("unary/32B/128", 32, 128) }

func mixed(s *Scenario)    { s.Mixed = true }
func deadline(s *Scenario) { s.Deadline = true }
func observed(s *Scenario) { s.Observed = true }
func secured(s *Scenario)  { s.TLS = true }
func long(s *Scenario)     { s.Long = true }
func churn(s *Scenario)    { s.Shape = Churn }
func balanced(s *Scenario) { s.Addresses = 4 }
func link(s *Scenario)     { s.Delay = 20 * time.Millisecond }

// Select gives those whose name has a match of the pattern. None is an error.
func Select(all []Scenario, pattern string) ([]Scenario, error) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("scenarios: expected a regular expression; came %w", err)
	}
	var some []Scenario
	for _, s := range all {
		if re.MatchString(s.Name) {
			some = append(some, s)
		}
	}
	if len(some) == 0 {
		return nil, fmt.Errorf("scenarios: expected a pattern that matches some; came %q, which matches none (-list shows them)", pattern)
	}
	return some, nil
}

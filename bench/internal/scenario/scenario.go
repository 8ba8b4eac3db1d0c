// Package scenario says what is measured.
package scenario

import (
	"fmt"
	"regexp"
)

// Shape is the kind of call.
type Shape string

// The shapes.
const (
	Unary    Shape = "unary"
	PingPong Shape = "bidi"   // one message there and back, again and again
	Stream   Shape = "stream" // from the server

	// IdleConns and IdleStreams are opened, used once, and left alone, beside a
	// connection on which there was a call.
	IdleConns   Shape = "idle-conns"
	IdleStreams Shape = "idle-streams"
)

// Scenario is one line of work for every peer.
type Scenario struct {
	Name        string `json:"name"`
	Shape       Shape  `json:"shape"`
	Payload     int    `json:"payload"`     // of each message, in octets
	Outstanding int    `json:"outstanding"` // calls, streams, or what is idle; over all connections
	Connections int    `json:"connections"`

	// Burst is how many messages the server sends on each stream.
	Burst int `json:"burst,omitempty"`

	Deadline bool `json:"deadline,omitempty"` // of its own for each call
	Observed bool `json:"observed,omitempty"` // metadata, an interceptor and a stats handler
	TLS      bool `json:"tls,omitempty"`

	// Mixed scenarios are also measured with weir on one side only.
	Mixed bool `json:"mixed,omitempty"`
}

// Idle says whether memory is measured and not calls.
func (s Scenario) Idle() bool { return s.Shape == IdleConns || s.Shape == IdleStreams }

// MetadataKeys is how many keys each call of an observed scenario has.
const MetadataKeys = 8

// MaxStreams is how many streams all servers allow on a connection.
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
		idle("idle/streams", IdleStreams, 20000),
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

func idle(name string, shape Shape, n int) Scenario {
	return Scenario{Name: name, Shape: shape, Payload: 32, Outstanding: n, Connections: 1}
}

func mixed(s *Scenario)    { s.Mixed = true }
func deadline(s *Scenario) { s.Deadline = true }
func observed(s *Scenario) { s.Observed = true }
func secured(s *Scenario)  { s.TLS = true }

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

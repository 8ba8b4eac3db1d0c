package channel

import (
	"sync/atomic"
	"time"

	"github.com/weir-rpc/weir/inspect"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/connectivity"
)

// story is what a channel remembers of its states for those who look at it.
// Guarded by states.mu.
type story struct {
	begun  time.Time // immutable
	since  time.Time // of the present state
	events []change  // the latest, in a ring from oldest on
	oldest int
	count  int // of all there were
}

// maxEvents is how many changes of state are remembered, as in grpc-go.
const maxEvents = 30

func (y *story) begin() {
	y.begun = time.Now()
	y.since = y.begun
}

// changed notes a change of state.
func (y *story) changed(ch change) {
	y.since = time.Now()
	ch.at = y.since
	y.count++
	if len(y.events) < maxEvents {
		y.events = append(y.events, ch)
		return
	}
	y.events[y.oldest] = ch
	y.oldest = (y.oldest + 1) % maxEvents
}

// all gives the events, the oldest first.
func (y *story) all() []inspect.Event {
	all := make([]inspect.Event, 0, len(y.events))
	for i := range y.events {
		ch := y.events[(y.oldest+i)%len(y.events)]
		text := "the state is " + ch.to.String()
		if ch.err != nil {
			text += ": " + ch.err.Error()
		}
		all = append(all, inspect.Event{Time: ch.at, Text: text, Warning: ch.to == connectivity.TransientFailure})
	}
	return all
}

// past is what the connections counted that have ended. Guarded by pickFirst.mu.
type past struct {
	inspect.Counters
	lastStream time.Time
}

// add adds a connection that has ended.
func (p *past) add(c *inspect.Conn) {
	p.Counters.Add(&c.Counters)
	if c.LastStream.After(p.lastStream) {
		p.lastStream = c.LastStream
	}
}

// unserved counts calls that got no connection.
type unserved struct{ atomic.Uint64 }

// Inspect takes a snapshot. What only the Client knows is not in it.
func (c *Channel) Inspect(d inspect.Detail) inspect.Client {
	p := &c.first
	p.mu.Lock()
	var before past
	if p.past != nil {
		before = *p.past
	}
	live := p.connections()
	p.mu.Unlock()
	s := inspect.Client{Target: c.target, Counters: before.Counters, LastCall: before.lastStream}
	for _, tr := range live {
		one := tr.Inspect(d == inspect.Streams)
		s.Counters.Add(&one.Counters)
		s.Open.Add(one.Open)
		if one.LastStream.After(s.LastCall) {
			s.LastCall = one.LastStream
		}
		if d != inspect.Totals {
			s.Connections = append(s.Connections, one)
		}
	}
	lost := c.unserved.Load()
	s.Calls.Started += lost
	s.Calls.Failed += lost

	states := &c.states
	states.mu.Lock()
	defer states.mu.Unlock()
	v, y := states.current.Load(), &states.story
	s.State, s.StateSince, s.Since = v.state.String(), y.since, y.begun
	if v.err != nil {
		s.Err = v.err.Error()
	}
	s.Events, s.EventsCount = y.all(), y.count
	return s
}

// InspectConnections gives the connections that have not ended.
func (c *Channel) InspectConnections() []inspect.Connection {
	c.first.mu.Lock()
	defer c.first.mu.Unlock()
	return c.first.connections()
}

// connections gives those that tell of themselves. With mu held.
func (p *pickFirst) connections() []inspect.Connection {
	all := make([]inspect.Connection, 0, len(p.live))
	for _, tr := range p.live {
		if c, ok := tr.(inspect.Connection); ok {
			all = append(all, c)
		}
	}
	return all
}

// lastLook is the snapshot of a connection that has ended.
func lastLook(tr transport.ClientTransport) (s inspect.Conn) {
	if c, ok := tr.(inspect.Connection); ok {
		s = c.Inspect(false)
	}
	return s
}

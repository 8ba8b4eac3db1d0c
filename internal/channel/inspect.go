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
	begun  time.Time     // immutable
	since  time.Duration // of the present state, from begun on
	events []event       // the latest, in a ring from oldest on
	oldest int
	count  int // of all there were
}

// event is a change of state. A channel keeps some as long as it lives.
type event struct {
	err error
	at  time.Duration // from story.begun on
	to  uint8         // a connectivity.State
}

// maxEvents is how many changes of state are remembered, as in grpc-go.
const maxEvents = 30

func (y *story) begin() {
	y.begun = time.Now()
}

// changed notes a change of state.
func (y *story) changed(ch change) {
	y.since = time.Since(y.begun)
	e := event{ch.err, y.since, uint8(ch.to)}
	y.count++
	if len(y.events) < maxEvents {
		y.events = append(y.events, e)
		return
	}
	y.events[y.oldest] = e
	y.oldest = (y.oldest + 1) % maxEvents
}

// all gives the events, the oldest first.
func (y *story) all() []inspect.Event {
	all := make([]inspect.Event, 0, len(y.events))
	for i := range y.events {
		e := &y.events[(y.oldest+i)%len(y.events)]
		to := connectivity.State(e.to)
		text := "the state is " + to.String()
		if e.err != nil {
			text += ": " + e.err.Error()
		}
		all = append(all, inspect.Event{Time: y.begun.Add(e.at), Text: text, Warning: to == connectivity.TransientFailure})
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
	b, own := p.balancing.current(), p.chosen()
	p.mu.Unlock()
	s := inspect.Client{Target: c.first.dialer.target.Text, Counters: before.Counters, LastCall: before.lastStream}
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
	counted := s.Counters
	s.SlotWaiters = int(c.slotWaiters.Load())
	lost := c.unserved.Load()
	s.Calls.Started += lost
	s.Calls.Failed += lost

	var subs []inspect.Subchannel
	if b != nil {
		s.Balancer, subs = b.Inspect()
	}
	states := &c.states
	states.mu.Lock()
	defer states.mu.Unlock()
	v, y := states.current.Load(), &states.story
	s.State, s.StateSince, s.Since = v.state.String(), y.begun.Add(y.since), y.begun
	if v.err != nil {
		s.Err = v.err.Error()
	}
	s.Events, s.EventsCount = y.all(), y.count
	if own != nil {
		own.State, own.StateSince, own.Err, own.Since = s.State, s.StateSince, s.Err, s.Since
		if v.state != connectivity.TransientFailure { // it changed since
			own.Retry = time.Time{}
		}
		own.Counters, own.LastCall, own.Open = counted, s.LastCall, s.Open
		for i := range s.Connections {
			own.Connections = append(own.Connections, s.Connections[i].ID)
		}
		s.Balancer, subs = "pick_first", []inspect.Subchannel{*own}
	}
	if d != inspect.Totals {
		s.Subchannels = subs
	}
	return s
}

// chosen gives the beginning of a snapshot of what the channel's own pick_first
// has, or nil if a balancer connects or is to. With mu held.
func (p *pickFirst) chosen() *inspect.Subchannel {
	b := p.balancing
	if b != nil && (b.balancer != nil || p.current == nil && (b.site > 0 || b.waits)) {
		return nil
	}
	s := &inspect.Subchannel{Failures: p.failures}
	if p.retry != nil {
		s.Retry = p.retry.at
	}
	if p.current != nil {
		s.Addresses = []string{p.at}
	}
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

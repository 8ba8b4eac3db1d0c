package weir

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/weir-rpc/weir/inspect"
	"github.com/weir-rpc/weir/transport"
)

// InspectRegistry puts the Server in r, where package inspect, and through it
// channelz and metrics, show it until it has stopped. Without the option it is
// in inspect.Default. With nil it is in none.
func InspectRegistry(r *inspect.Registry) ServerOption {
	return serverOption(func(c *serverConfig) { c.inspect = inspectConfig{true, r} })
}

// serverInspection is what a Server remembers for those who look at it.
type serverInspection struct {
	inspection
	begun time.Time // immutable

	// Guarded by Server.mu.
	past       inspect.Counters // of connections that have ended
	lastStream time.Time
}

// endedLocked adds a connection that has ended.
func (i *serverInspection) endedLocked(c *inspect.Conn) {
	i.past.Add(&c.Counters)
	if c.LastStream.After(i.lastStream) {
		i.lastStream = c.LastStream
	}
}

// lastLook is the snapshot of a connection that has ended; tr may be nil.
func lastLook(tr transport.ServerTransport) (s inspect.Conn) {
	if c, ok := tr.(inspect.Connection); ok {
		s = c.Inspect(false)
	}
	return s
}

// InspectID gives the id that the Server has in its inspect.Registry.
func (s *Server) InspectID() int64 { return s.inspect.id }

// InspectServer gives a snapshot of the Server, which its inspect.Registry asks
// for.
func (s *Server) InspectServer(d inspect.Detail) inspect.Server {
	s.mu.Lock()
	out := inspect.Server{
		ID: s.inspect.id, Since: s.inspect.begun, State: "idle",
		Counters: s.inspect.past, LastCall: s.inspect.lastStream,
	}
	switch {
	case s.stopped || isClosed(s.finished):
		out.State = "stopped"
	case s.closing.Load():
		out.State = "draining"
	case s.serving:
		out.State = "serving"
	}
	listeners := slices.Collect(maps.Keys(s.listeners))
	live, handshakes := s.inspectionsLocked()
	s.mu.Unlock()
	out.Handshakes = handshakes
	for _, lis := range listeners {
		at := lis.Addr()
		out.Listeners = append(out.Listeners, inspect.Listener{ID: lis.id, Address: inspect.Address{Network: at.Network(), Text: at.String()}})
	}
	slices.SortFunc(out.Listeners, func(a, b inspect.Listener) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(live, func(a, b inspect.Connection) int { return cmp.Compare(a.InspectID(), b.InspectID()) })
	for _, c := range live {
		one := c.Inspect(d == inspect.Streams)
		out.Counters.Add(&one.Counters)
		out.Open.Add(one.Open)
		if one.LastStream.After(out.LastCall) {
			out.LastCall = one.LastStream
		}
		if d != inspect.Totals {
			out.Connections = append(out.Connections, one)
		}
	}
	return out
}

// inspectionsLocked gives the connections that tell of themselves, and how many
// are in their handshakes.
func (s *Server) inspectionsLocked() (all []inspect.Connection, handshakes int) {
	for sc := range s.conns {
		if sc.tr == nil {
			handshakes++
		} else if c, ok := sc.tr.(inspect.Connection); ok {
			all = append(all, c)
		}
	}
	return all, handshakes
}

// InspectConnections gives the connections that have not ended.
func (s *Server) InspectConnections() []inspect.Connection {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, _ := s.inspectionsLocked()
	return all
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

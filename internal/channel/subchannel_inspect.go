package channel

import (
	"slices"

	"github.com/weir-rpc/weir/inspect"
	"github.com/weir-rpc/weir/transport"
)

// shown are the connections of a subchannel for those who look at it. Guarded by
// subchannel.mu.
type shown struct {
	all  []transport.ClientTransport // that have not ended
	past *past                       // nil until one has
}

func (s *shown) begin(tr transport.ClientTransport) { s.all = append(s.all, tr) }

func (s *shown) end(tr transport.ClientTransport) {
	if i := slices.Index(s.all, tr); i >= 0 {
		s.all = slices.Delete(s.all, i, i+1)
	}
	if s.past == nil {
		s.past = new(past)
	}
	last := lastLook(tr)
	s.past.add(&last)
}

// Inspect takes a snapshot of each connection, and one, without an id, of all that
// have ended.
func (s *subchannel) Inspect() []inspect.Conn {
	s.mu.Lock()
	live := slices.Clone(s.shown.all)
	var before inspect.Conn
	if p := s.shown.past; p != nil {
		before.Counters, before.LastStream = p.Counters, p.lastStream
	}
	s.mu.Unlock()
	all := []inspect.Conn{before}
	for _, tr := range live {
		if c, ok := tr.(inspect.Connection); ok {
			all = append(all, c.Inspect(false))
		}
	}
	return all
}

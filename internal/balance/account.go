package balance

import (
	"cmp"
	"slices"
	"time"

	"github.com/weir-rpc/weir/inspect"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/connectivity"
)

// account is what a subConn remembers for those who look at it. Guarded by
// subConn.mu.
type account struct {
	id    int64     // immutable
	begun time.Time // immutable
	since time.Time // of the state
	retry time.Time // the end of TRANSIENT_FAILURE
	err   error     // the latest reason for no connection

	conns []transport.ClientTransport // not all have ended
	past  *inspect.Conn               // the sums of those that have; nil if none has
}

func newAccount() account {
	now := time.Now()
	return account{id: inspect.NextID(), begun: now, since: now}
}

// changed notes a change of state.
func (a *account) changed(err error) {
	a.since = time.Now()
	if err != nil {
		a.err = err
	}
}

// add adds a connection, and sums up those that have ended.
func (a *account) add(tr transport.ClientTransport) {
	a.sum()
	a.conns = append(a.conns, tr)
}

func (a *account) sum() {
	a.conns = slices.DeleteFunc(a.conns, func(tr transport.ClientTransport) bool {
		select {
		case <-tr.Done():
		default:
			return false
		}
		if a.past == nil {
			a.past = new(inspect.Conn)
		}
		for _, c := range looksOf(tr) {
			a.past.Counters.Add(&c.Counters)
			a.past.LastStream = later(a.past.LastStream, c.LastStream)
		}
		return true
	})
}

// several is what serves as one connection and consists of several.
type several interface {
	// Inspect takes a snapshot of each, and one of those that have ended.
	Inspect() []inspect.Conn
}

// looksOf gives snapshots of a connection, or of those that it consists of.
func looksOf(tr transport.ClientTransport) []inspect.Conn {
	switch c := tr.(type) {
	case inspect.Connection:
		return []inspect.Conn{c.Inspect(false)}
	case several:
		return c.Inspect()
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// inspect takes a snapshot.
func (sc *subConn) inspect() inspect.Subchannel {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	sc.sum()
	s := inspect.Subchannel{
		ID: sc.id, Since: sc.begun, State: sc.state.String(), StateSince: sc.since, Failures: sc.failures,
	}
	for _, a := range sc.addresses {
		s.Addresses = append(s.Addresses, a.Addr)
	}
	if sc.state == connectivity.TransientFailure {
		s.Retry = sc.retry
	}
	if sc.err != nil {
		s.Err = sc.err.Error()
	}
	if sc.past != nil {
		s.Counters, s.LastCall = sc.past.Counters, sc.past.LastStream
	}
	for _, tr := range sc.conns {
		for _, c := range looksOf(tr) {
			s.Counters.Add(&c.Counters)
			s.Open.Add(c.Open)
			s.LastCall = later(s.LastCall, c.LastStream)
			if c.ID != 0 {
				s.Connections = append(s.Connections, c.ID)
			}
		}
	}
	return s
}

// Inspect gives the name of the balancer, or nothing before the first, and a
// snapshot of what it has: of both if one follows the other, whose name is given.
func (h *Host) Inspect() (name string, all []inspect.Subchannel) {
	h.mu.Lock()
	c := h.pending
	if c == nil {
		c = h.current
	}
	if c != nil {
		name = c.name
	}
	h.mu.Unlock()
	for _, sc := range h.subConns() {
		all = append(all, sc.inspect())
	}
	slices.SortFunc(all, func(a, b inspect.Subchannel) int { return cmp.Compare(a.ID, b.ID) })
	return name, all
}

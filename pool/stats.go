package pool

import "google.golang.org/grpc/connectivity"

// counts are those of a pool's life.
type counts struct{ created, reused, failed, evicted, expired uint64 }

// Stats is what a pool counts. Clients is always the sum of InUse and Idle.
type Stats struct {
	Clients int // Clients in the pool
	InUse   int // Clients with an open Conn or a call that runs
	Idle    int // Clients that nobody uses
	Closing int // Clients that have left the pool and still have connections
	Calls   int // calls that run
	Waiting int // callers that wait in Get

	// States tells how many of Clients are in each state of connectivity.
	States map[connectivity.State]int

	Created uint64 // Clients that were made
	Failed  uint64 // Clients that could not be made, because target or options are wrong
	Reused  uint64 // times that Get gave a Client which was there
	Evicted uint64 // Clients that made room for another
	Expired uint64 // Clients that nobody used for Config.IdleTimeout
}

// Stats gives the counters of the pool at this moment.
func (p *ConnectionPool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	st := Stats{
		Waiting: p.waiters.queue.Len(), Closing: int(p.leaving.Load()),
		States:  make(map[connectivity.State]int),
		Created: p.counts.created, Failed: p.counts.failed, Reused: p.counts.reused,
		Evicted: p.counts.evicted, Expired: p.counts.expired,
	}
	for _, s := range p.clients {
		st.Calls += int(s.calls.Load())
	}
	if p.closed {
		return st
	}
	st.Clients, st.Idle = len(p.clients), p.unused.Len()
	st.InUse = st.Clients - st.Idle
	for _, s := range p.clients {
		if c := s.client.Load(); c != nil { // nil while it is made
			st.States[c.GetState()]++
		}
	}
	return st
}

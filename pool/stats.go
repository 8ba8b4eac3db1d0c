package pool

import "google.golang.org/grpc/connectivity"

// counts are those of a pool's life.
type counts struct{ created, reused, failed, evicted, expired uint64 }

// Stats is what a pool counts. The first group adds up at any time: Clients is
// InUse and Idle together.
type Stats struct {
	Clients int // in the pool
	InUse   int // of them, that have an open Conn or a call that runs
	Idle    int // of them, that nobody uses
	Closing int // that have left the pool and have connections yet
	Calls   int // that run
	Waiting int // in Get

	// States tells how many of Clients are in each state of connectivity.
	States map[connectivity.State]int

	Created uint64 // Clients that were made,
	Failed  uint64 // or could not be, since their options are wrong
	Reused  uint64 // times that Get gave a Client which was there
	Evicted uint64 // Clients that made room for another
	Expired uint64 // Clients that nobody used for Config.IdleTimeout
}

// Stats tells how the pool is, at this moment.
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

// Package gate is a lock that publishes one condition.
package gate

import "sync"

// A Gate guards some state and tells waiters when a condition of that state
// holds. Whoever unlocks says whether it does. The zero value is not usable:
// call Init first.
//
// A waiter takes C, waits on it, locks and looks: a signal may be stale, so it
// looks again in a loop. Who finds the condition true and leaves it true says
// so when it unlocks, which passes the signal on to the next waiter.
type Gate struct {
	mu sync.Mutex
	c  chan struct{}
}

// Init makes the gate usable for waiting. A gate that nobody will wait at
// may be used without: its Signal then does nothing.
func (g *Gate) Init() {
	if g.c == nil {
		g.c = make(chan struct{}, 1)
	}
}

// Lock takes the lock, whatever the condition.
func (g *Gate) Lock() { g.mu.Lock() }

// Unlock gives the lock back and signals a waiter if the condition holds.
func (g *Gate) Unlock(holds bool) {
	g.mu.Unlock()
	if holds {
		g.Signal()
	}
}

// Signal wakes one waiter, now or when it comes.
func (g *Gate) Signal() {
	select {
	case g.c <- struct{}{}:
	default: // a signal is there already, or nobody can wait
	}
}

// C gives the channel on which a signal arrives.
func (g *Gate) C() <-chan struct{} { return g.c }

// Reset forgets a signal that nobody took.
func (g *Gate) Reset() {
	select {
	case <-g.c:
	default:
	}
}

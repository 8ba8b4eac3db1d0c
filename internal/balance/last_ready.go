package balance

import (
	"context"
	"time"

	"google.golang.org/grpc/connectivity"
)

const (
	// mostFailures is how many attempts in a row may have failed for the next to
	// begin early: those of the first seconds, in which a server may have started.
	mostFailures = 3
	// mostHeld is how long a failure is held back at most, for a balancer that does
	// not connect what is IDLE.
	mostHeld = 5 * time.Second
)

// A lastReady is what a child does when the last of its connections is about to go
// or has gone: those that wait for the end of a first backoff are tried at once,
// and until one of them is READY or all have failed the connection that went is not
// said to have failed. So calls wait for the outcome, as for any connection that is
// being made. Otherwise servers that are restarted one after the other within a
// backoff would be one after the other in their backoff, and at last all of them,
// though all but one serve again. An attempt is made early for each connection
// that a server had accepted, and no more often.
//
// Guarded by Host.mu.
type lastReady struct {
	tried map[*subConn]struct{} // whose attempts have not ended
	over  chan struct{}         // closed at the end; nil if nothing goes on
}

// hurryOthers is called when a connection goes, without the mu of any subConn.
func (c *child) hurryOthers(going *subConn) {
	var tried []*subConn
	for _, sc := range c.others(going) {
		if sc.toBeTried() {
			tried = append(tried, sc)
		}
	}
	for _, sc := range tried { // when all are known: the first may fail at once
		sc.hurry()
	}
}

// others gives all connections but this one, if none of them is READY and nothing is
// tried yet.
func (c *child) others(going *subConn) []*subConn {
	c.host.mu.Lock()
	defer c.host.mu.Unlock()
	if c.lastReady.over != nil {
		return nil
	}
	for sc := range c.subConns { // the first few tell, unless it is so
		if sc != going && sc.ready.Load() != nil {
			return nil
		}
	}
	others := make([]*subConn, 0, len(c.subConns))
	for sc := range c.subConns {
		if sc != going {
			others = append(others, sc)
		}
	}
	return others
}

// toBeTried reports whether sc waits in a first backoff, and notes it then.
func (sc *subConn) toBeTried() bool {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	if a := sc.attempt; a == nil || a.hurry == nil || sc.state != connectivity.TransientFailure || sc.failures > mostFailures {
		return false
	}
	c := sc.child
	c.host.mu.Lock()
	defer c.host.mu.Unlock()
	if c.lastReady.over == nil {
		c.lastReady = lastReady{tried: make(map[*subConn]struct{}), over: make(chan struct{})}
	}
	c.lastReady.tried[sc] = struct{}{}
	return true
}

// hurry ends the backoff, unless that is over.
func (sc *subConn) hurry() {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	sc.hurryLocked()
}

func (sc *subConn) hurryLocked() {
	if a := sc.attempt; a != nil && a.hurry != nil && sc.state == connectivity.TransientFailure {
		close(a.hurry)
		a.hurry = nil
	}
}

// triedLocked notes how an attempt has ended, with the mu of its subConn.
func (c *child) triedLocked(sc *subConn, ready bool) {
	c.host.mu.Lock()
	defer c.host.mu.Unlock()
	l := &c.lastReady
	delete(l.tried, sc)
	if l.over != nil && (ready || len(l.tried) == 0) {
		close(l.over)
		*l = lastReady{}
	}
}

// hold waits until it is known whether another connection than sc's takes its place.
func (c *child) hold(ctx context.Context, sc *subConn) {
	c.host.mu.Lock()
	over := c.lastReady.over
	_, own := c.lastReady.tried[sc]
	c.host.mu.Unlock()
	if over == nil || own {
		return
	}
	most := time.NewTimer(mostHeld)
	defer most.Stop()
	select {
	case <-over:
	case <-ctx.Done():
	case <-most.C:
		c.host.mu.Lock()
		if c.lastReady.over == over {
			close(over)
			c.lastReady = lastReady{}
		}
		c.host.mu.Unlock()
	}
}

package balance

import (
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/connectivity"
)

// health is who wants to know whether the server behind a connection is well.
// Nobody asks servers: one that is connected is well. Guarded by subConn.mu.
type health struct {
	told  connectivity.State // what the balancer knows of the connection
	epoch int                // of the listener: an older one is told no more
}

// toldLocked says that the balancer hears of a state now, which is the end of a
// listener to health.
func (h *health) toldLocked(s connectivity.State) {
	h.told = s
	h.epoch++
}

// RegisterHealthListener is balancer.SubConn's.
func (sc *subConn) RegisterHealthListener(listener func(balancer.SubConnState)) {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	if sc.told != connectivity.Ready {
		return
	}
	sc.epoch++
	if listener == nil {
		return
	}
	epoch := sc.epoch
	sc.child.host.queue.put(func() {
		sc.mu.Lock()
		current := sc.epoch == epoch
		sc.mu.Unlock()
		if current {
			listener(balancer.SubConnState{ConnectivityState: connectivity.Ready})
		}
	})
}

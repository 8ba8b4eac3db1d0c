package simnet

import (
	"context"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"
)

// A Network is where listeners are found by name. The zero value is a network
// without latency or limits. It must not be copied after first use, and is
// safe for use by several goroutines.
type Network struct {
	// Link is what each connection gets. It may be changed between dials.
	Link Link

	mu        sync.Mutex
	listeners map[string]*listener
	wires     []*wire // of connections that are not closed at both ends
	dials     int
	stalled   bool
}

// Listen makes name known. It fails if that is in use.
func (n *Network) Listen(name string) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners[name] != nil {
		return nil, &net.OpError{Op: "listen", Net: "sim", Addr: Addr(name), Err: syscall.EADDRINUSE}
	}
	if n.listeners == nil {
		n.listeners = make(map[string]*listener)
	}
	l := &listener{network: n, name: Addr(name)}
	n.listeners[name] = l
	return l, nil
}

// Dial connects to the listener of that name, which takes one round trip. A
// name that nobody listens on is refused, after one round trip too. While the
// network is stalled only the end of ctx ends it.
func (n *Network) Dial(ctx context.Context, name string) (net.Conn, error) {
	n.mu.Lock()
	n.dials++
	local := Addr(fmt.Sprintf("client:%d", n.dials))
	near, far := pipe(n.Link, local, Addr(name))
	if n.stalled {
		near.Stall()
	}
	n.wires = append(n.open(), near.wire)
	n.mu.Unlock()

	accepted, err := n.connect(ctx, near, far)
	if err != nil {
		near.Reset()
		if !accepted {
			far.Reset()
		}
		return nil, &net.OpError{Op: "dial", Net: "sim", Source: local, Addr: far.local, Err: err}
	}
	return near, nil
}

// connect takes the round trip of a handshake: far goes to the listener of its
// name, halfway.
func (n *Network) connect(ctx context.Context, near, far *Conn) (accepted bool, err error) {
	if err := near.trip(ctx); err != nil {
		return false, err
	}
	n.mu.Lock()
	l := n.listeners[far.local.String()]
	n.mu.Unlock()
	accepted = l != nil && l.offer(far)
	if err := near.trip(ctx); err != nil {
		return accepted, err
	}
	if !accepted {
		return false, syscall.ECONNREFUSED
	}
	return true, nil
}

// trip waits for as long as the way to the other end takes.
func (c *Conn) trip(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		c.wire.mu.Lock()
		defer c.wire.mu.Unlock()
		c.in.broadcast()
	})
	defer stop()
	c.wire.mu.Lock()
	defer c.wire.mu.Unlock()
	for arrival := c.wire.now().Add(c.wire.link.RTT / 2); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		if c.wire.stalled.IsZero() && !c.wire.now().Before(arrival) {
			return nil
		}
		c.in.wait(arrival, time.Time{})
	}
}

// Stall pulls the cables of all connections, and of those dialed from now on.
func (n *Network) Stall() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.stalled = true
	for _, w := range n.open() {
		w.stall()
	}
}

// Resume plugs all cables in again.
func (n *Network) Resume() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.stalled = false
	for _, w := range n.open() {
		w.resume()
	}
}

// open gives the wires that are of use, and forgets the others. Locked: n.mu.
func (n *Network) open() []*wire {
	var kept []*wire
	for _, w := range n.wires {
		w.mu.Lock()
		if !w.halves[0].readerClosed || !w.halves[1].readerClosed {
			kept = append(kept, w)
		}
		w.mu.Unlock()
	}
	n.wires = kept
	return kept
}

// A listener has connections that arrived and were not accepted yet.
type listener struct {
	network *Network
	name    Addr

	mu      sync.Mutex
	backlog []*Conn
	closed  bool
	changed chan struct{} // closed by the next change; nil if nobody waits
}

func (l *listener) wake() {
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// offer puts a connection into the backlog, unless the listener is closed.
func (l *listener) offer(c *Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.backlog = append(l.backlog, c)
	l.wake()
	return true
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if l.closed {
			return nil, &net.OpError{Op: "accept", Net: "sim", Addr: l.name, Err: net.ErrClosed}
		}
		if len(l.backlog) > 0 {
			c := l.backlog[0]
			l.backlog = l.backlog[1:]
			return c, nil
		}
		if l.changed == nil {
			l.changed = make(chan struct{})
		}
		changed := l.changed
		l.mu.Unlock()
		<-changed
		l.mu.Lock()
	}
}

// Close implements net.Listener. Connections that nobody accepted are reset;
// the name is free again.
func (l *listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return &net.OpError{Op: "close", Net: "sim", Addr: l.name, Err: net.ErrClosed}
	}
	l.closed = true
	for _, c := range l.backlog {
		c.Reset()
	}
	l.backlog = nil
	l.wake()

	l.network.mu.Lock()
	defer l.network.mu.Unlock()
	delete(l.network.listeners, string(l.name))
	return nil
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return l.name }

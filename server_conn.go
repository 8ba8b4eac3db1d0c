package weir

import (
	"cmp"
	"context"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/weir-rpc/weir/inspect"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/peer"
)

// A ServerConn is a connection of a Server, from its acceptance to its end. All
// methods may be called by several goroutines at a time, and after its end. A
// connection within the process is one too, and behind net/http (package
// servehttp) each call is one of its own.
type ServerConn struct {
	// Immutable.
	s     *Server
	id    int64
	nc    net.Conn // nil if it came by ServeTransport
	since time.Time

	// Guarded by Server.mu.
	tr       transport.ServerTransport // nil during the handshakes
	draining string                    // the reason of Drain; it may have come during the handshakes
	state    ConnState                 // but for what tr knows better
	closed   bool                      // during the handshakes, for the reason in draining
	err      error

	telling sync.Mutex // held while the handler of OnConnState runs
	told    ConnState  // guarded by telling
}

// ConnState is how far a connection of a Server has come. It only goes forward.
type ConnState uint8

// The states of a connection.
const (
	ConnNew      ConnState = iota + 1 // accepted; the handshakes of TLS and HTTP/2 are going on
	ConnReady                         // calls can come
	ConnDraining                      // open calls finish, new ones go elsewhere
	ConnClosed                        // it has ended, or it was not let in
)

// String gives the word: "new", "ready", "draining" or "closed".
func (s ConnState) String() string {
	switch s {
	case ConnNew:
		return "new"
	case ConnReady:
		return "ready"
	case ConnDraining:
		return "draining"
	case ConnClosed:
		return "closed"
	}
	return "unknown"
}

// OnConnState sets a function that is told of each new state of each
// connection. The states of one connection come one after the other, in order,
// without those that it has skipped. While the function runs, what comes next
// waits for that connection: the handshakes, the first calls, and the end of
// Stop, GracefulStop and Shutdown, which the function must not call. A
// connection that a limit refuses is ConnClosed at once, and its Err says why.
// Whether calls are open is no state, for that changes with every call: see
// ServerConn.OpenCalls.
func OnConnState(f func(c *ServerConn, state ConnState)) ServerOption {
	return serverOption(func(c *serverConfig) { c.intake.connState = f })
}

// Conns gives the connections that have not ended, the oldest first.
func (s *Server) Conns() []*ServerConn {
	s.mu.Lock()
	all := make([]*ServerConn, 0, len(s.conns))
	for c := range s.conns {
		all = append(all, c)
	}
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b *ServerConn) int { return cmp.Compare(a.id, b.id) })
	return all
}

// Conn gives the connection with an id, or nil if there is none or it has
// ended.
func (s *Server) Conn(id int64) *ServerConn {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if c.id == id {
			return c
		}
	}
	return nil
}

type serverConnKey struct{}

// ServerConnFromContext gives the connection of a call, from the context of its
// handler, of an interceptor, of the tap or of a stats handler. A stats handler
// has it in the context of the connection, too.
func ServerConnFromContext(ctx context.Context) (*ServerConn, bool) {
	c, ok := ctx.Value(serverConnKey{}).(*ServerConn)
	return c, ok
}

// newConn makes a connection of nc, or of tr.
func (s *Server) newConn(nc net.Conn, tr transport.ServerTransport) *ServerConn {
	c := &ServerConn{s: s, nc: nc, tr: tr, since: time.Now(), state: ConnNew}
	if known, ok := tr.(inspect.Connection); ok {
		c.id = known.InspectID()
	} else {
		c.id = inspect.NextID()
	}
	return c
}

// context is what the contexts of calls begin with.
func (c *ServerConn) context() context.Context {
	return context.WithValue(context.Background(), serverConnKey{}, c)
}

// ID gives the number of the connection, which no other of this process has. It
// is that of package inspect and of channelz.
func (c *ServerConn) ID() int64 { return c.id }

// Since tells when the connection was accepted.
func (c *ServerConn) Since() time.Time { return c.since }

// Peer tells who the client is. During the handshakes nothing but the addresses
// is known. It is shared: it must not be changed.
func (c *ServerConn) Peer() *peer.Peer {
	if tr := c.transport(); tr != nil {
		return tr.Peer()
	}
	return &peer.Peer{Addr: c.nc.RemoteAddr(), LocalAddr: c.nc.LocalAddr()}
}

// State gives the state.
func (c *ServerConn) State() ConnState {
	c.s.mu.Lock()
	state, tr := c.state, c.tr
	if state == ConnReady && (c.draining != "" || c.s.draining) {
		state = ConnDraining
	}
	c.s.mu.Unlock()
	if state == ConnReady {
		if known, ok := tr.(inspect.Connection); ok && known.Inspect(false).State != "open" {
			return ConnDraining
		}
	}
	return state
}

// OpenCalls gives the number of calls that are open: those whose request has
// begun, and whose end has not been sent.
func (c *ServerConn) OpenCalls() int {
	tr := c.transport()
	if tr == nil {
		return 0
	}
	if known, ok := tr.(inspect.Connection); ok {
		return known.Inspect(false).Open.Streams
	}
	n := 0
	for _, call := range c.s.running.list() {
		if call.peer == tr.Peer() {
			n++
		}
	}
	return n
}

// Err tells why the connection has ended: a *transport.ConnError, or what went
// wrong in the handshakes. It is nil before.
func (c *ServerConn) Err() error {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.err
}

// Drain tells the client to open no more calls on this connection, lets the open
// ones finish and then closes it. It does not wait. The client gets to see the
// reason.
func (c *ServerConn) Drain(reason string) {
	reason = cmp.Or(reason, "the server drains the connection")
	c.s.mu.Lock()
	if c.draining == "" {
		c.draining = reason
	}
	tr := c.tr
	c.s.mu.Unlock()
	if tr != nil {
		c.drain(tr, reason)
	}
}

func (c *ServerConn) drain(tr transport.ServerTransport, reason string) {
	tr.Drain(reason)
	if c.s.cfg.intake.connState != nil {
		go c.reach(ConnDraining, nil)
	}
}

// Close ends the connection and its calls at once, and waits for that. Handlers
// may still run; their contexts have ended. The client gets to see the reason.
func (c *ServerConn) Close(reason string) {
	c.s.mu.Lock()
	tr := c.tr
	if tr == nil {
		c.closed, c.draining = true, reason
	}
	c.s.mu.Unlock()
	if tr != nil {
		tr.Close(reason)
		return
	}
	_ = c.nc.Close() // which a transport that is being made may not notice at once
}

func (c *ServerConn) transport() transport.ServerTransport {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.tr
}

// reach notes a state, and tells of it.
func (c *ServerConn) reach(state ConnState, err error) {
	c.s.mu.Lock()
	if c.state < state {
		c.state, c.err = state, err
	}
	c.s.mu.Unlock()
	f := c.s.cfg.intake.connState
	if f == nil {
		return
	}
	c.telling.Lock()
	defer c.telling.Unlock()
	if c.told < state {
		c.told = state
		f(c, state)
	}
}

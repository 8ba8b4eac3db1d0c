package weir

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// MaxConnections bounds the connections that the listeners of the Server have
// accepted and that have not ended; those in their handshakes count. One more
// is closed at once, before its handshakes: a client that is told so goes
// elsewhere, where one that is left in the listener's backlog would wait for
// its own timeout. Zero, the default, and negative values mean no bound, as in
// grpc-go.
//
// Connections of ServeTransport do not count, here and for MaxConnectionsPerIP:
// whoever passes them to the Server decides how many there are. Those of package
// inproc are the program's own, and clients from outside must not keep them out.
// Behind net/http (package servehttp) each call is one, and the real connections
// are net/http's.
func MaxConnections(n int) ServerOption {
	return serverOption(func(c *serverConfig) { c.intake.maxConns = n })
}

// MaxConnectionsPerIP is MaxConnections for the connections from one IPv4
// address, or from one IPv6 network with a prefix of 64 bits: a single host can
// choose among all the addresses of such a network. Clients behind the same
// proxy, load balancer or NAT share an address, and the hosts of one link or
// the pods of one node often share a network. An IPv4 address that is written
// as one of IPv6 (::ffff:192.0.2.1) is one of IPv4. Connections of other kinds,
// such as unix sockets, do not count. Zero, the default, and negative values
// mean no bound.
func MaxConnectionsPerIP(n int) ServerOption {
	return serverOption(func(c *serverConfig) { c.intake.maxConnsPerIP = n })
}

// ErrTooManyConnections is what ServerConn.Err wraps for a connection that
// MaxConnections or MaxConnectionsPerIP has refused.
var ErrTooManyConnections = errors.New("too many connections")

// admission counts connections that were accepted. Guarded by Server.mu.
type admission struct {
	conns   int
	refused int // those of which is being told that they were kept out
	// Nil without MaxConnectionsPerIP: how many there are of an origin, and whose of
	// those is which. A connection that has ended may not know it any more.
	perIP map[netip.Prefix]int
	from  map[*ServerConn]netip.Prefix
}

// admitLocked counts a connection, or tells why it may not come in.
func (a *admission) admitLocked(cfg *intakeConfig) error {
	if most := cfg.maxConns; most > 0 && a.conns >= most {
		return fmt.Errorf("weir: %w: the server has %d (option MaxConnections)", ErrTooManyConnections, most)
	}
	a.conns++
	return nil
}

// admitFromLocked is admitLocked for those of one origin.
func (a *admission) admitFromLocked(cfg *intakeConfig, c *ServerConn, from netip.Prefix) error {
	if most := cfg.maxConnsPerIP; a.perIP[from] >= most {
		name := from.String()
		if from.IsSingleIP() {
			name = from.Addr().String()
		}
		return fmt.Errorf("weir: %w: the server has %d from %s (option MaxConnectionsPerIP)", ErrTooManyConnections, most, name)
	}
	if a.perIP == nil {
		a.perIP, a.from = make(map[netip.Prefix]int), make(map[*ServerConn]netip.Prefix)
	}
	a.perIP[from]++
	a.from[c] = from
	return nil
}

// leaveLocked is the end of a connection that was admitted.
func (a *admission) leaveLocked(c *ServerConn) {
	a.conns--
	from, ok := a.from[c]
	if !ok {
		return
	}
	delete(a.from, c)
	if a.perIP[from]--; a.perIP[from] <= 0 {
		delete(a.perIP, from)
	}
}

// admitFrom counts the origin of a connection, or tells why it may not come in. It
// may wait: a listener that finds the address in what the client sends, as for the
// PROXY protocol, reads then. So it is for the connection's own goroutine, without a
// lock.
func (s *Server) admitFrom(c *ServerConn) error {
	if s.cfg.intake.maxConnsPerIP <= 0 {
		return nil
	}
	from := originOf(c.nc)
	if !from.IsValid() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.admission.admitFromLocked(&s.cfg.intake, c, from)
}

// originOf gives the address from which a connection comes, of IPv6 without the
// interface identifier, which a host chooses for itself.
//
// https://www.rfc-editor.org/rfc/rfc4291#section-2.5.1
func originOf(nc net.Conn) (from netip.Prefix) {
	a, ok := nc.RemoteAddr().(interface{ AddrPort() netip.AddrPort })
	if !ok {
		return from
	}
	ip := a.AddrPort().Addr().Unmap()
	from, _ = ip.Prefix(min(ip.BitLen(), 64))
	return from
}

package weir

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// MaxConnections bounds the connections that the listeners of the Server have
// given and that have not ended, those in their handshakes among them. One that
// comes beyond is closed at once, before its handshakes: a client that is told
// so goes elsewhere, where one that is left in the listener's backlog would wait
// for its own timeout. Zero, which is the default, and less mean no bound, as in
// grpc-go.
func MaxConnections(n int) ServerOption {
	return serverOption(func(c *serverConfig) { c.intake.maxConns = n })
}

// MaxConnectionsPerIP is MaxConnections for those that come from one address of
// IPv4 or IPv6. Clients behind the same proxy, load balancer or NAT share one.
// Connections of other kinds, such as unix sockets, do not count. Zero, which is
// the default, and less mean no bound.
func MaxConnectionsPerIP(n int) ServerOption {
	return serverOption(func(c *serverConfig) { c.intake.maxConnsPerIP = n })
}

// ErrTooManyConnections is what ServerConn.Err wraps for a connection that
// MaxConnections or MaxConnectionsPerIP kept out.
var ErrTooManyConnections = errors.New("too many connections")

// admission counts connections that were accepted. Guarded by Server.mu.
type admission struct {
	conns int
	perIP map[netip.Addr]int // nil without MaxConnectionsPerIP
}

// admitLocked counts a connection, or tells why it may not come in.
func (a *admission) admitLocked(cfg *intakeConfig) error {
	if most := cfg.maxConns; most > 0 && a.conns >= most {
		return fmt.Errorf("weir: %w: the server has %d (option MaxConnections)", ErrTooManyConnections, most)
	}
	a.conns++
	return nil
}

// admitFromLocked is admitLocked for those of an address.
func (a *admission) admitFromLocked(cfg *intakeConfig, ip netip.Addr) error {
	if most := cfg.maxConnsPerIP; a.perIP[ip] >= most {
		return fmt.Errorf("weir: %w: the server has %d from %v (option MaxConnectionsPerIP)", ErrTooManyConnections, most, ip)
	}
	if a.perIP == nil {
		a.perIP = make(map[netip.Addr]int)
	}
	a.perIP[ip]++
	return nil
}

// leaveLocked is the end of a connection that was admitted, from an address if
// that is valid.
func (a *admission) leaveLocked(ip netip.Addr) {
	a.conns--
	if !ip.IsValid() {
		return
	}
	if a.perIP[ip]--; a.perIP[ip] <= 0 {
		delete(a.perIP, ip)
	}
}

// admitFrom counts the address of a connection, or tells why it may not come in.
func (s *Server) admitFrom(nc net.Conn) error {
	ip := s.counted(nc)
	if !ip.IsValid() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.admission.admitFromLocked(&s.cfg.intake, ip)
}

// counted gives the address that a connection counts for; it is invalid if that
// is none. It may wait: a listener that finds the address in what the client
// sends, as for the PROXY protocol, reads then. So it is for the connection's
// own goroutine, without a lock.
func (s *Server) counted(nc net.Conn) (ip netip.Addr) {
	if nc != nil && s.cfg.intake.maxConnsPerIP > 0 {
		ip, _ = ipOf(nc)
	}
	return ip
}

// ipOf gives the address from which a connection comes.
func ipOf(nc net.Conn) (netip.Addr, bool) {
	if a, ok := nc.RemoteAddr().(interface{ AddrPort() netip.AddrPort }); ok {
		ip := a.AddrPort().Addr()
		return ip.Unmap(), ip.IsValid()
	}
	return netip.Addr{}, false
}

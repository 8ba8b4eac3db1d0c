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
func (a *admission) admitLocked(cfg *intakeConfig, nc net.Conn) error {
	if most := cfg.maxConns; most > 0 && a.conns >= most {
		return fmt.Errorf("weir: %w: the server has %d (option MaxConnections)", ErrTooManyConnections, most)
	}
	if most := cfg.maxConnsPerIP; most > 0 {
		if ip, ok := ipOf(nc); ok {
			if a.perIP[ip] >= most {
				return fmt.Errorf("weir: %w: the server has %d from %v (option MaxConnectionsPerIP)", ErrTooManyConnections, most, ip)
			}
			if a.perIP == nil {
				a.perIP = make(map[netip.Addr]int)
			}
			a.perIP[ip]++
		}
	}
	a.conns++
	return nil
}

// leaveLocked is the end of a connection that was admitted.
func (a *admission) leaveLocked(nc net.Conn) {
	a.conns--
	if a.perIP == nil {
		return
	}
	if ip, ok := ipOf(nc); ok {
		if a.perIP[ip]--; a.perIP[ip] <= 0 {
			delete(a.perIP, ip)
		}
	}
}

// ipOf gives the address from which a connection comes.
func ipOf(nc net.Conn) (netip.Addr, bool) {
	if a, ok := nc.RemoteAddr().(interface{ AddrPort() netip.AddrPort }); ok {
		ip := a.AddrPort().Addr()
		return ip.Unmap(), ip.IsValid()
	}
	return netip.Addr{}, false
}

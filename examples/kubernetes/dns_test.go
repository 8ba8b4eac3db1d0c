//go:build linux

package kubernetes

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// nameServer tells the addresses of the pods that are ready, as the DNS of a
// cluster does for a headless Service.
type nameServer struct {
	conn net.PacketConn
	gone chan struct{} // closed when it has ended

	mu    sync.Mutex
	pods  []netip.Addr // guarded by mu
	asked chan int     // how many lookups there were; guarded by mu
	n     int          // that number; guarded by mu
}

func serveNames(t *testing.T) *nameServer {
	t.Helper()
	conn, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &nameServer{conn: conn, gone: make(chan struct{}), asked: make(chan int, 1)}
	go s.serve()
	t.Cleanup(func() {
		_ = conn.Close()
		<-s.gone
	})
	return s
}

func (s *nameServer) serve() {
	defer close(s.gone)
	for packet := make([]byte, 512); ; {
		n, from, err := s.conn.ReadFrom(packet)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(packet[:n]) != nil || len(m.Questions) != 1 {
			continue
		}
		m.Response, m.Authoritative, m.Additionals = true, true, nil
		if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
			for _, pod := range s.ready() {
				m.Answers = append(m.Answers, dnsmessage.Resource{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: 5},
					Body:   &dnsmessage.AResource{A: pod.As4()},
				})
			}
		}
		answer, err := m.Pack()
		if err != nil {
			return
		}
		if _, err := s.conn.WriteTo(answer, from); err != nil {
			return
		}
	}
}

// ready gives the pods, and counts.
func (s *nameServer) ready() []netip.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	select {
	case <-s.asked:
	default:
	}
	s.asked <- s.n
	return slices.Clone(s.pods)
}

func (s *nameServer) set(pods ...netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pods = pods
}

// await waits until somebody has asked twice from now on: the first may have been
// answered before.
func (s *nameServer) await(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	until := s.n + 2
	s.mu.Unlock()
	late := time.NewTimer(20 * time.Second)
	defer late.Stop()
	for {
		select {
		case n := <-s.asked:
			if n >= until {
				return
			}
		case <-late.C:
			t.Fatal("nobody has asked for the pods for 20 s")
		}
	}
}

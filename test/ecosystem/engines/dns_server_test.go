//go:build linux

package engines

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// nameServer is a DNS server for all names, whose answers change.
type nameServer struct {
	t       *testing.T
	address string

	// Guarded by mu.
	mu    sync.Mutex
	zone  map[string][]dns.RR // by names with their last dot
	code  int                 // if not success, the answer to all
	mute  bool                // there is none
	asked map[string]int      // of questions, by "NAME TYPE"

	overTCP int // of questions
}

// startDNS starts a DNS server, over UDP and TCP, that ends with the test.
func startDNS(t *testing.T) *nameServer {
	t.Helper()
	n := &nameServer{t: t, address: net.JoinHostPort(hosts(1)[0], port), zone: make(map[string][]dns.RR), asked: make(map[string]int)}
	for _, network := range []string{"udp", "tcp"} {
		ready, ended := make(chan struct{}), make(chan error, 1)
		s := &dns.Server{Addr: n.address, Net: network, Handler: n, NotifyStartedFunc: func() { close(ready) }}
		go func() { ended <- s.ListenAndServe() }()
		select {
		case <-ready:
		case err := <-ended:
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Shutdown(); err != nil {
				t.Errorf("the end of DNS over %s: %v", network, err)
			}
			if err := <-ended; err != nil {
				t.Errorf("DNS over %s: %v", network, err)
			}
		})
	}
	return n
}

// ServeDNS is dns.Handler's.
func (n *nameServer) ServeDNS(w dns.ResponseWriter, ask *dns.Msg) {
	n.mu.Lock()
	answer := new(dns.Msg).SetReply(ask)
	q := ask.Question[0]
	n.asked[q.Name+" "+dns.TypeToString[q.Qtype]]++
	all, known := n.zone[q.Name]
	switch {
	case n.code != dns.RcodeSuccess:
		answer.Rcode = n.code
	case !known:
		answer.Rcode = dns.RcodeNameError
	}
	for _, r := range all {
		if r.Header().Rrtype == q.Qtype && answer.Rcode == dns.RcodeSuccess {
			answer.Answer = append(answer.Answer, r)
		}
	}
	if _, udp := w.RemoteAddr().(*net.UDPAddr); udp {
		size := dns.MinMsgSize
		if o := ask.IsEdns0(); o != nil {
			size = int(o.UDPSize())
		}
		answer.Truncate(size) // who asked comes back over TCP
	} else {
		n.overTCP++
	}
	mute := n.mute
	n.mu.Unlock()
	if !mute {
		_ = w.WriteMsg(answer) // who asked may be gone
	}
}

// set gives a name these addresses, instead of those that it had, and texts.
func (n *nameServer) set(name string, addresses []string, texts ...string) {
	n.t.Helper()
	name = dns.Fqdn(name)
	header := func(kind uint16) dns.RR_Header {
		return dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET}
	}
	rrs := []dns.RR{}
	for _, a := range addresses {
		ip := netip.MustParseAddr(a)
		if ip.Is4() {
			rrs = append(rrs, &dns.A{Hdr: header(dns.TypeA), A: ip.AsSlice()})
		} else {
			rrs = append(rrs, &dns.AAAA{Hdr: header(dns.TypeAAAA), AAAA: ip.AsSlice()})
		}
	}
	for _, text := range texts {
		var parts []string // of what fits
		for part := range slices.Chunk([]byte(text), 255) {
			parts = append(parts, string(part))
		}
		rrs = append(rrs, &dns.TXT{Hdr: header(dns.TypeTXT), Txt: parts})
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.zone[name] = rrs
}

// fail makes all answers this code, or, if mute, none; dns.RcodeSuccess is the end of it.
func (n *nameServer) fail(code int, mute bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.code, n.mute = code, mute
}

// questions tells how often a name was asked for.
func (n *nameServer) questions(name, kind string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asked[dns.Fqdn(name)+" "+kind]
}

// target is that of a name for clients.
func (n *nameServer) target(name string) string {
	return "dns://" + n.address + "/" + net.JoinHostPort(dns.Fqdn(name), port)
}

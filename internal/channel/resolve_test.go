package channel

import (
	"net"
	"slices"
	"testing"
	"time"

	"github.com/weir-rpc/weir/internal/simnet"
	"golang.org/x/net/dns/dnsmessage"
	"google.golang.org/grpc/connectivity"
)

// The address families take turns, and nothing is tried twice.
func TestInOrder(t *testing.T) {
	tests := []struct {
		name        string
		names, want []string
	}{
		{"one", []string{"10.0.0.1"}, []string{"10.0.0.1:80"}},
		{"one family keeps its order", []string{"10.0.0.3", "10.0.0.1", "10.0.0.2"}, []string{"10.0.0.3:80", "10.0.0.1:80", "10.0.0.2:80"}},
		{"twice", []string{"10.0.0.1", "10.0.0.1"}, []string{"10.0.0.1:80"}},
		{"the first says who begins", []string{"::1", "::2", "10.0.0.1", "10.0.0.2"}, []string{"[::1]:80", "10.0.0.1:80", "[::2]:80", "10.0.0.2:80"}},
		{"more of one", []string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "::1"}, []string{"10.0.0.1:80", "[::1]:80", "10.0.0.2:80", "10.0.0.3:80"}},
		{"a zone", []string{"fe80::1%eth0"}, []string{"[fe80::1%eth0]:80"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := inOrder(tt.names, "80"); !slices.Equal(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// Rounds ask at most every 30 s while the channel does not get READY.
func TestLookupsAreRare(t *testing.T) {
	inWorld(t, "dns:///svc:80", nil, func(t *testing.T, w *world) {
		w.names(resolvesTo("10.0.0.1"))
		w.ch.Connect()
		simnet.Advance(29 * time.Second) // rounds at 0, 1, 2.6, 5.2, 9.3, 15.8, 26.3 s
		w.wantLookups(1)
		simnet.Advance(20 * time.Second) // and at 43.1 s
		w.wantLookups(2)
	})
}

// After READY the next round asks, whenever that is.
func TestLookupAfterReady(t *testing.T) {
	inWorld(t, "dns:///svc:80", nil, func(t *testing.T, w *world) {
		w.names(resolvesTo("10.0.0.1"), resolvesTo("10.0.0.2"))
		h := w.serve("10.0.0.1:80")
		w.serve("10.0.0.2:80")
		w.mustConnect()
		h.stop()
		w.wantState(connectivity.Idle)
		w.mustConnect()
		w.wantLookups(2)
		w.wantDials("0s 10.0.0.1:80", "0s 10.0.0.2:80")
	})
}

// A name server that is down takes no address away.
func TestFailedLookupKeepsAddresses(t *testing.T) {
	inWorld(t, "dns:///svc:80", nil, func(t *testing.T, w *world) {
		w.names(resolvesTo("10.0.0.1"), func(int) ([]string, error) { return nil, errBroken })
		h := w.serve("10.0.0.1:80")
		w.mustConnect()
		h.stop()
		w.wantState(connectivity.Idle)
		_, err := w.within(time.Minute, false)
		wantWords(t, err, "cannot connect to 10.0.0.1:80", "cannot resolve svc", "broken cable")
		w.serve("10.0.0.1:80")
		w.mustConnect()
	})
}

// A name without addresses is a failure, and asked again after the backoff.
func TestEmptyLookup(t *testing.T) {
	inWorld(t, "dns:///svc:80", nil, func(t *testing.T, w *world) {
		w.names(resolvesTo())
		_, err := w.within(time.Minute, false)
		wantWords(t, err, "svc", "no addresses")
		simnet.Advance(3 * time.Second)
		w.wantLookups(3)
		w.wantDials()
	})
}

// An IP address needs no resolver.
func TestAddressIsNotLookedUp(t *testing.T) {
	inWorld(t, "10.0.0.1:80", nil, func(t *testing.T, w *world) {
		w.serve("10.0.0.1:80")
		w.mustConnect()
		w.wantLookups(0)
	})
}

// dns://server/name asks that server, over real sockets.
func TestNameServerOfTarget(t *testing.T) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		answerNames(pc)
	}()
	defer func() { pc.Close(); <-served }()
	tg, err := ParseTarget("dns://" + pc.LocalAddr().String() + "/svc.example.:80")
	if err != nil {
		t.Fatal(err)
	}
	list, err := newAddresses(&tg, nil, DNS{}).list(t.Context(), time.Minute)
	if err != nil || !slices.Equal(list, []string{"192.0.2.7:80"}) {
		t.Errorf("%q, %v, want the address that the server of the target has", list, err)
	}
}

// answerNames says 192.0.2.7 to every question for an IPv4 address.
func answerNames(pc net.PacketConn) {
	var b [512]byte
	for {
		n, from, err := pc.ReadFrom(b[:])
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(b[:n]) != nil {
			continue
		}
		m.Response, m.Additionals = true, nil
		if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
			m.Answers = []dnsmessage.Resource{{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 1},
				Body:   &dnsmessage.AResource{A: [4]byte{192, 0, 2, 7}},
			}}
		}
		if out, err := m.Pack(); err == nil {
			pc.WriteTo(out, from)
		}
	}
}

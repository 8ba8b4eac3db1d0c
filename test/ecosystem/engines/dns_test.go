//go:build linux

package engines

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/rolling"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
)

// shelf is a name that has servers.
const shelf = "shelf.test"

// at gives the addresses of servers.
func at(hosts ...string) []string {
	list := make([]string, len(hosts))
	for i, h := range hosts {
		list[i] = net.JoinHostPort(h, port)
	}
	return list
}

// Feature: DNS: a name server of the target's, all its records
//
// The name server is asked, for A and AAAA, and the calls go to all the servers.
func TestDNS_AllRecords(t *testing.T) {
	t.Parallel()
	n, h := startDNS(t), hosts(3)
	for _, host := range h {
		local(t, host)
	}
	if lis, err := net.Listen("tcp", "[::1]:0"); err == nil { // this machine has IPv6
		lis.Close()
		local(t, "::1")
		h = append(h, "::1")
	}
	n.set(shelf, h)
	wantSpread(t, dial(t, n.target(shelf), roundRobin), at(h...))
	for _, kind := range []string{"A", "AAAA"} {
		if asked := n.questions(shelf, kind); asked != 1 {
			t.Errorf("%d questions for %s, want 1", asked, kind)
		}
	}
}

// A name has more addresses than fit into a datagram: all of them are used.
func TestDNS_HundredsOfRecords(t *testing.T) {
	t.Parallel()
	const many = 200
	n, all := startDNS(t), []string{}
	for a := netip.MustParseAddr(hosts(1)[0]); len(all) < many; a = a.Next() {
		local(t, a.String())
		all = append(all, a.String())
	}
	n.set(shelf, all)
	wantSpread(t, dial(t, n.target(shelf), roundRobin), at(all...))
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.overTCP == 0 {
		t.Error("nobody has asked over TCP: the answers fit into datagrams")
	}
}

// Of the addresses of a name some have no server: no call fails for that.
func TestDNS_DeadRecords(t *testing.T) {
	t.Parallel()
	for _, b := range balancers {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			n, h := startDNS(t), hosts(4)
			n.set(shelf, h)
			local(t, h[2])
			cc := dial(t, n.target(shelf), b.config)
			for i := range 100 {
				if err := unary(cc)(t.Context()); err != nil {
					t.Fatalf("call %d: %v", i, err)
				}
			}
			if b.config == roundRobin { // pick_first stays where it is
				local(t, h[3])
				wantSpread(t, cc, at(h[2:]...))
			}
		})
	}
}

// The server goes and its name has another address: the next calls go there.
func TestDNS_ServerMoves(t *testing.T) {
	t.Parallel()
	n, h := startDNS(t), hosts(2)
	stop := stoppable(t, h[0])
	local(t, h[1])
	n.set(shelf, h[:1])
	cc := dial(t, n.target(shelf), "")
	wantSpread(t, cc, at(h[0]))
	n.set(shelf, h[1:])
	stop()
	wantSpread(t, cc, at(h[1]))
}

// What the name server says, or that it says nothing, is in the error of a call;
// when it says better, the calls go on by themselves.
func TestDNS_Failures(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		code int
		mute bool
		want string
	}{
		{"NXDOMAIN", dns.RcodeNameError, false, "no such host"},
		{"SERVFAIL", dns.RcodeServerFailure, false, "server misbehaving"},
		{"REFUSED", dns.RcodeRefused, false, "server misbehaving"},
		{"no answer", dns.RcodeSuccess, true, "deadline"},
	} {
		for _, config := range []string{"", roundRobin} {
			t.Run(tt.name+config, func(t *testing.T) {
				t.Parallel()
				n, h := startDNS(t), hosts(1)
				local(t, h[0])
				n.set(shelf, h)
				n.fail(tt.code, tt.mute)
				cc := dial(t, n.target(shelf), config)
				limit, want := most, codes.Unavailable
				if tt.mute {
					limit, want = time.Second, codes.DeadlineExceeded
				}
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				c := testgrpc.NewTestServiceClient(cc)
				_, err := c.UnaryCall(ctx, &testgrpc.SimpleRequest{})
				if status.Code(err) != want || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("a call: %v, want %v with %q", err, want, tt.want)
				}
				n.fail(dns.RcodeSuccess, false)
				wantSpread(t, cc, at(h...), grpc.WaitForReady(true))
			})
		}
	}
}

// often is a WithDNS that looks the name up much more often than one should.
var often = weir.DNS{Interval: 100 * time.Millisecond, MinInterval: 50 * time.Millisecond}

// Feature: DNS re-resolution
//
// Servers come and go in DNS while all of them serve: calls follow. While the name
// server fails they go on to the servers that it named last.
func TestDNS_Interval(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, config         string
		first, second, third []int // servers
	}{
		{"round_robin", roundRobin, []int{0, 1, 2}, []int{1, 2, 3}, []int{3}},
		{"pick_first", "", []int{0}, []int{1}, []int{3}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n, all := startDNS(t), hosts(4)
			for _, host := range all {
				local(t, host)
			}
			these := func(servers []int) (list []string) {
				for _, i := range servers {
					list = append(list, all[i])
				}
				return list
			}
			n.set(shelf, these(tt.first))
			cc := dial(t, n.target(shelf), tt.config, weir.WithDNS(often))
			run := rolling.Load{Rate: rate, Timeout: longest, Call: unary(cc)}.Start()
			wantSpread(t, cc, at(these(tt.first)...))
			n.set(shelf, these(tt.second))
			wantSpread(t, cc, at(these(tt.second)...))
			for _, fail := range []int{dns.RcodeServerFailure, dns.RcodeNameError} {
				n.fail(fail, false)
				asked := n.questions(shelf, "A")
				for n.questions(shelf, "A") < asked+2 {
					if err := pause(t.Context(), time.Millisecond); err != nil {
						t.Fatal(err)
					}
				}
			}
			wantSpread(t, cc, at(these(tt.second)...))
			n.set(shelf, these(tt.third))
			n.fail(dns.RcodeSuccess, false)
			wantSpread(t, cc, at(these(tt.third)...))
			if r := run.Stop(); len(r.Failed) > 0 {
				t.Errorf("while the records changed: %v", r)
			}
		})
	}
}

// textConfig is the record for a service config, of more than one string of 255
// octets.
func textConfig(config string) string {
	return `grpc_config=[{"clientLanguage": ["go"], "serviceConfig": ` + strings.Repeat(" ", 300) + config + `}]`
}

// Feature: service config from DNS TXT records
//
// A TXT record says which balancer it is to be, and says later that it is another.
func TestDNS_ServiceConfigInTXT(t *testing.T) {
	t.Parallel()
	n, h := startDNS(t), hosts(3)
	for _, host := range h {
		local(t, host)
	}
	n.set(shelf, h)
	const record = "_grpc_config." + shelf
	n.set(record, nil, "other=1", textConfig(roundRobin))
	options := often
	options.TXTServiceConfig = true
	cc := dial(t, n.target(shelf), "", weir.WithDNS(options))
	wantSpread(t, cc, at(h...))
	n.set(record, nil, textConfig(`{"loadBalancingConfig": [{"pick_first": {}}]}`))
	wantOne(t, cc)
	n.set(record, nil, textConfig(roundRobin))
	wantSpread(t, cc, at(h...))

	// Who is not to ask for a record does not.
	const other = "other.test"
	n.set(other, h)
	n.set("_grpc_config."+other, nil, textConfig(roundRobin))
	wantOne(t, dial(t, n.target(other), "", weir.WithDNS(often)))
	wantOne(t, dial(t, n.target(other), "", weir.WithDNS(options), weir.WithDisableServiceConfig()))
	if asked := n.questions("_grpc_config."+other, "TXT"); asked != 0 {
		t.Errorf("%d questions for a record that does not count", asked)
	}
}

// wantOne waits until calls go to one server.
func wantOne(t *testing.T, cc *weir.Client) {
	t.Helper()
	c := testgrpc.NewTestServiceClient(cc)
	ctx, cancel := context.WithTimeout(t.Context(), most)
	defer cancel()
	last, same := "", 0
	for same < 20 {
		answer, err := c.UnaryCall(ctx, &testgrpc.SimpleRequest{})
		if err != nil {
			t.Fatalf("a call: %v", err)
		}
		if same++; answer.ServerId != last {
			last, same = answer.ServerId, 0
		}
	}
}

package weir_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/simnet"
	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// policies are those with which each resolver is tried.
var policies = []string{"pick_first", "round_robin"}

// sending is a service whose streams give back each message.
type sending struct{ echo }

func (sending) FullDuplexCall(st testpb.TestService_FullDuplexCallServer) error {
	for {
		if _, err := st.Recv(); err != nil {
			return nil //nolint:nilerr // the client ends it
		}
		if err := st.Send(&testpb.StreamingOutputCallResponse{}); err != nil {
			return err
		}
	}
}

// fleet is servers at port 80 of 10.0.0.1, 10.0.0.2 and so on, for who dials by it.
type fleet struct {
	servers   []*weir.Server
	listeners []net.Listener
}

func newFleet(t *testing.T, n int) *fleet {
	t.Helper()
	f := new(fleet)
	for range n {
		srv, lis := weir.NewServer(), listen(t)
		testpb.RegisterTestServiceServer(srv, sending{})
		background(t, srv, lis)
		f.servers = append(f.servers, srv)
		f.listeners = append(f.listeners, lis)
	}
	return f
}

func (f *fleet) host(i int) string { return fmt.Sprintf("10.0.0.%d", i+1) }

func (f *fleet) at(i int) string { return net.JoinHostPort(f.host(i), "80") }

func (f *fleet) hosts(which ...int) (list []string) {
	for _, i := range which {
		list = append(list, f.host(i))
	}
	return list
}

// peer is how a call sees that it went to a server.
func (f *fleet) peer(i int) string { return f.listeners[i].Addr().String() }

func (f *fleet) dial(ctx context.Context, address string) (net.Conn, error) {
	var d net.Dialer
	for i := range f.listeners {
		if f.at(i) == address {
			return d.DialContext(ctx, "tcp", f.peer(i))
		}
	}
	return nil, fmt.Errorf("nobody is at %s", address)
}

// wantOnly makes calls until they go to each of the servers, and then wants them
// to go nowhere else.
func (f *fleet) wantOnly(t *testing.T, c testpb.TestServiceClient, which ...int) {
	t.Helper()
	var want []string
	for _, i := range which {
		want = append(want, f.peer(i))
		whom(t, c, f.peer(i))
	}
	for range 10 {
		var at peer.Peer
		if _, err := c.EmptyCall(t.Context(), &testpb.Empty{}, grpc.Peer(&at), grpc.WaitForReady(true)); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(want, at.Addr.String()) {
			t.Errorf("a call goes to %v, want %v", at.Addr, want)
		}
	}
}

// first gives the server of the first call: with pick_first not the first of two if
// that takes long to connect.
func (f *fleet) first(t *testing.T, c testpb.TestServiceClient) int {
	t.Helper()
	var at peer.Peer
	if _, err := c.EmptyCall(t.Context(), &testpb.Empty{}, grpc.Peer(&at), grpc.WaitForReady(true)); err != nil {
		t.Fatal(err)
	}
	return slices.IndexFunc(f.listeners, func(lis net.Listener) bool { return lis.Addr().String() == at.Addr.String() })
}

// wantConns waits until a server has so many connections.
func (f *fleet) wantConns(t *testing.T, i, n int) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); len(f.servers[i].Conns()) != n; {
		if time.Now().After(end) {
			t.Fatalf("server %d has %d connections, want %d", i, len(f.servers[i].Conns()), n)
		}
		tick := time.NewTimer(time.Millisecond)
		<-tick.C
	}
}

// registry is a resolver of the user's: who asks it gets the list of the time.
type registry struct {
	scheme string

	mu    sync.Mutex
	cc    resolver.ClientConn
	list  []string
	asked int
}

func (r *registry) Scheme() string { return r.scheme }

func (r *registry) Build(_ resolver.Target, cc resolver.ClientConn, _ resolver.BuildOptions) (resolver.Resolver, error) {
	r.mu.Lock()
	r.cc = cc
	r.mu.Unlock()
	r.tell()
	return r, nil
}

func (r *registry) Close() {}

func (r *registry) ResolveNow(resolver.ResolveNowOptions) {
	r.mu.Lock()
	r.asked++
	r.mu.Unlock()
	r.tell()
}

func (r *registry) tell() {
	r.mu.Lock()
	cc, s := r.cc, stateOf(r.list)
	r.mu.Unlock()
	if cc != nil {
		_ = cc.UpdateState(s)
	}
}

func (r *registry) put(hosts []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = hosts
}

// stateOf is what resolvers say of hosts.
func stateOf(hosts []string) resolver.State {
	var s resolver.State
	for _, h := range hosts {
		s.Endpoints = append(s.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{{Addr: net.JoinHostPort(h, "80")}}})
	}
	return s
}

// directory is a resolver whose answers the test changes.
type directory struct {
	target string
	opts   []weir.DialOption
	put    func(hosts []string) // from now on, for who asks
	tell   func()               // that there is something new; nil if it cannot
	asked  func() int           // how often it was asked
}

// registered is the registry that resolver.Register knows.
var registered = func() *registry {
	r := &registry{scheme: "weir-test-registered"}
	resolver.Register(r)
	return r
}()

func (r *registry) directory(opts ...weir.DialOption) directory {
	return directory{
		target: r.scheme + ":///svc", opts: opts, put: r.put, tell: r.tell,
		asked: func() int {
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.asked
		},
	}
}

// directories are the resolvers whose answers change.
var directories = map[string]func() directory{
	"custom":     func() directory { r := &registry{scheme: "mine"}; return r.directory(weir.WithResolvers(r)) },
	"registered": func() directory { return registered.directory() },
	"dns": func() directory {
		z := new(zone)
		return directory{
			target: "dns:///svc.test:80", put: func(hosts []string) { z.set("", hosts...) }, asked: z.lookups,
			opts: []weir.DialOption{weir.WithDNS(weir.DNS{MinInterval: time.Millisecond, Resolver: z})},
		}
	},
	"dns by the clock": func() directory {
		z := new(zone)
		return directory{
			target: "svc.test:80", put: func(hosts []string) { z.set("", hosts...) }, tell: func() {}, asked: z.lookups,
			opts: []weir.DialOption{weir.WithDNS(weir.DNS{Interval: 2 * time.Millisecond, MinInterval: time.Millisecond, Resolver: z})},
		}
	},
	"manual": func() directory {
		r := manual.NewBuilderWithScheme("played")
		var mu sync.Mutex
		var list []string
		n := 0
		latest := func() resolver.State { mu.Lock(); defer mu.Unlock(); return stateOf(list) }
		r.BuildCallback = func(_ resolver.Target, cc resolver.ClientConn, _ resolver.BuildOptions) { _ = cc.UpdateState(latest()) }
		r.ResolveNowCallback = func(resolver.ResolveNowOptions) {
			mu.Lock()
			n++
			mu.Unlock()
			go r.UpdateState(latest()) // it holds its lock while it calls
		}
		return directory{
			target: "played:///svc", opts: []weir.DialOption{weir.WithResolvers(r)},
			put:  func(hosts []string) { mu.Lock(); defer mu.Unlock(); list = hosts },
			tell: func() { r.UpdateState(latest()) }, asked: func() int { mu.Lock(); defer mu.Unlock(); return n },
		}
	},
}

// withDirectories runs f for each of them with each policy.
func withDirectories(t *testing.T, f func(t *testing.T, fl *fleet, d directory, policy string, c *weir.Client)) {
	for name, open := range directories {
		for _, policy := range policies {
			t.Run(name+" "+policy, func(t *testing.T) {
				fl, d := newFleet(t, 3), open()
				d.put(fl.hosts(0, 1))
				opts := append([]weir.DialOption{weir.WithContextDialer(fl.dial), weir.WithDefaultServiceConfig(policyOf(policy))}, d.opts...)
				c := newWeirClient(t, d.target, opts...)
				f(t, fl, d, policy, c)
				c.Close()
			})
		}
	}
}

// Feature: Resolvers
//
// The servers go: the resolver is asked, and the calls go to those that it knows
// then.
func TestResolvers_ServersGo(t *testing.T) {
	withDirectories(t, func(t *testing.T, fl *fleet, d directory, policy string, c *weir.Client) {
		if policy == "pick_first" {
			fl.wantOnly(t, stubOf(c), fl.first(t, stubOf(c)))
		} else {
			fl.wantOnly(t, stubOf(c), 0, 1)
		}
		asked := d.asked()
		d.put(fl.hosts(2))
		fl.servers[0].Stop()
		fl.servers[1].Stop()
		for { // what was sent to a server that stops may fail
			if _, err := stubOf(c).EmptyCall(t.Context(), &testpb.Empty{}, grpc.WaitForReady(true)); err == nil {
				break
			}
		}
		fl.wantOnly(t, stubOf(c), 2)
		if d.asked() == asked {
			t.Error("nobody has asked the resolver")
		}
	})
}

// Feature: Resolvers
//
// The list changes while nothing has failed: calls under way finish where they are,
// the others go to the new servers, and nothing is left of the old connections.
func TestResolvers_ListChanges(t *testing.T) {
	withDirectories(t, func(t *testing.T, fl *fleet, d directory, policy string, c *weir.Client) {
		if d.tell == nil {
			return // it says nothing unless it is asked
		}
		home := fl.first(t, stubOf(c))
		var streams []testpb.TestService_FullDuplexCallClient
		for range 2 {
			st, err := stubOf(c).FullDuplexCall(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			streams = append(streams, st)
		}
		turn := func() {
			t.Helper()
			for _, st := range streams {
				if err := st.Send(&testpb.StreamingOutputCallRequest{}); err != nil {
					t.Fatal(err)
				}
				if _, err := st.Recv(); err != nil {
					t.Fatal(err)
				}
			}
		}
		turn()
		d.put(fl.hosts(2))
		d.tell()
		fl.wantOnly(t, stubOf(c), 2)
		turn()
		fl.wantConns(t, home, 1)
		for _, st := range streams {
			_ = st.CloseSend()
			if _, err := st.Recv(); err != io.EOF {
				t.Errorf("a call under way ends with %v", err)
			}
		}
		fl.wantConns(t, 0, 0)
		fl.wantConns(t, 1, 0)
		fl.wantConns(t, 2, 1)

		d.put(fl.hosts(2, 1)) // an address more: round_robin uses it, pick_first stays
		d.tell()
		if policy == "round_robin" {
			fl.wantOnly(t, stubOf(c), 1, 2)
		} else {
			fl.wantOnly(t, stubOf(c), 2)
			fl.wantConns(t, 1, 0)
		}
	})
}

// Feature: Resolvers
//
// A target that is an address: its server goes and comes back.
func TestResolvers_OneAddress(t *testing.T) {
	lis6, err := net.Listen("tcp", "[::1]:0")
	v6 := err == nil
	if v6 {
		lis6.Close()
	}
	for _, tt := range []struct {
		name, network, address string
		target                 func(at string) string
	}{
		{"passthrough", "tcp", "127.0.0.1:0", func(at string) string { return "passthrough:///" + at }},
		{"passthrough of a socket", "unix", "", func(at string) string { return "passthrough:///unix://" + at }},
		{"dns of an IP address", "tcp", "127.0.0.1:0", func(at string) string { return "dns:///" + at }},
		{"an IPv6 address", "tcp", "[::1]:0", func(at string) string { return at }},
		{"dns of an IPv6 address", "tcp", "[::1]:0", func(at string) string { return "dns:" + at }},
		{"unix", "unix", "", func(at string) string { return "unix:" + at }},
		{"unix with slashes", "unix", "", func(at string) string { return "unix://" + at }},
		{"unix-abstract", "unix", abstract("resolvers"), func(at string) string { return "unix-abstract:" + at[1:] }},
	} {
		if tt.address == "[::1]:0" && !v6 {
			continue
		}
		if tt.name == "unix-abstract" && !abstractSockets {
			continue
		}
		for _, policy := range policies {
			t.Run(tt.name+" "+policy, func(t *testing.T) {
				at := tt.address
				if at == "" {
					at = simnet.SocketPath(t)
				}
				lis, stop := serveAt(t, tt.network, at)
				at = lis.Addr().String()
				c := newWeirClient(t, tt.target(at), weir.WithDefaultServiceConfig(policyOf(policy)))
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				for range 2 {
					if _, err := stubOf(c).EmptyCall(ctx, &testpb.Empty{}, grpc.WaitForReady(true)); err != nil {
						t.Fatal(err)
					}
					stop(false)
					_, stop = serveAt(t, tt.network, at)
				}
				c.Close()
			})
		}
	}
}

// abstractSockets says whether this system has sockets without a file.
const abstractSockets = runtime.GOOS == "linux"

// abstract is the address of such a socket, of this process: all that run on a
// machine share the names.
func abstract(name string) string { return fmt.Sprintf("@weir-test-%s-%d", name, os.Getpid()) }

// Feature: Resolvers
//
// grpc-go's own resolvers of the four schemes take the place of weir's if they are
// asked to.
func TestResolvers_OfGRPCGo(t *testing.T) {
	tcp, _ := serveAt(t, "tcp", "127.0.0.1:0")
	path := simnet.SocketPath(t)
	serveAt(t, "unix", path)
	targets := map[string]string{
		"dns": "dns:///" + tcp.Addr().String(), "passthrough": "passthrough:///" + tcp.Addr().String(), "unix": "unix:" + path,
	}
	if abstractSockets {
		serveAt(t, "unix", abstract("of-grpc-go"))
		targets["unix-abstract"] = "unix-abstract:" + abstract("of-grpc-go")[1:]
	}
	for scheme, target := range targets {
		for _, policy := range policies {
			t.Run(scheme+" "+policy, func(t *testing.T) {
				c := newWeirClient(t, target, weir.WithResolvers(resolver.Get(scheme)), weir.WithDefaultServiceConfig(policyOf(policy)))
				if _, err := stubOf(c).EmptyCall(t.Context(), &testpb.Empty{}); err != nil {
					t.Error(err)
				}
				c.Close()
			})
		}
	}
}

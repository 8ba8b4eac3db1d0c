package channel

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/internal/simnet"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/resolver"
)

// eachPolicy runs f with a resolver that a test plays and each of the policies.
func eachPolicy(t *testing.T, n func() *naming, f func(t *testing.T, w *world, n *naming)) {
	for _, name := range []string{"pick_first", "round_robin"} {
		t.Run(name, func(t *testing.T) {
			n := n()
			withNaming(t, n, spreading(name), func(t *testing.T, w *world) { f(t, w, n) })
		})
	}
}

// Feature: Resolvers
//
// An error of a resolver that has given addresses costs no connection, and is told
// when there is no other way.
func TestHosted_ErrorAfterList(t *testing.T) {
	eachPolicy(t, func() *naming { return &naming{first: says("a", "b")} }, func(t *testing.T, w *world, n *naming) {
		a, b := w.serve("a"), w.serve("b")
		w.mustConnect()
		before := w.spread(20)
		n.conn().ReportError(errBroken)
		if after := w.spread(20); !maps.Equal(before, after) {
			t.Errorf("calls go to %v, and to %v after the error", before, after)
		}
		w.wantMoves("IDLE>CONNECTING", "CONNECTING>READY")
		a.stop()
		w.wantSpread(10, map[string]int{"b": 10})
		b.stop()
		synctest.Wait()
		_, err := w.within(time.Minute, false)
		wantStatus(t, err, codes.Unavailable, "test://someone/svc")
		if err := n.conn().UpdateState(flat("c")); err != nil {
			t.Error(err)
		}
		w.serve("c")
		simnet.Advance(3 * time.Second)
		w.wantSpread(10, map[string]int{"c": 10})
	})
}

// Feature: Resolvers
//
// A list without addresses is told to the resolver as an error, ends the
// connections, and fails calls until there is another.
func TestHosted_EmptyList(t *testing.T) {
	eachPolicy(t, func() *naming { return &naming{first: says("a")} }, func(t *testing.T, w *world, n *naming) {
		w.serve("a")
		w.serve("b")
		tr := w.mustConnect()
		if err := n.conn().UpdateState(flat()); err == nil {
			t.Error("the resolver is not told")
		}
		<-tr.Done()
		_, err := w.within(time.Minute, false)
		wantStatus(t, err, codes.Unavailable, "no ") // addresses, or children in a balancer's words
		if err := n.conn().UpdateState(flat("b")); err != nil {
			t.Error(err)
		}
		w.wantSpread(10, map[string]int{"b": 10})
	})
}

// A list that is replaced by an empty one before it was tried is no reason to hurry:
// the channel waits for its backoff, and for addresses.
func TestHosted_EmptyBeforeItWasTried(t *testing.T) {
	n := &naming{first: says("a")}
	withNaming(t, n, nil, func(t *testing.T, w *world) {
		w.serve("a")
		w.serve("c")
		w.mustConnect()
		var asked atomic.Int32
		n.mu.Lock()
		n.again = func(cc resolver.ClientConn) {
			if asked.Add(1) > 100 {
				_ = cc.UpdateState(flat("c")) // so that it ends
			} else {
				_ = cc.UpdateState(flat())
			}
		}
		n.mu.Unlock()
		if err := n.conn().UpdateState(flat("b")); err != nil {
			t.Error(err)
		}
		simnet.Advance(10 * time.Second)
		w.wantState(connectivity.TransientFailure)
		if n := asked.Load(); n > 10 {
			t.Errorf("the resolver was asked %d times in 10 s", n)
		}
		n.mu.Lock()
		n.again = nil
		n.mu.Unlock()
		if err := n.conn().UpdateState(flat("c")); err != nil {
			t.Error(err)
		}
		w.mustConnect()
	})
}

// late is a resolver that talks when it should not.
type late struct{ *naming }

func (l late) Build(t resolver.Target, cc resolver.ClientConn, o resolver.BuildOptions) (resolver.Resolver, error) {
	_, err := l.naming.Build(t, cc, o)
	return l, err
}

func (l late) Close() {
	l.naming.Close()
	l.mu.Lock()
	cc := l.cc
	l.mu.Unlock()
	talk(cc)
}

// talk says all that there is to say.
func talk(cc resolver.ClientConn) {
	s := flat("b")
	s.ServiceConfig = cc.ParseServiceConfig("round_robin")
	_ = cc.UpdateState(s)
	cc.ReportError(errBroken)
	cc.NewAddress(s.Addresses) //nolint:staticcheck // resolvers have it
}

// What a resolver says while it is closed, or after it, counts for nothing and
// harms nobody, whether the channel rests or is closed, and however late.
func TestHosted_TalksAfterClose(t *testing.T) {
	eachPolicy(t, func() *naming { return new(naming) }, func(t *testing.T, w *world, n *naming) {
		for _, end := range []string{"rest", "close"} {
			l := late{&naming{scheme: "test", first: says("a")}}
			inWorldAgain(w, l, func(cfg *Config) { cfg.Transport.IdleTimeout = time.Minute }, func(w *world) {
				w.serve("a")
				w.serve("b")
				w.mustConnect()
				if end == "rest" {
					simnet.Advance(5 * time.Minute)
					w.wantState(connectivity.Idle)
					if moves := w.moves[len(w.moves)-1]; moves != "READY>IDLE" {
						t.Errorf("%s: the channel moved %q at last", end, moves)
					}
					talk(l.conn())
					w.wantState(connectivity.Idle)
					w.mustConnect()
					w.wantSpread(4, map[string]int{"a": 4})
				}
				w.ch.Close()
				talk(l.conn())
				w.wantState(connectivity.Shutdown)
				l.mu.Lock()
				defer l.mu.Unlock()
				if l.builds != l.closed {
					t.Errorf("%s: %d resolvers were built and %d closed", end, l.builds, l.closed)
				}
			})
		}
	})
}

// inWorldAgain gives a channel to another resolver in the bubble of w.
func inWorldAgain(w *world, b resolver.Builder, adapt func(cfg *Config), f func(w *world)) {
	w.t.Helper()
	tg, err := FindTarget("test://someone/svc", []resolver.Builder{b})
	if err != nil {
		w.t.Fatal(err)
	}
	next := &world{t: w.t, start: time.Now()}
	cfg := w.cfg
	cfg.Target, cfg.Dial, cfg.Observer = tg, next.dial, next.observe
	adapt(&cfg)
	next.ch = New(cfg)
	defer next.ch.Close()
	f(next)
}

// heldConfig is a service config that is read for as long as a test wants, and what
// came of it.
type heldConfig struct {
	reads   chan struct{} // nil holds up nothing
	applied bool
	ended   bool // after it was applied
}

func (h *heldConfig) adapt(_ *world, cfg *Config) {
	cfg.ServiceConfig = func(string) (ServiceConfig, error) {
		if h.reads != nil {
			<-h.reads
		}
		return ServiceConfig{Apply: func(resolver.State) { h.applied, h.ended = true, false }}, nil
	}
	cfg.ResolverEnds = func() { h.ended = true }
}

// What a resolver says while the channel is closed is in use no more when Close
// returns, however long it took.
func TestHosted_SpeaksWhileClosing(t *testing.T) {
	n, held := &naming{first: says("a")}, new(heldConfig)
	withNaming(t, n, held.adapt, func(t *testing.T, w *world) {
		w.serve("a")
		w.mustConnect()
		held.reads = make(chan struct{})
		held.applied = false
		cc, said := n.conn(), make(chan struct{})
		go func() {
			defer close(said)
			_ = cc.UpdateState(flat("a"))
		}()
		synctest.Wait()
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			w.ch.Close()
			if held.applied && !held.ended {
				t.Error("Close returns while the state of the resolver is in use")
			}
			held.applied = false
		}()
		synctest.Wait()
		close(held.reads)
		<-said
		<-closed
		synctest.Wait()
		if held.applied {
			t.Error("a state of the resolver is put to use after Close")
		}
		n.wantCounts(t, 1, 0, 1)
	})
}

// The end of a resolver ends nothing that is of the next one, which may have spoken
// by then.
func TestHosted_EndsAfterTheNextHasSpoken(t *testing.T) {
	n, held := &naming{first: says("a")}, new(heldConfig)
	withNaming(t, n, held.adapt, func(t *testing.T, w *world) {
		w.serve("a")
		w.mustConnect()
		synctest.Wait() // who connected looks at the addresses once more
		h := w.ch.first.hosted
		end := h.detach()
		if _, err := h.open(); err != nil {
			t.Fatal(err)
		}
		end()
		if held.ended {
			t.Error("the state of the next resolver is out of use")
		}
		n.wantCounts(t, 2, 0, 1)
		w.ch.Close()
		if !held.ended {
			t.Error("the state of the resolver is in use after Close")
		}
	})
}

// A resolver is asked nothing while it is closed, or after it: its Close waits for
// ResolveNow.
func TestHosted_IsAskedWhileClosing(t *testing.T) {
	n := &naming{first: says("a")}
	withNaming(t, n, nil, func(t *testing.T, w *world) {
		h := w.serve("a")
		w.mustConnect()
		answer := make(chan struct{})
		n.mu.Lock()
		n.again = func(resolver.ClientConn) { <-answer }
		n.mu.Unlock()
		h.each(drain)
		n.wantCounts(t, 1, 1, 0)
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			w.ch.Close()
		}()
		n.wantCounts(t, 1, 1, 0)
		close(answer)
		<-closed
		n.wantCounts(t, 1, 1, 1)
	})
}

// Lists that come while one balancer takes over from another are for the one that
// is to be, and the other serves until that is ready.
func TestBalancerSwitch_ListChanges(t *testing.T) {
	n := &naming{first: says("a")}
	withNaming(t, n, spreading("pick_first"), func(t *testing.T, w *world) {
		w.serve("a")
		w.mustConnect()
		say := func(name string, list ...string) {
			t.Helper()
			s := flat(list...)
			s.ServiceConfig = n.conn().ParseServiceConfig(name)
			if err := n.conn().UpdateState(s); err != nil {
				t.Error(err)
			}
		}
		w.accept("slow", func(h *host, nc net.Conn) {
			<-time.After(2 * time.Second)
			h.serve(nc)
		})
		w.accept("slower", func(h *host, nc net.Conn) {
			<-time.After(10 * time.Second)
			h.serve(nc)
		})
		say("round_robin", "slower")
		w.wantSpread(5, map[string]int{"a": 5})
		simnet.Advance(time.Second)
		say("round_robin", "slow", "slower") // the list is another one before it is ready
		w.wantSpread(5, map[string]int{"a": 5})
		simnet.Advance(2500 * ms)
		w.wantSpread(5, map[string]int{"slow": 5})
		say("pick_first", "slower", "a") // and back, and changed on the way
		say("pick_first", "a", "slower")
		simnet.Advance(time.Second)
		w.wantSpread(5, map[string]int{"a": 5})
		w.wantMoves("IDLE>CONNECTING", "CONNECTING>READY")
		simnet.Advance(20 * time.Second)
		if left := len(w.ch.InspectConnections()); left != 1 {
			t.Errorf("%d connections are left, want 1", left)
		}
	})
}

// Feature: Addresses are raced (RFC 8305)
//
// A network that swallows IPv6, or IPv4, costs 250 ms, however many addresses of
// that family come first; for lists of DNS and of other resolvers.
func TestHappyEyeballs(t *testing.T) {
	v6 := []string{"2001:db8::1", "2001:db8::2", "2001:db8::3"}
	v4 := []string{"192.0.2.1", "192.0.2.2"}
	for _, tt := range []struct {
		name        string
		list, black []string
		want        string
	}{
		{"IPv6 is black", append(append([]string(nil), v6...), v4...), v6, "192.0.2.1:80"},
		{"IPv4 is black", append(append([]string(nil), v4...), v6...), v4, "[2001:db8::1]:80"},
	} {
		for _, kind := range []string{"dns", "dns by the clock", "another resolver"} {
			t.Run(tt.name+" "+kind, func(t *testing.T) {
				var addrs []string
				for _, ip := range tt.list {
					addrs = append(addrs, net.JoinHostPort(ip, "80"))
				}
				n := &naming{first: says(addrs...)}
				run := func(t *testing.T, w *world) {
					w.names(resolvesTo(tt.list...))
					for _, ip := range tt.black {
						w.accept(net.JoinHostPort(ip, "80"), silent)
					}
					w.serve(tt.want)
					elapsed(t, 250*ms, func() { w.mustConnect() })
					w.wantDials(fmt.Sprintf("0s %s", net.JoinHostPort(tt.black[0], "80")), "250ms "+tt.want)
				}
				switch kind {
				case "dns":
					inWorld(t, "dns:///svc:80", nil, run)
				case "dns by the clock":
					inWorld(t, "dns:///svc:80", every(time.Minute, 0), run)
				default:
					withNaming(t, n, nil, run)
				}
			})
		}
	}
}

// Names that change, fail and have another service config all the time, calls and
// idleness do not get in each other's way; nothing is left behind.
func TestDNS_Storm(t *testing.T) {
	for range 10 {
		x := new(txtWorld)
		x.txts = []func() ([]string, error){func() ([]string, error) {
			return [][]string{nil, {`grpc_config=[{"serviceConfig": {"use": "round_robin"}}]`}, {`grpc_config=[{"serviceConfig": {}}]`}, {"grpc_config=["}}[rand.IntN(4)], nil
		}}
		inWorld(t, "dns:///svc:1", func(w *world, cfg *Config) {
			spreading("pick_first")(w, cfg)
			x.world = w
			cfg.Resolver = x
			cfg.DNS = DNS{Interval: 20 * ms, Jitter: 1, MinInterval: ms, TXT: true}
			cfg.Transport.IdleTimeout = 200 * ms
			cfg.ServiceConfig = func(js string) (ServiceConfig, error) {
				if js == "" || js == "{}" {
					return ServiceConfig{}, nil
				}
				return ServiceConfig{Policy: policy("round_robin")}, nil
			}
		}, func(t *testing.T, w *world) {
			lists := [][]string{{"10.0.0.1"}, {"10.0.0.2", "10.0.0.1"}, {"10.0.0.9"}, {"10.0.0.2", "10.0.0.9"}, nil}
			w.names(func(int) ([]string, error) { return lists[rand.IntN(len(lists))], nil })
			w.serve("10.0.0.1:1")
			w.serve("10.0.0.2:1")
			var work sync.WaitGroup
			for range 4 {
				work.Go(func() {
					for range 50 {
						if tr, err := w.within(rand.N(300*ms), rand.IntN(2) == 0); err == nil && rand.IntN(4) == 0 {
							tr.GracefulClose()
						}
						<-time.After(rand.N(150 * ms))
					}
				})
			}
			work.Wait()
			x.mu.Lock()
			x.txts = []func() ([]string, error){noRecord}
			x.mu.Unlock()
			w.names(resolvesTo("10.0.0.2"))
			simnet.Advance(time.Second)
			w.ch.ResetConnectBackoff()
			w.mustConnect()
			simnet.Advance(100 * ms)
			w.wantSpread(3, map[string]int{"10.0.0.2:1": 3})
			w.ch.Close()
			if left := len(w.ch.InspectConnections()); left != 0 {
				t.Errorf("%d connections are left", left)
			}
		})
	}
}

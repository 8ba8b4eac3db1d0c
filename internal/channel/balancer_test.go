package channel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/internal/balance"
	"github.com/weir-rpc/weir/internal/simnet"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/balancer/base"
	_ "google.golang.org/grpc/balancer/pickfirst"
	_ "google.golang.org/grpc/balancer/roundrobin"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/status"
)

// balancers are internal/balance, as the root package has it.
type balancers struct{ *balance.Host }

func (b balancers) Update(p Policy, s resolver.State) error {
	policy, _ := p.(*balance.Policy)
	return b.Host.Update(policy, s)
}

// spreading gives channels a policy, and service configs that name one.
func spreading(name string) func(w *world, cfg *Config) {
	return func(_ *world, cfg *Config) {
		cfg.Balancing = Balancing{Policy: policy(name), New: func(s Site) Balancer {
			return balancers{balance.New(balance.Config{
				Target: s.Target.String(), Options: balancer.BuildOptions{Target: s.Target},
				Connect: s.Connect, Pace: s.Pace, Publish: s.Publish, ResolveNow: s.ResolveNow,
			})}
		}}
		cfg.ServiceConfig = func(js string) (ServiceConfig, error) {
			if js == "" {
				js = name
			}
			return ServiceConfig{Policy: policy(js)}, nil
		}
	}
}

func policy(name string) Policy {
	p, err := balance.Choose(json.RawMessage(fmt.Sprintf(`[{"unheard_of": {}}, {%q: {}}]`, name)), "")
	if err != nil {
		panic(err)
	}
	if p == nil {
		return nil
	}
	return p
}

// spread makes n picks and counts where they go.
func (w *world) spread(n int) map[string]int {
	w.t.Helper()
	synctest.Wait()
	got := make(map[string]int)
	for range n {
		tr, err := w.within(time.Minute, true)
		if err != nil {
			w.t.Fatal(err)
		}
		got[tr.Peer().Addr.String()]++
	}
	return got
}

func (w *world) wantSpread(n int, want map[string]int) {
	w.t.Helper()
	if got := w.spread(n); !maps.Equal(got, want) {
		w.t.Errorf("calls go to %v, want %v", got, want)
	}
}

// Feature: round robin over the addresses of a name.
func TestRoundRobin(t *testing.T) {
	n := &naming{first: says("a", "b", "c")}
	withNaming(t, n, spreading("round_robin"), func(t *testing.T, w *world) {
		a, b, c := w.serve("a"), w.serve("b"), w.serve("c")
		w.mustConnect()
		w.wantSpread(30, map[string]int{"a": 10, "b": 10, "c": 10})
		w.wantMoves("IDLE>CONNECTING", "CONNECTING>READY")

		_, asked, _ := n.counts()
		b.stop()
		w.wantSpread(20, map[string]int{"a": 10, "c": 10})
		if _, now, _ := n.counts(); now == asked {
			t.Error("the resolver was not asked when a connection was lost")
		}
		w.wantMoves()

		w.serve("b")
		simnet.Advance(3 * time.Second)
		w.wantSpread(30, map[string]int{"a": 10, "b": 10, "c": 10})

		if err := n.conn().UpdateState(flat("c", "a")); err != nil {
			t.Error(err)
		}
		w.wantSpread(20, map[string]int{"a": 10, "c": 10})
		a.stop()
		c.stop()
		simnet.Advance(time.Second)
		w.wantState(connectivity.TransientFailure)
		_, err := w.within(time.Minute, false)
		wantStatus(t, err, codes.Unavailable, "no connection for test://someone/svc")
	})
}

// A GOAWAY takes a connection out of the round, and another is made; calls on it
// go on.
func TestRoundRobinGoAway(t *testing.T) {
	n := &naming{first: says("a", "b")}
	withNaming(t, n, spreading("round_robin"), func(t *testing.T, w *world) {
		a := w.serve("a")
		w.serve("b")
		w.mustConnect()
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for range 2 {
			tr, err := w.within(time.Minute, true)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tr.NewStream(ctx, &transport.Call{Method: "/s/m"}); err != nil {
				t.Fatal(err)
			}
		}
		w.mu.Lock()
		w.dials = nil
		w.mu.Unlock()
		a.each(func(sv transport.ServerTransport) { sv.Drain("moved") })
		w.wantSpread(20, map[string]int{"a": 10, "b": 10})
		w.wantDials("0s a")
		if s := len(w.ch.InspectConnections()); s != 3 {
			t.Errorf("%d connections, want two and the one that drains", s)
		}
	})
}

// Without a resolver of the user's the addresses come from DNS, again when a
// connection is lost, and no more often than every 30 s.
func TestRoundRobinDNS(t *testing.T) {
	inWorld(t, "dns:///svc:1", spreading("round_robin"), func(t *testing.T, w *world) {
		w.names(resolvesTo("10.0.0.1", "10.0.0.2"), resolvesTo("10.0.0.1", "10.0.0.3"))
		w.serve("10.0.0.1:1")
		two := w.serve("10.0.0.2:1")
		w.serve("10.0.0.3:1")
		w.mustConnect()
		w.wantSpread(20, map[string]int{"10.0.0.1:1": 10, "10.0.0.2:1": 10})
		w.wantLookups(1)
		two.stop()
		w.wantSpread(20, map[string]int{"10.0.0.1:1": 20})
		simnet.Advance(31 * time.Second)
		w.wantSpread(20, map[string]int{"10.0.0.1:1": 10, "10.0.0.3:1": 10})
		w.wantLookups(2)
	})
}

// A channel without calls closes its connections and its resolver, and the next
// call brings them back; an open stream keeps them.
func TestBalancedIdle(t *testing.T) {
	n := &naming{first: says("a", "b")}
	withNaming(t, n, func(w *world, cfg *Config) {
		spreading("round_robin")(w, cfg)
		cfg.Transport.IdleTimeout = time.Minute
	}, func(t *testing.T, w *world) {
		w.serve("a")
		w.serve("b")
		tr := w.mustConnect()
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := tr.NewStream(ctx, &transport.Call{Method: "/s/m"}); err != nil {
			t.Fatal(err)
		}
		simnet.Advance(10 * time.Minute)
		w.wantState(connectivity.Ready)
		cancel()
		simnet.Advance(2*time.Minute + time.Second)
		w.wantState(connectivity.Idle)
		n.wantCounts(t, 1, 0, 1)
		if left := len(w.ch.InspectConnections()); left != 0 {
			t.Errorf("%d connections are left", left)
		}
		w.mustConnect()
		w.wantSpread(20, map[string]int{"a": 10, "b": 10})
		n.wantCounts(t, 2, 0, 1)
	})
}

// Another balancer takes over when it is ready, so that no call waits.
func TestBalancerSwitch(t *testing.T) {
	n := &naming{first: says("a", "b")}
	withNaming(t, n, spreading("pick_first"), func(t *testing.T, w *world) {
		w.serve("a")
		w.serve("b")
		w.mustConnect()
		w.wantSpread(10, map[string]int{"a": 10})
		say := func(name string) {
			t.Helper()
			s := flat("a", "b")
			s.ServiceConfig = n.conn().ParseServiceConfig(name)
			if err := n.conn().UpdateState(s); err != nil {
				t.Error(err)
			}
		}
		say("round_robin")
		w.wantSpread(10, map[string]int{"a": 5, "b": 5})
		say("pick_first")
		if got := w.spread(10); len(got) != 1 {
			t.Errorf("calls go to %v, want one server", got)
		}
		w.wantMoves("IDLE>CONNECTING", "CONNECTING>READY")
		if left := len(w.ch.InspectConnections()); left != 1 {
			t.Errorf("%d connections are left, want 1", left)
		}
	})
}

// custom is a balancer whose picker the test plays.
type custom struct {
	pick  func(ready []balancer.SubConn, info balancer.PickInfo) (balancer.PickResult, error)
	ready []balancer.SubConn
}

func (c *custom) Build(info base.PickerBuildInfo) balancer.Picker {
	if len(info.ReadySCs) == 0 {
		return base.NewErrPicker(balancer.ErrNoSubConnAvailable)
	}
	p := &custom{pick: c.pick}
	for sc := range info.ReadySCs {
		p.ready = append(p.ready, sc)
	}
	return p
}

func (c *custom) Pick(info balancer.PickInfo) (balancer.PickResult, error) {
	return c.pick(c.ready, info)
}

// Feature: balancers and pickers of the user's.
func TestCustomPicker(t *testing.T) {
	var answer func([]balancer.SubConn, balancer.PickInfo) (balancer.PickResult, error)
	balancer.Register(base.NewBalancerBuilder("channel_test_custom", &custom{pick: func(ready []balancer.SubConn, info balancer.PickInfo) (balancer.PickResult, error) {
		return answer(ready, info)
	}}, base.Config{}))
	var dones []balancer.DoneInfo
	type key struct{}
	pick := func(ready []balancer.SubConn, info balancer.PickInfo) (balancer.PickResult, error) {
		if info.FullMethodName != "/s/m" || info.Ctx.Value(key{}) != "x" {
			t.Errorf("picks for %+v", info)
		}
		return balancer.PickResult{
			SubConn:  ready[0],
			Metadata: metadata.Pairs("k", "v"),
			Done:     func(d balancer.DoneInfo) { dones = append(dones, d) },
		}, nil
	}
	says1 := func(err error) func([]balancer.SubConn, balancer.PickInfo) (balancer.PickResult, error) {
		return func([]balancer.SubConn, balancer.PickInfo) (balancer.PickResult, error) {
			return balancer.PickResult{}, err
		}
	}
	for _, tt := range []struct {
		name    string
		answer  func([]balancer.SubConn, balancer.PickInfo) (balancer.PickResult, error)
		waiting codes.Code // what calls give that wait for ready
		code    codes.Code
		word    string
	}{
		{"picks", pick, codes.OK, codes.OK, ""},
		{"status", says1(status.Error(codes.ResourceExhausted, "shed")), codes.ResourceExhausted, codes.ResourceExhausted, "shed"},
		{"status not its own", says1(status.Error(codes.NotFound, "lost")), codes.Internal, codes.Internal, "A54"},
		{"error", says1(errBroken), codes.DeadlineExceeded, codes.Unavailable, "broken cable"},
		{"none", says1(balancer.ErrNoSubConnAvailable), codes.DeadlineExceeded, codes.DeadlineExceeded, "waited for a connection"},
		{"foreign", func([]balancer.SubConn, balancer.PickInfo) (balancer.PickResult, error) {
			return balancer.PickResult{SubConn: struct{ balancer.SubConn }{}}, nil
		}, codes.Internal, codes.Internal, "no SubConn"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			answer, dones = tt.answer, nil
			n := &naming{first: says("a")}
			withNaming(t, n, spreading("channel_test_custom"), func(t *testing.T, w *world) {
				w.serve("a")
				for wait, want := range map[bool]codes.Code{true: tt.waiting, false: tt.code} {
					ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), key{}, "x"), time.Second)
					p := &Pick{Method: "/s/m"}
					tr, err := w.ch.Pick(ctx, wait, p)
					if status.Code(err) != want {
						t.Errorf("wait for ready %v: %v, want %v", wait, err, want)
					}
					if want != codes.DeadlineExceeded && tt.word != "" {
						wantWords(t, err, tt.word)
					}
					if err == nil {
						if tr == nil || p.Metadata.Get("k")[0] != "v" || !p.Watched() {
							t.Errorf("%v, %+v", tr, p)
						}
						p.End(balancer.DoneInfo{Err: errBroken})
						if len(dones) == 0 || !errors.Is(dones[len(dones)-1].Err, errBroken) {
							t.Errorf("the balancer was told %v", dones)
						}
					}
					cancel()
				}
			})
		})
	}
}

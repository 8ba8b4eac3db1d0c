package channel

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/internal/simnet"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/attributes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
)

// naming is a resolver that a test plays, and what it was asked.
type naming struct {
	scheme string
	fail   error                     // of Build
	first  func(resolver.ClientConn) // in Build; may be nil
	again  func(resolver.ClientConn) // in ResolveNow; may be nil

	mu      sync.Mutex
	cc      resolver.ClientConn // of the latest Build
	target  resolver.Target
	options resolver.BuildOptions
	builds  int
	asked   int
	closed  int
}

func (n *naming) Scheme() string { return n.scheme }

func (n *naming) Build(t resolver.Target, cc resolver.ClientConn, o resolver.BuildOptions) (resolver.Resolver, error) {
	n.mu.Lock()
	n.builds++
	n.cc, n.target, n.options = cc, t, o
	fail, first := n.fail, n.first
	n.mu.Unlock()
	if fail != nil {
		return nil, fail
	}
	if first != nil {
		first(cc)
	}
	return n, nil
}

func (n *naming) ResolveNow(resolver.ResolveNowOptions) {
	n.mu.Lock()
	n.asked++
	cc, again := n.cc, n.again
	n.mu.Unlock()
	if again != nil {
		again(cc)
	}
}

func (n *naming) Close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed++
}

// conn gives the ClientConn of the latest Build.
func (n *naming) conn() resolver.ClientConn {
	synctest.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cc
}

func (n *naming) counts() (builds, asked int, cc resolver.ClientConn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.builds, n.asked, n.cc
}

func (n *naming) wantCounts(t *testing.T, builds, asked, closed int) {
	t.Helper()
	synctest.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.builds != builds || n.asked != asked || n.closed != closed {
		t.Errorf("%d builds, %d times ResolveNow, %d closed, want %d, %d and %d", n.builds, n.asked, n.closed, builds, asked, closed)
	}
}

// addresses is a state as old resolvers give it.
func flat(list ...string) resolver.State {
	var s resolver.State
	for _, a := range list {
		s.Addresses = append(s.Addresses, resolver.Address{Addr: a})
	}
	return s
}

// says has a resolver give a list, as soon as it is built.
func says(list ...string) func(resolver.ClientConn) {
	return func(cc resolver.ClientConn) { _ = cc.UpdateState(flat(list...)) }
}

// withNaming is inWorld with a resolver for the scheme test.
func withNaming(t *testing.T, n *naming, adapt func(w *world, cfg *Config), f func(t *testing.T, w *world)) {
	t.Helper()
	n.scheme = "test"
	inWorld(t, "passthrough:///x", func(w *world, cfg *Config) {
		tg, err := FindTarget("test://someone/svc", []resolver.Builder{n})
		if err != nil {
			t.Fatal(err)
		}
		cfg.Target = tg
		cfg.Transport.Authority = tg.Authority
		if adapt != nil {
			adapt(w, cfg)
		}
	}, f)
}

// A resolver is built when somebody calls, gets what grpc-go gives, and is closed
// with the channel.
func TestHosted(t *testing.T) {
	n := &naming{first: says("a", "b")}
	withNaming(t, n, nil, func(t *testing.T, w *world) {
		w.serve("b")
		n.wantCounts(t, 0, 0, 0)
		w.mustConnect()
		w.wantDials("0s a", "0s b")
		n.wantCounts(t, 1, 0, 0)
		if n.target.Endpoint() != "svc" || n.target.URL.Host != "someone" || n.options.Authority != "svc" || n.options.DialCreds == nil {
			t.Errorf("built with %v, %+v", n.target, n.options)
		}
		w.ch.Close()
		n.wantCounts(t, 1, 0, 1)
		if err := n.conn().UpdateState(flat("c")); err == nil {
			t.Error("a resolver that is closed is heard")
		}
		n.conn().ReportError(errBroken)
	})
}

// Calls wait for what the resolver says first, and fail with its error.
func TestHosted_Errors(t *testing.T) {
	tests := []struct {
		name  string
		n     *naming
		after time.Duration
		late  func(resolver.ClientConn)
		words []string
	}{
		{"reported", &naming{first: func(cc resolver.ClientConn) { cc.ReportError(errBroken) }}, 0, nil, []string{"cannot resolve svc", "broken cable"}},
		{"reported later", &naming{}, time.Minute, func(cc resolver.ClientConn) { cc.ReportError(errBroken) }, []string{"broken cable"}},
		{"reported without words", &naming{first: func(cc resolver.ClientConn) { cc.ReportError(nil) }}, 0, nil, []string{"does not say which"}},
		{"no addresses", &naming{first: says()}, 0, nil, []string{"cannot resolve svc", "no addresses"}},
		{"no addresses later", &naming{}, time.Minute, says(), []string{"no addresses"}},
		{"endpoints without addresses", &naming{first: func(cc resolver.ClientConn) {
			_ = cc.UpdateState(resolver.State{Endpoints: []resolver.Endpoint{{}}})
		}}, 0, nil, []string{"no addresses"}},
		{"not built", &naming{fail: errBroken}, 0, nil, []string{`the resolver for the scheme "test"`, "broken cable"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			withNaming(t, tt.n, nil, func(t *testing.T, w *world) {
				if tt.late != nil {
					time.AfterFunc(tt.after, func() {
						_, _, cc := tt.n.counts()
						tt.late(cc)
					})
				}
				elapsed(t, tt.after, func() {
					_, err := w.within(time.Hour, false)
					wantStatus(t, err, codes.Unavailable, tt.words...)
					if tt.name != "not built" && !errors.As(err, new(*ConnectError)) {
						t.Errorf("%v has no ConnectError", err)
					}
				})
				w.wantState(connectivity.TransientFailure)
				builds, asked, _ := tt.n.counts()
				simnet.Advance(2 * time.Second) // the backoff
				if b, a, _ := tt.n.counts(); tt.n.fail == nil && a == asked || tt.n.fail != nil && b == builds {
					t.Errorf("after %d builds and %d times ResolveNow there was nothing more", b, a)
				}
			})
		})
	}
}

// Addresses end the backoff, and only those that were not there before.
func TestHosted_NewAddressesHurry(t *testing.T) {
	n := &naming{first: says("a")}
	withNaming(t, n, nil, func(t *testing.T, w *world) {
		w.serve("b")
		_, err := w.within(time.Minute, false)
		wantStatus(t, err, codes.Unavailable, "cannot connect to a")
		if err := n.conn().UpdateState(flat("a")); err != nil {
			t.Error(err)
		}
		simnet.Advance(time.Second - 1)
		w.wantDials("0s a")
		if err := n.conn().UpdateState(flat("a", "b")); err != nil {
			t.Error(err)
		}
		w.wantState(connectivity.Ready)
		w.wantDials("999.999999ms a", "999.999999ms b")
	})
}

// Addresses that come while others are tried take their place.
func TestHosted_NewAddressesWhileConnecting(t *testing.T) {
	n := &naming{first: says("a")}
	withNaming(t, n, nil, func(t *testing.T, w *world) {
		w.accept("a", silent)
		w.serve("b")
		w.ch.Connect()
		simnet.Advance(3 * time.Second)
		w.wantState(connectivity.Connecting)
		if err := n.conn().UpdateState(flat("b")); err != nil {
			t.Error(err)
		}
		w.wantState(connectivity.Ready)
		w.wantMoves("IDLE>CONNECTING", "CONNECTING>READY")
		w.wantDials("0s a", "3s b")
	})
}

// A connection stays as long as its address is on the list; then its calls finish
// and others go elsewhere.
func TestHosted_ListChanges(t *testing.T) {
	n := &naming{first: says("a", "b")}
	withNaming(t, n, nil, func(t *testing.T, w *world) {
		w.serve("a")
		w.serve("c")
		first := w.mustConnect()
		st, err := first.NewStream(t.Context(), &transport.Call{Method: "/s/m"})
		if err != nil {
			t.Fatal(err)
		}
		for _, list := range [][]string{{"b", "a"}, {"c", "a"}, {"a"}} {
			if err := n.conn().UpdateState(flat(list...)); err != nil {
				t.Error(err)
			}
			if tr, err := w.within(time.Minute, true); tr != first {
				t.Errorf("with %q there is another connection: %v", list, err)
			}
		}
		n.conn().ReportError(errBroken) // does no harm
		if tr, err := w.within(time.Minute, true); tr != first {
			t.Errorf("an error has cost the connection: %v", err)
		}
		w.wantMoves("IDLE>CONNECTING", "CONNECTING>READY")
		w.wantDials("0s a")
		if err := n.conn().UpdateState(flat("c")); err != nil {
			t.Error(err)
		}
		errs := w.wantMoves("READY>IDLE", "IDLE>CONNECTING", "CONNECTING>READY")
		if !strings.Contains(errs[0].Error(), "the resolver has a no more") {
			t.Errorf("the observer was told %v", errs[0])
		}
		if tr := w.mustConnect(); tr == first {
			t.Error("calls still go where they should not")
		}
		if st.Context().Err() != nil || first.Err() != nil {
			t.Errorf("the call under way has ended: %v", first.Err())
		}
		st.Cancel(errBroken)
		<-first.Done()

		if err := n.conn().UpdateState(flat()); err == nil {
			t.Error("an empty list is fine")
		}
		_, err = w.within(time.Minute, false)
		wantStatus(t, err, codes.Unavailable, "no addresses")
	})
}

// ResolveNow comes with the end of a connection and with each failure to make one,
// also where the answer comes from within.
func TestHosted_ResolveNow(t *testing.T) {
	n := &naming{first: says("a")}
	withNaming(t, n, nil, func(t *testing.T, w *world) {
		h := w.serve("a")
		w.mustConnect()
		n.wantCounts(t, 1, 0, 0)
		n.again = says("b")
		w.serve("b")
		h.each(func(sv transport.ServerTransport) { sv.Drain("moving") })
		w.wantState(connectivity.Idle)
		w.mustConnect()
		w.wantDials("0s a", "0s b")
	})
}

// An idle Client has no resolver; the next call builds another.
func TestHosted_Idle(t *testing.T) {
	n := &naming{first: says("a")}
	withNaming(t, n, idleAfter(8*time.Second), func(t *testing.T, w *world) {
		w.serve("a")
		w.mustConnect()
		old := n.conn()
		simnet.Advance(8 * time.Second)
		w.wantState(connectivity.Idle)
		n.wantCounts(t, 1, 0, 1)
		if err := old.UpdateState(flat("b")); err == nil {
			t.Error("a resolver that is closed is heard")
		}
		w.mustConnect()
		n.wantCounts(t, 2, 0, 1)
		w.wantDials("0s a", "8s a")
	})
	silence := &naming{}
	withNaming(t, silence, idleAfter(8*time.Second), func(t *testing.T, w *world) {
		_, err := w.within(time.Second, false)
		wantStatus(t, err, codes.DeadlineExceeded, "CONNECTING", `the scheme "test" has said nothing yet`)
		simnet.Advance(8*time.Second - 1)
		w.wantState(connectivity.Connecting)
		simnet.Advance(1)
		w.wantState(connectivity.Idle)
		silence.wantCounts(t, 1, 0, 1)
	})
}

// The service config is in effect before the calls that wait for the resolver.
func TestHosted_ServiceConfig(t *testing.T) {
	var applied []string
	n := &naming{}
	withNaming(t, n, func(_ *world, cfg *Config) {
		cfg.ServiceConfig = func(js string) (ServiceConfig, error) {
			if js == "wrong" {
				return ServiceConfig{}, errBroken
			}
			return ServiceConfig{Apply: func(resolver.State) { applied = append(applied, js) }}, nil
		}
	}, func(t *testing.T, w *world) {
		w.serve("a")
		config := func(js string) resolver.State {
			s := flat("a")
			s.ServiceConfig = n.conn().ParseServiceConfig(js)
			return s
		}
		waiting := make(chan error)
		go func() { waiting <- w.ch.AwaitResolver(context.Background()) }()
		if err := n.conn().UpdateState(config("wrong")); !errors.Is(err, errBroken) {
			t.Errorf("a config that is wrong gives %v", err)
		}
		if err := <-waiting; err != nil {
			t.Error(err)
		}
		_, err := w.within(time.Minute, false)
		wantStatus(t, err, codes.Unavailable, "service config", errBroken.Error())
		w.wantDials()
		if err := n.conn().UpdateState(config("one")); err != nil {
			t.Error(err)
		}
		w.wantState(connectivity.Ready)
		if err := n.conn().UpdateState(config("wrong")); err == nil { // the old one stays
			t.Error("a config that is wrong is fine")
		}
		w.wantState(connectivity.Ready)
		if err := n.conn().UpdateState(flat("a")); err != nil {
			t.Error(err)
		}
		if got := strings.Join(applied, ","); got != "one," {
			t.Errorf("in effect were %q, want one and none", got)
		}
	})
}

func TestAwaitResolver(t *testing.T) {
	n := &naming{}
	withNaming(t, n, nil, func(t *testing.T, w *world) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wantStatus(t, w.ch.AwaitResolver(ctx), codes.DeadlineExceeded, "CONNECTING")
		done := make(chan error)
		go func() { done <- w.ch.AwaitResolver(context.Background()) }()
		synctest.Wait()
		w.ch.Close() // ends the wait: Transport says why
		if err := <-done; err != nil {
			t.Error(err)
		}
		_, err := w.within(time.Second, true)
		wantStatus(t, err, codes.Canceled, "closed")
	})
	inWorld(t, "passthrough:///a", nil, func(t *testing.T, w *world) {
		if err := w.ch.AwaitResolver(t.Context()); err != nil {
			t.Error(err)
		}
		w.wantState(connectivity.Idle)
	})
}

// Both ways to give addresses are understood, in the order in which they are tried.
func TestAddressesOf(t *testing.T) {
	at := func(list ...string) (a []resolver.Address) { return flat(list...).Addresses }
	tests := []struct {
		name  string
		state resolver.State
		want  string
	}{
		{"addresses", resolver.State{Addresses: at("a:1", "b:1", "a:1")}, "a:1 b:1"},
		{"endpoints", resolver.State{Endpoints: []resolver.Endpoint{{Addresses: at("a:1", "b:1")}, {}, {Addresses: at("c:1")}}}, "a:1 b:1 c:1"},
		{"both", resolver.State{Addresses: at("x:1"), Endpoints: []resolver.Endpoint{{Addresses: at("a:1")}}}, "a:1"},
		{"families", resolver.State{Addresses: at("1.1.1.1:1", "2.2.2.2:1", "[::1]:1", "[::2]:1")}, "1.1.1.1:1 [::1]:1 2.2.2.2:1 [::2]:1"},
		{"none", resolver.State{}, ""},
	}
	for _, tt := range tests {
		if got, _ := addressesOf(&tt.state); strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	some := attributes.New("key", "value")
	_, about := addressesOf(&resolver.State{Addresses: []resolver.Address{{Addr: "a", ServerName: "n"}, {Addr: "b"}, {Addr: "c", Attributes: some}}})
	if len(about) != 2 || about["a"].ServerName != "n" || about["c"].Attributes != some {
		t.Errorf("of the addresses %v is known", about)
	}
}

// overriding is a resolver that knows the authority.
type overriding struct{ *naming }

func (overriding) OverrideAuthority(t resolver.Target) string { return "of-" + t.Endpoint() }

func TestFindTarget(t *testing.T) {
	mine, dns := &naming{scheme: "mine"}, &naming{scheme: "dns"}
	registered := manual.NewBuilderWithScheme("channel-test")
	resolver.Register(registered)
	tests := []struct {
		text      string
		builders  []resolver.Builder
		by        resolver.Builder
		authority string
	}{
		{"mine:///svc", []resolver.Builder{mine}, mine, "svc"},
		{"MINE://auth/svc:80", []resolver.Builder{mine}, mine, "svc:80"},
		{"mine:svc", []resolver.Builder{mine}, mine, "svc"},
		{"mine:///a/b?q=1", []resolver.Builder{mine}, mine, "a%2Fb"},
		{"mine:///:80", []resolver.Builder{mine}, mine, "localhost:80"},
		{"mine:///svc", []resolver.Builder{overriding{mine}}, overriding{mine}, "of-svc"},
		{"channel-test:///svc", nil, registered, "svc"},
		{"channel-test:///svc", []resolver.Builder{mine}, registered, "svc"},
		{"svc:80", []resolver.Builder{mine}, nil, "svc:80"},
		{"svc:80", []resolver.Builder{dns}, dns, "svc:80"},
		{"svc", []resolver.Builder{dns}, dns, "svc"},
		{"dns:///svc", []resolver.Builder{dns}, dns, "svc"},
		{"dns:///svc", nil, nil, "svc"},
		{"passthrough:///svc", []resolver.Builder{dns, mine}, nil, "svc"},
		{"127.0.0.1:80", nil, nil, "127.0.0.1:80"},
		{"[::1]:80", []resolver.Builder{mine}, nil, "[::1]:80"},
	}
	for _, tt := range tests {
		got, err := FindTarget(tt.text, tt.builders)
		if err != nil || got.builder != tt.by || got.Authority != tt.authority || got.Hosted() != (tt.by != nil) {
			t.Errorf("%s: %+v, %v, want that of %v for %s", tt.text, got, err, tt.by, tt.authority)
		}
	}
	for text, word := range map[string]string{"nobody:///svc": "WithResolvers", "/svc": "not known", "": "missing"} {
		if got, err := FindTarget(text, nil); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	if _, err := FindTarget("xds:///svc", []resolver.Builder{&naming{scheme: "xds"}}); err == nil {
		t.Error("xds is accepted")
	}
}

// A resolver that is being built while the channel is closed is closed too, and
// none is built later.
func TestHosted_CloseWhileBuilding(t *testing.T) {
	n := &naming{}
	withNaming(t, n, nil, func(t *testing.T, w *world) {
		n.first = func(resolver.ClientConn) {
			go w.ch.Close()
			<-time.After(ms)
		}
		_, err := w.within(time.Minute, true)
		wantStatus(t, err, codes.Canceled)
		simnet.Advance(2 * ms)
		n.wantCounts(t, 1, 0, 1)
		if _, err := w.ch.first.hosted.open(); !errors.Is(err, errOutdated) {
			t.Errorf("a channel that is closed builds: %v", err)
		}
		n.wantCounts(t, 1, 0, 1)
	})
}

package balance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/internal/simnet"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/resolver"
)

// conn is a connection without a server, of which the test says when it drains.
type conn struct {
	transport.ClientTransport // nil: nobody makes calls

	drained chan struct{}
	once    sync.Once
	lost    func()
	replace func(why string) bool // of BeforeDraining
}

func (c *conn) BeforeDraining(replace func(why string) bool) { c.replace = replace }

func (c *conn) Draining() <-chan struct{} { return c.drained }
func (c *conn) Err() error                { return nil }
func (c *conn) Done() <-chan struct{}     { return c.drained }
func (c *conn) Peer() *peer.Peer          { return &peer.Peer{} }
func (c *conn) GracefulClose() {
	c.once.Do(func() {
		close(c.drained)
		go c.lost()
	})
}

// site is what a Host works with, played by a test.
type site struct {
	t *testing.T
	h *Host
	b *scripted // the latest

	mu      sync.Mutex
	start   time.Time
	dials   []string // "1s a"
	down    map[string]bool
	conns   []*conn
	shown   []connectivity.State
	resolve int
}

// scripted is a balancer that notes what it hears.
type scripted struct {
	balancer.Balancer // nil
	name              string
	site              *site
	cc                balancer.ClientConn
	states            []connectivity.State
	closed            bool
}

func (b *scripted) Name() string { return b.name }
func (b *scripted) Build(cc balancer.ClientConn, _ balancer.BuildOptions) balancer.Balancer {
	b.site.b = &scripted{name: b.name, site: b.site, cc: cc}
	return b.site.b
}
func (b *scripted) UpdateClientConnState(balancer.ClientConnState) error { return errEcho }
func (b *scripted) Close()                                               { b.closed = true }

func (b *scripted) show(s connectivity.State) {
	b.cc.UpdateState(balancer.State{ConnectivityState: s, Picker: struct{ balancer.Picker }{}})
}

// dial makes a SubConn whose states are noted.
func (b *scripted) dial(addresses ...string) balancer.SubConn {
	//nolint:staticcheck // there are balancers with several
	sc, err := b.cc.NewSubConn(list(addresses...), balancer.NewSubConnOptions{StateListener: func(s balancer.SubConnState) {
		b.states = append(b.states, s.ConnectivityState)
	}})
	if err != nil {
		b.site.t.Fatal(err)
	}
	return sc
}

var errEcho, errDown = errors.New("echo"), errors.New("down")

func list(addresses ...string) (all []resolver.Address) {
	for _, a := range addresses {
		all = append(all, resolver.Address{Addr: a})
	}
	return all
}

func (s *site) connect(ctx context.Context, a resolver.Address, _ credentials.Bundle, _ time.Duration, lost func()) (transport.ClientTransport, error) {
	s.mu.Lock()
	s.dials = append(s.dials, fmt.Sprint(time.Since(s.start), " ", a.Addr))
	down := s.down[a.Addr]
	s.mu.Unlock()
	if a.Addr == "slow" {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	if down {
		return nil, errDown
	}
	if a.Addr == "wait" {
		<-time.After(time.Second)
	}
	c := &conn{drained: make(chan struct{}), lost: lost}
	s.mu.Lock()
	s.conns = append(s.conns, c)
	s.mu.Unlock()
	return c, nil
}

// inSite runs f in a bubble, with a balancer of the name one.
func inSite(t *testing.T, f func(t *testing.T, s *site)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &site{t: t, start: time.Now(), down: make(map[string]bool)}
		s.h = New(Config{
			Connect:    s.connect,
			Pace:       func(n int) (time.Duration, time.Duration) { return time.Duration(n) * time.Second, time.Minute },
			Publish:    func(st balancer.State, _ error) { s.shown = append(s.shown, st.ConnectivityState) },
			ResolveNow: func() { s.mu.Lock(); s.resolve++; s.mu.Unlock() },
		})
		s.update("one")
		f(t, s)
		s.h.Close()
		s.h.Close()
		if !s.b.closed {
			t.Error("the balancer is not closed")
		}
		if err := s.h.Update(&Policy{builder: &scripted{name: "one", site: s}}, resolver.State{}); !errors.Is(err, errClosed) {
			t.Errorf("a Host that is closed gives %v", err)
		}
		for i, c := range s.conns {
			select {
			case <-c.drained:
			default:
				t.Errorf("connection %d is left", i)
			}
		}
	})
}

func (s *site) update(name string) {
	s.t.Helper()
	if err := s.h.Update(&Policy{builder: &scripted{name: name, site: s}}, resolver.State{Addresses: list("a")}); !errors.Is(err, errEcho) {
		s.t.Errorf("the balancer's error is %v", err)
	}
}

func (s *site) wantStates(want ...connectivity.State) {
	s.t.Helper()
	synctest.Wait()
	if !slices.Equal(s.b.states, want) {
		s.t.Errorf("a SubConn was %v, want %v", s.b.states, want)
	}
	s.b.states = nil
}

func (s *site) wantDials(want ...string) {
	s.t.Helper()
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.dials, want) {
		s.t.Errorf("dialed %q, want %q", s.dials, want)
	}
	s.dials = nil
}

// A balancer that follows another shows nothing while it connects and the other is
// READY; it takes over when it is ready, or when the other is not.
func TestGracefulSwitch(t *testing.T) {
	inSite(t, func(t *testing.T, s *site) {
		one := s.b
		one.show(connectivity.Ready)
		s.update("one")
		if s.b != one {
			t.Error("a balancer is built anew for its next update")
		}
		s.update("two")
		two := s.b
		two.show(connectivity.Connecting)
		one.show(connectivity.Ready)
		synctest.Wait()
		if one.closed {
			t.Error("the first is closed before the second is ready")
		}
		two.show(connectivity.Ready)
		synctest.Wait()
		one.show(connectivity.TransientFailure)
		if !one.closed {
			t.Error("the first is not closed")
		}
		s.update("three")
		s.b.show(connectivity.Connecting)
		two.show(connectivity.TransientFailure)
		if want := []connectivity.State{connectivity.Ready, connectivity.Ready, connectivity.Ready, connectivity.Connecting}; !slices.Equal(s.shown, want) {
			t.Errorf("shown was %v, want %v", s.shown, want)
		}
		s.update("four")
		four := s.b
		s.update("five")
		if !four.closed {
			t.Error("one that never took over is not closed")
		}
	})
}

// A SubConn tries its addresses in their order, backs off, goes IDLE, and connects
// again when it is told to.
func TestSubConn(t *testing.T) {
	inSite(t, func(t *testing.T, s *site) {
		s.down["a"], s.down["b"] = true, true
		sc := s.b.dial("a", "b")
		sc.Connect()
		sc.Connect()
		s.wantStates(connectivity.Connecting, connectivity.TransientFailure)
		s.wantDials("0s a", "0s b")
		if s.resolve != 1 {
			t.Errorf("the resolver was asked %d times", s.resolve)
		}
		sc.Connect() // it waits
		simnet.Advance(time.Second)
		s.wantStates(connectivity.Idle)
		sc.Connect()
		s.wantDials("1s a", "1s b")
		s.wantStates(connectivity.Connecting, connectivity.TransientFailure)
		s.h.ResetBackoff()
		s.wantStates(connectivity.Idle)
		s.down["b"] = false
		sc.Connect()
		s.wantDials("1s a", "1s b")
		s.wantStates(connectivity.Connecting, connectivity.Ready)
		if tr := sc.(*subConn).Transport(); tr != s.conns[0] {
			t.Errorf("the connection is %v", tr)
		}
		s.conns[0].GracefulClose()
		if tr := sc.(*subConn).Transport(); tr != nil {
			t.Error("a connection that drains is given")
		}
		s.wantStates(connectivity.Idle)
	})
}

// New addresses leave a connection alone that leads to one of them.
func TestUpdateAddresses(t *testing.T) {
	inSite(t, func(t *testing.T, s *site) {
		sc := s.b.dial("a")
		set := func(addresses ...string) { s.b.cc.UpdateAddresses(sc, list(addresses...)) } //nolint:staticcheck // balancers have it
		set("b")
		sc.Connect()
		s.wantDials("0s b")
		set("a", "b")
		s.wantDials()
		s.wantStates(connectivity.Connecting, connectivity.Ready)
		set("a", "c")
		s.wantDials("0s a")
		s.wantStates(connectivity.Connecting, connectivity.Ready)
		set("slow")
		s.wantStates(connectivity.Connecting)
		set("d")
		s.wantDials("0s slow", "0s d")
		s.wantStates(connectivity.Ready)
		set("slow")
		s.wantStates(connectivity.Connecting)
		sc.Shutdown()
		sc.Shutdown()
		s.wantStates(connectivity.Shutdown)
	})
}

// Who listens to the health of a server hears that it is well while it is READY,
// once, and the latest listener alone.
func TestRegisterHealthListener(t *testing.T) {
	inSite(t, func(t *testing.T, s *site) {
		sc := s.b.dial("a")
		var heard []string
		register := func(name string) {
			sc.RegisterHealthListener(func(st balancer.SubConnState) {
				heard = append(heard, name+" "+st.ConnectivityState.String())
			})
		}
		register("too early")
		sc.Connect()
		synctest.Wait()
		register("first")
		register("second")
		synctest.Wait()
		register("third")
		sc.RegisterHealthListener(nil)
		synctest.Wait()
		if want := []string{"second READY"}; !slices.Equal(heard, want) {
			t.Errorf("heard %q, want %q", heard, want)
		}
	})
}

// counted is a builder of producers that counts those that live.
type counted struct{ lives, built int }

func (c *counted) Build(any) (balancer.Producer, func()) {
	c.lives++
	c.built++
	return c, func() { c.lives-- }
}

// A producer is shared, and ends with its last user, or with the connection.
func TestGetOrBuildProducer(t *testing.T) {
	inSite(t, func(t *testing.T, s *site) {
		sc := s.b.dial("a")
		sc.Connect()
		synctest.Wait()
		c := new(counted)
		_, one := sc.GetOrBuildProducer(c)
		_, two := sc.GetOrBuildProducer(c)
		one()
		one()
		if c.built != 1 || c.lives != 1 {
			t.Errorf("%+v with one user left, want one", *c)
		}
		two()
		if c.lives != 0 {
			t.Error("it outlives its users")
		}
		_, three := sc.GetOrBuildProducer(c)
		s.conns[0].GracefulClose()
		synctest.Wait()
		if c.built != 2 || c.lives != 0 {
			t.Errorf("%+v after the end of the connection", *c)
		}
		three()
		if c.lives != 0 {
			t.Error("it ended twice")
		}
	})
}

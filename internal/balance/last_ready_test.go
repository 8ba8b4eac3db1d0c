package balance

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/internal/simnet"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/connectivity"
)

// notes are the states of SubConns: "300ms a READY".
type notes struct {
	mu    sync.Mutex
	lines []string // guarded by mu
}

func (n *notes) add(line string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, line)
}

// take gives what was noted since the last time.
func (n *notes) take() []string {
	synctest.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	lines := n.lines
	n.lines = nil
	return lines
}

// want compares what was noted since the last time, in any order.
func (n *notes) want(t *testing.T, want ...string) {
	t.Helper()
	got := n.take()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("noted was\n%q, want\n%q", got, want)
	}
}

// gone has addresses that give no connection, and others that do again.
func (s *site) gone(is bool, addresses ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range addresses {
		s.down[a] = is
	}
}

// forget forgets the dials.
func (s *site) forget() {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dials = nil
}

// wantSomeDials is wantDials in any order.
func (s *site) wantSomeDials(want ...string) {
	s.t.Helper()
	synctest.Wait()
	s.mu.Lock()
	slices.Sort(s.dials)
	s.mu.Unlock()
	s.wantDials(want...)
}

// keen makes a SubConn that connects whenever it is IDLE, as balancers do, and has
// its states noted.
func (b *scripted) keen(address string, n *notes) (sc balancer.SubConn) {
	//nolint:staticcheck // it is grpc's successor that has one address
	sc, err := b.cc.NewSubConn(list(address), balancer.NewSubConnOptions{StateListener: func(s balancer.SubConnState) {
		n.add(fmt.Sprint(time.Since(b.site.start), " ", address, " ", s.ConnectivityState))
		if s.ConnectivityState == connectivity.Idle {
			sc.Connect()
		}
	}})
	if err != nil {
		b.site.t.Fatal(err)
	}
	sc.Connect()
	synctest.Wait()
	return sc
}

// The last connection goes. A server in whose backoff calls would fail is tried at
// once, and nothing is said to have failed before that is over.
func TestLastReady(t *testing.T) {
	for _, tt := range []struct {
		name  string
		goes  func(s *site)
		first string
	}{
		{"it drains", func(s *site) { s.conns[0].GracefulClose() }, "300ms a IDLE"},
		{"it gives notice", func(s *site) {
			if <-s.conns[0].notice() {
				s.t.Error("it is replaced")
			}
		}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inSite(t, func(t *testing.T, s *site) {
				var n notes
				s.gone(true, "wait")
				s.b.keen("a", &n)
				s.b.keen("wait", &n)
				n.want(t, "0s a CONNECTING", "0s a READY", "0s wait CONNECTING", "0s wait TRANSIENT_FAILURE")
				simnet.Advance(300 * time.Millisecond)
				s.gone(true, "a")
				s.gone(false, "wait")
				s.forget()
				tt.goes(s)
				want := []string{"300ms wait IDLE", "300ms wait CONNECTING"}
				dials := []string{"300ms a", "300ms wait"}
				if tt.first != "" {
					want = append(want, tt.first, "300ms a CONNECTING")
				}
				s.wantSomeDials(dials...)
				n.want(t, want...)
				simnet.Advance(999 * time.Millisecond)
				n.want(t)
				simnet.Advance(time.Millisecond)
				want = []string{"1.3s wait READY"}
				if tt.first != "" { // its backoff is over, too
					want = append(want, "1.3s a TRANSIENT_FAILURE", "1.3s a IDLE", "1.3s a CONNECTING", "1.3s a TRANSIENT_FAILURE")
				}
				n.want(t, want...)
			})
		})
	}
}

// One that fails at once does not speak for another, which takes its time.
func TestLastReady_OneIsGone(t *testing.T) {
	inSite(t, func(t *testing.T, s *site) {
		var n notes
		s.gone(true, "b", "wait")
		s.b.keen("a", &n)
		s.b.keen("b", &n)
		s.b.keen("wait", &n)
		simnet.Advance(300 * time.Millisecond)
		n.take()
		s.gone(true, "a")
		s.gone(false, "wait")
		s.conns[0].GracefulClose()
		if got, fails := n.take(), "300ms a TRANSIENT_FAILURE"; slices.Contains(got, fails) || !slices.Contains(got, "300ms b TRANSIENT_FAILURE") {
			t.Errorf("noted was %q, want b's failure and not a's", got)
		}
		simnet.Advance(time.Second)
		if got, ready := n.take(), "1.3s wait READY"; !slices.Contains(got, ready) {
			t.Errorf("noted was %q, want %q", got, ready)
		}
	})
}

// When all of them fail, that is known at once.
func TestLastReady_NobodyServes(t *testing.T) {
	inSite(t, func(t *testing.T, s *site) {
		var n notes
		s.gone(true, "b", "c")
		s.b.keen("a", &n)
		s.b.keen("b", &n)
		s.b.keen("c", &n)
		simnet.Advance(300 * time.Millisecond)
		n.take()
		s.gone(true, "a")
		s.conns[0].GracefulClose()
		got := n.take()
		for _, a := range []string{"a", "b", "c"} {
			if want := "300ms " + a + " TRANSIENT_FAILURE"; !slices.Contains(got, want) {
				t.Errorf("noted was %q, want %q", got, want)
			}
		}
		s.forget()
		simnet.Advance(999 * time.Millisecond)
		s.wantDials()
		simnet.Advance(time.Millisecond)
		s.wantDials("1.3s a") // its first backoff; that of the others is the second
		simnet.Advance(time.Second)
		s.wantSomeDials("2.3s b", "2.3s c")
	})
}

// Who has another connection, or servers that are gone for long, tries nothing
// before its time.
func TestLastReady_NotTheCase(t *testing.T) {
	for _, tt := range []struct {
		name    string
		another string
		after   time.Duration
	}{
		{"there is another", "c", 300 * time.Millisecond},
		{"gone for long", "", time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inSite(t, func(t *testing.T, s *site) {
				var n notes
				s.gone(true, "b")
				s.b.keen("a", &n)
				s.b.keen("b", &n)
				if tt.another != "" {
					s.b.keen(tt.another, &n)
				}
				simnet.Advance(tt.after)
				n.take()
				s.forget()
				s.gone(true, "a")
				s.conns[0].GracefulClose()
				s.wantDials(fmt.Sprint(tt.after, " a"))
				n.want(t, fmt.Sprint(tt.after, " a IDLE"), fmt.Sprint(tt.after, " a CONNECTING"), fmt.Sprint(tt.after, " a TRANSIENT_FAILURE"))
			})
		})
	}
}

// A failure is not held back for ever: not by a balancer that leaves IDLE what is,
// and not if the one that was tried is of no use any more.
func TestLastReady_Ends(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(sc balancer.SubConn)
		held time.Duration
	}{
		{"the balancer does nothing", func(balancer.SubConn) {}, mostHeld},
		{"Shutdown", balancer.SubConn.Shutdown, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inSite(t, func(t *testing.T, s *site) {
				var n notes
				s.gone(true, "b")
				s.b.keen("a", &n)
				other := s.b.dial("b")
				other.Connect()
				simnet.Advance(300 * time.Millisecond)
				n.take()
				s.gone(true, "a")
				s.conns[0].GracefulClose()
				n.want(t, "300ms a IDLE", "300ms a CONNECTING")
				tt.end(other)
				simnet.Advance(tt.held)
				got := n.take()
				if want := fmt.Sprint(300*time.Millisecond+tt.held, " a TRANSIENT_FAILURE"); len(got) == 0 || got[0] != want {
					t.Errorf("noted was %q, want %q first", got, want)
				}
			})
		})
	}
}

package balance

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/internal/simnet"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/connectivity"
)

// inReady runs f with a SubConn that has a connection to a.
func inReady(t *testing.T, f func(t *testing.T, s *site, sc balancer.SubConn)) {
	t.Helper()
	inSite(t, func(t *testing.T, s *site) {
		sc := s.b.dial("a")
		sc.Connect()
		s.wantStates(connectivity.Connecting, connectivity.Ready)
		s.wantDials("0s a")
		f(t, s, sc)
	})
}

// notice has a connection say that it is about to go. What is given tells whether it
// was replaced, as soon as that is known; it drains then or does not, by itself.
func (c *conn) notice() (replaced <-chan bool) {
	ch := make(chan bool, 1)
	go func() { ch <- c.replace("the server sent GOAWAY") }()
	synctest.Wait()
	return ch
}

// A connection is replaced in one step, and its balancer hears of nothing.
func TestReplace(t *testing.T) {
	inReady(t, func(t *testing.T, s *site, sc balancer.SubConn) {
		if !<-s.conns[0].notice() {
			t.Fatal("it is not replaced")
		}
		s.wantDials("0s a")
		if tr := sc.(*subConn).Transport(); tr != s.conns[1] {
			t.Errorf("the connection is %v", tr)
		}
		s.conns[0].GracefulClose()
		s.wantStates()
		if !<-s.conns[1].notice() {
			t.Error("the next is not replaced")
		}
		s.conns[1].GracefulClose()
		s.wantStates()
		if <-s.conns[0].notice() {
			t.Error("one that is not in use is replaced")
		}
		s.wantDials("0s a")
	})
}

// One that cannot be replaced stays until it drains, and the balancer hears why.
func TestReplace_ServerIsGone(t *testing.T) {
	inReady(t, func(t *testing.T, s *site, sc balancer.SubConn) {
		s.down["a"] = true
		if <-s.conns[0].notice() {
			t.Fatal("it is replaced by nothing")
		}
		if tr := sc.(*subConn).Transport(); tr != s.conns[0] {
			t.Errorf("the connection is %v", tr)
		}
		s.conns[0].GracefulClose()
		s.wantStates(connectivity.Idle)
		if err := s.h.err; err == nil || !strings.Contains(err.Error(), "takes no more calls: the server sent GOAWAY") {
			t.Errorf("the reason is %v", err)
		}
	})
}

// Whatever takes the connection out of use ends the attempt to replace it.
func TestReplace_IsGivenUp(t *testing.T) {
	for name, tt := range map[string]struct {
		end  func(s *site, sc balancer.SubConn)
		want []connectivity.State
	}{
		"the connection drains": {func(s *site, _ balancer.SubConn) { s.conns[0].GracefulClose() }, []connectivity.State{connectivity.Idle}},
		"Shutdown":              {func(_ *site, sc balancer.SubConn) { sc.Shutdown() }, []connectivity.State{connectivity.Shutdown}},
		"another address": {func(s *site, sc balancer.SubConn) {
			s.b.cc.UpdateAddresses(sc, list("b")) //nolint:staticcheck // balancers have it
		}, []connectivity.State{connectivity.Connecting, connectivity.Ready}},
		"the Host is closed": {func(s *site, _ balancer.SubConn) { s.h.Close() }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			inSite(t, func(t *testing.T, s *site) {
				sc := s.b.dial("a", "slow")
				sc.Connect()
				s.wantStates(connectivity.Connecting, connectivity.Ready)
				s.down["a"] = true
				answer := s.conns[0].notice()
				if len(answer) > 0 {
					t.Fatal("the attempt is over already")
				}
				tt.end(s, sc)
				synctest.Wait()
				if len(answer) == 0 || <-answer {
					t.Error("the attempt goes on")
				}
				s.wantStates(tt.want...)
			})
		})
	}
}

// A connection to an address that is on the list no more when it comes is of no use.
func TestReplace_AddressIsGone(t *testing.T) {
	inSite(t, func(t *testing.T, s *site) {
		sc := s.b.dial("a", "wait", "b")
		sc.Connect()
		s.wantStates(connectivity.Connecting, connectivity.Ready)
		s.down["a"] = true
		answer := s.conns[0].notice()
		s.b.cc.UpdateAddresses(sc, list("a", "c")) //nolint:staticcheck // balancers have it
		simnet.Advance(time.Second)
		if <-answer {
			t.Error("it is replaced by one to an address that is gone")
		}
		if tr := sc.(*subConn).Transport(); tr != s.conns[0] {
			t.Errorf("the connection is %v", tr)
		}
	})
}

// opener is a connection whose streams are their contexts.
type opener struct {
	transport.ClientTransport
	ctx context.Context
	err error
}

func (o *opener) NewStream(ctx context.Context, call *transport.Call) (transport.ClientStream, error) {
	if call.Watched {
		return nil, context.Canceled
	}
	o.ctx = ctx
	return nil, o.err
}

// Streams without an end of their own end when their connection is replaced, and
// when who opened them wants.
func TestLasting(t *testing.T) {
	for name, tt := range map[string]struct {
		end  func(e *established, cancel context.CancelFunc)
		want error
	}{
		"replaced":  {func(e *established, _ context.CancelFunc) { e.leave(errMoved) }, errMoved},
		"cancelled": {func(_ *established, cancel context.CancelFunc) { cancel() }, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			o := new(opener)
			e := newEstablished(o, list("a")[0])
			l := &lasting{o, e.life}
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			if _, err := l.NewStream(ctx, &transport.Call{Watched: true}); err != nil {
				t.Fatalf("the context of the stream is not watched by it: %v", err)
			}
			if err := o.ctx.Err(); err != nil {
				t.Fatal(err)
			}
			tt.end(e, cancel)
			<-o.ctx.Done()
			if err := context.Cause(o.ctx); err != tt.want {
				t.Errorf("it ended with %v, want %v", err, tt.want)
			}
			o.err = errDown
			if _, err := l.NewStream(context.Background(), &transport.Call{}); err != errDown || o.ctx.Err() == nil {
				t.Errorf("a stream that was not opened: %v, and its context lives", err)
			}
		})
	}
}

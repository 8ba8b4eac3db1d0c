package balance

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/inspect"
	"google.golang.org/grpc/connectivity"
)

// countedConn is a connection that tells of so many calls, and may end.
type countedConn struct {
	conn
	id    int64
	calls uint64
	done  chan struct{}
}

func (c *countedConn) InspectID() int64      { return c.id }
func (c *countedConn) Done() <-chan struct{} { return c.done }
func (c *countedConn) Inspect(bool) inspect.Conn {
	s := inspect.Conn{ID: c.id, LastStream: time.Unix(c.id, 0)}
	s.Calls.Started = c.calls
	return s
}

// both is two connections that serve as one.
type both struct {
	conn
	one, two *countedConn
}

func (b *both) Done() <-chan struct{} { return b.one.done }
func (b *both) Inspect() []inspect.Conn {
	return []inspect.Conn{b.one.Inspect(false), b.two.Inspect(false)}
}

// The sums of a SubConn outlast its connections, of which those are named that
// have not ended.
func TestAccount(t *testing.T) {
	inSite(t, func(t *testing.T, s *site) {
		sc := s.b.dial("a", "b").(*subConn)
		s.down["a"], s.down["b"] = true, true
		sc.Connect()
		synctest.Wait()
		look := func(state connectivity.State, started uint64, connections ...int64) inspect.Subchannel {
			t.Helper()
			name, all := s.h.Inspect()
			if name != "one" || len(all) != 1 {
				t.Fatalf("the balancer %q has %+v", name, all)
			}
			if c := all[0]; c.State != state.String() || c.Calls.Started != started || !slices.Equal(c.Connections, connections) || !slices.Equal(c.Addresses, []string{"a", "b"}) {
				t.Errorf("%+v, want %v, %d calls on %v", c, state, started, connections)
			}
			return all[0]
		}
		if c := look(connectivity.TransientFailure, 0); c.Failures != 1 || !c.Retry.Equal(s.start.Add(time.Second)) || c.Err == "" {
			t.Errorf("a failure is shown as %+v", c)
		}
		add := func(c *countedConn) *countedConn {
			c.done = make(chan struct{})
			sc.mu.Lock()
			defer sc.mu.Unlock()
			sc.add(c)
			return c
		}
		one := add(&countedConn{id: 1, calls: 10})
		two := add(&countedConn{id: 2, calls: 5})
		look(connectivity.TransientFailure, 15, 1, 2)
		close(one.done)
		if c := look(connectivity.TransientFailure, 15, 2); !c.LastCall.Equal(time.Unix(2, 0)) {
			t.Errorf("the latest call was at %v", c.LastCall)
		}
		pair := &both{one: &countedConn{id: 3, calls: 1, done: make(chan struct{})}, two: &countedConn{id: 4, calls: 2}}
		sc.mu.Lock()
		sc.add(pair)
		sc.mu.Unlock()
		look(connectivity.TransientFailure, 18, 2, 3, 4)
		close(two.done)
		close(pair.one.done)
		look(connectivity.TransientFailure, 18)
		sc.Shutdown()
		if name, all := s.h.Inspect(); name != "one" || len(all) != 0 {
			t.Errorf("in the end the balancer %q has %+v", name, all)
		}
	})
}

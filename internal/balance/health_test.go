package balance

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/connectivity"
)

// checked has the health of a service checked, for ever.
func (s *site) checked() {
	service := "svc"
	s.h.mu.Lock()
	s.h.service = &service
	s.h.mu.Unlock()
	s.h.cfg.Health = func(ctx context.Context, _ func() transport.ClientTransport, _ string, tell func(bool, string)) error {
		tell(true, "SERVING")
		<-ctx.Done()
		return ctx.Err()
	}
}

// A balancer gives a SubConn up that has become READY, which is still to be told,
// while the Host is closed: nobody asks after the health of its server.
func TestHealth_ShutdownWhileClosing(t *testing.T) {
	inSite(t, func(t *testing.T, s *site) {
		s.checked()
		//nolint:staticcheck // balancers have it
		sc, err := s.b.cc.NewSubConn(list("a"), balancer.NewSubConnOptions{HealthCheckEnabled: true, StateListener: func(st balancer.SubConnState) {
			s.b.states = append(s.b.states, st.ConnectivityState)
		}})
		if err != nil {
			t.Fatal(err)
		}
		busy := make(chan struct{})
		s.h.queue.put(func() { <-busy })
		sc.Connect()
		synctest.Wait()
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			s.h.Close()
		}()
		synctest.Wait()
		sc.Shutdown()
		close(busy)
		<-closed
		s.wantStates(connectivity.Connecting)
	})
}

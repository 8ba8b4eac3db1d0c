package weir_test

import (
	"cmp"
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/inspect"
	"github.com/weir-rpc/weir/internal/simnet"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
)

// Feature: snapshots of balancers: the state, failures, calls and connections of
// each address.
func TestInspect_Balancer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var net simnet.Network
		var servers []*weir.Server
		served := make(chan error, 2)
		for _, at := range []string{"a:80", "b:80"} {
			lis, err := net.Listen(at)
			if err != nil {
				t.Fatal(err)
			}
			srv := weir.NewServer()
			testpb.RegisterTestServiceServer(srv, mirror{})
			servers = append(servers, srv)
			go func() { served <- srv.Serve(lis) }()
		}
		addresses := []resolver.Address{{Addr: "a:80"}, {Addr: "b:80"}, {Addr: "nobody:80"}}
		r := manual.NewBuilderWithScheme("three")
		r.InitialState(resolver.State{Addresses: addresses})
		registry := inspect.NewRegistry()
		c, err := weir.NewClient("three:///svc", weir.WithResolvers(r), weir.WithTransportCredentials(insecure.NewCredentials()),
			weir.WithContextDialer(net.Dial), weir.WithInspectRegistry(registry), weir.WithIdleTimeout(time.Minute),
			weir.WithDefaultServiceConfig(policyOf("round_robin")))
		if err != nil {
			t.Fatal(err)
		}
		// look gives the subchannels in the order of the addresses.
		look := func(subchannels int) inspect.Client {
			t.Helper()
			synctest.Wait()
			s := registry.Clients(inspect.Connections)[0]
			if len(s.Subchannels) != subchannels || (s.Balancer == "round_robin") != (subchannels > 0) {
				t.Fatalf("there are %d subchannels of the balancer %q, want %d", len(s.Subchannels), s.Balancer, subchannels)
			}
			slices.SortFunc(s.Subchannels, func(a, b inspect.Subchannel) int { return cmp.Compare(a.Addresses[0], b.Addresses[0]) })
			return s
		}
		look(0)

		stub := testpb.NewTestServiceClient(c)
		call := func(n int) {
			t.Helper()
			for range n {
				if _, err := stub.EmptyCall(t.Context(), &testpb.Empty{}, grpc.WaitForReady(true)); err != nil {
					t.Fatal(err)
				}
			}
		}
		c.Connect()
		synctest.Wait()
		call(10)
		s := look(3)
		for i := range 2 {
			sub := &s.Subchannels[i]
			if sub.State != connectivity.Ready.String() || sub.Calls != (inspect.Calls{Started: 5, Succeeded: 5}) || sub.Failures != 0 || !sub.Retry.IsZero() {
				t.Errorf("the subchannel is %+v", sub)
			}
			at := slices.IndexFunc(s.Connections, func(c inspect.Conn) bool { return c.Remote.Text == addresses[i].Addr })
			if at < 0 || !slices.Equal(sub.Addresses, []string{addresses[i].Addr}) || !slices.Equal(sub.Connections, []int64{s.Connections[at].ID}) || sub.LastCall.IsZero() {
				t.Errorf("the subchannel of %v has the connections %v, latest call %v", sub.Addresses, sub.Connections, sub.LastCall)
			}
		}
		nobody := s.Subchannels[2]
		if nobody.State != "TRANSIENT_FAILURE" || nobody.Failures != 1 || time.Until(nobody.Retry) <= 0 || len(nobody.Connections) != 0 || !strings.Contains(nobody.Err, "nobody:80") {
			t.Errorf("the subchannel without a server is %+v", nobody)
		}
		simnet.Advance(time.Until(nobody.Retry))
		if s = look(3); s.Subchannels[2].Failures != 2 || s.Subchannels[2].ID != nobody.ID {
			t.Errorf("and then it is %+v", s.Subchannels[2])
		}

		servers[0].Stop()
		synctest.Wait()
		call(4)
		s = look(3)
		if a := &s.Subchannels[0]; a.State == "READY" || a.Calls.Succeeded != 5 || len(a.Connections) != 0 || a.Err == "" {
			t.Errorf("the subchannel whose server is gone is %+v", a)
		}
		if b := &s.Subchannels[1]; b.Calls.Succeeded != 9 || s.Calls.Succeeded != 14 {
			t.Errorf("the other has %+v, all %+v", b.Calls, s.Calls)
		}

		simnet.Advance(3 * time.Minute)
		if s = look(0); s.State != "IDLE" || s.Calls.Succeeded != 14 || len(s.Connections) != 0 {
			t.Errorf("the idle client is %+v", s)
		}
		call(1)
		if s = look(3); s.Subchannels[0].ID == nobody.ID || s.Subchannels[2].ID == nobody.ID {
			t.Errorf("another balancer has the subchannel %d", s.Subchannels[0].ID)
		}
		_ = c.Close()
		servers[1].Stop()
		<-served
		<-served
	})
}

// A Client's own pick_first has one subchannel, which lasts.
func TestInspect_PickFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := inspected(t)
		before, _ := l.look(t, inspect.Connections)
		if _, err := l.stub.EmptyCall(t.Context(), &testpb.Empty{}); err != nil {
			t.Fatal(err)
		}
		c, _ := l.look(t, inspect.Connections)
		if len(before.Subchannels) != 1 || len(c.Subchannels) != 1 || before.Balancer != "pick_first" || c.Balancer != "pick_first" {
			t.Fatalf("before a call %+v, then %+v", before, c)
		}
		was, sub := &before.Subchannels[0], &c.Subchannels[0]
		if was.ID == 0 || was.ID != sub.ID || was.State != "IDLE" || sub.State != "READY" || sub.Calls != c.Calls {
			t.Errorf("before a call %+v, then %+v", was, sub)
		}
		if !slices.Equal(sub.Addresses, []string{"svc:80"}) || !slices.Equal(sub.Connections, []int64{c.Connections[0].ID}) {
			t.Errorf("it has the connections %v to %q", sub.Connections, sub.Addresses)
		}
		if !was.Retry.IsZero() || !sub.Retry.IsZero() {
			t.Errorf("it is tried again at %v, then at %v", was.Retry, sub.Retry)
		}
		if totals, _ := l.look(t, inspect.Totals); totals.Subchannels != nil {
			t.Error("totals have subchannels")
		}
		l.stop(t)
	})
}

// What pick_first without a server shows: how often it has failed, and when it
// tries again, while it waits for that.
func TestInspect_PickFirstRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const takes = 100 * time.Millisecond // to find that there is nobody
		r := inspect.NewRegistry()
		c := newWeirClient(t, "passthrough:///nobody:80", weir.WithInspectRegistry(r), weir.WithIdleTimeout(time.Hour),
			weir.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 10 * time.Second, Multiplier: 2, MaxDelay: time.Minute}}),
			weir.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
				select {
				case <-time.After(takes):
				case <-ctx.Done():
				}
				return nil, errors.New("nobody")
			}))
		look := func() inspect.Subchannel {
			t.Helper()
			synctest.Wait()
			return r.Clients(inspect.Connections)[0].Subchannels[0]
		}
		start := time.Now()
		c.Connect()
		if s := look(); s.State != "CONNECTING" || !s.Retry.IsZero() {
			t.Errorf("the first attempt: %+v", s)
		}
		simnet.Advance(takes)
		if s := look(); s.State != "TRANSIENT_FAILURE" || s.Failures != 1 || !s.Retry.Equal(start.Add(10*time.Second)) {
			t.Errorf("after it, at %v: %+v", start, s)
		}
		simnet.Advance(10*time.Second - takes)
		if s := look(); s.State != "TRANSIENT_FAILURE" || s.Failures != 1 || !s.Retry.IsZero() {
			t.Errorf("the second attempt: %+v", s)
		}
		simnet.Advance(takes)
		if s := look(); s.Failures != 2 || !s.Retry.Equal(start.Add(30*time.Second)) {
			t.Errorf("after it, at %v: %+v", start, s)
		}
		c.ResetConnectBackoff()
		if s := look(); s.State != "TRANSIENT_FAILURE" || s.Failures != 0 || !s.Retry.IsZero() {
			t.Errorf("the third attempt, at once: %+v", s)
		}
	})
}

package weir_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/inproc"
	"github.com/weir-rpc/weir/inspect"
	"github.com/weir-rpc/weir/internal/allocs"
	"github.com/weir-rpc/weir/internal/simnet"
	"google.golang.org/grpc"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/balancer/base"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// A connection whose socket does not take what calls send gets company, and calls
// that say little do not wait behind those that say much.
func TestMaxConnectionsPerAddress_SocketIsBehind(t *testing.T) {
	for most, behind := range map[int]bool{1: true, 2: false} {
		inCrowd(t, "passthrough:///a:1", 100, most, 10*time.Millisecond, func(t *testing.T, w *crowd) {
			w.c.Close()
			w.net.Link.Rate, w.net.Link.Buffer = 4*simnet.Mbps, 32<<10
			w.c = newWeirClient(t, "passthrough:///a:1", weir.WithContextDialer(w.dial), weir.WithInspectRegistry(nil), weir.WithMaxConnectionsPerAddress(most))
			up, err := stubOf(w.c).FullDuplexCall(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var work sync.WaitGroup
			var over atomic.Bool
			in := &testpb.StreamingOutputCallRequest{Payload: payload(30 << 10).Payload}
			work.Go(func() {
				for !over.Load() && up.Send(in) == nil {
				}
				_ = up.CloseSend()
			})
			work.Go(func() {
				for _, err := up.Recv(); err == nil; _, err = up.Recv() {
				}
			})
			took := func() time.Duration {
				start := time.Now()
				if _, err := stubOf(w.c).EmptyCall(t.Context(), &testpb.Empty{}); err != nil {
					t.Error(err)
				}
				return time.Since(start)
			}
			simnet.Advance(time.Second)
			first := took()
			for end := time.Now().Add(time.Second); time.Now().Before(end); {
				took()
			}
			later := took()
			t.Logf("%d connections: a call took %v at first and %v later", w.open.Load(), first, later)
			if int(w.open.Load()) != most || behind && first < 50*time.Millisecond || (later > 50*time.Millisecond) != behind {
				t.Errorf("%d connections: a call took %v at first and %v later", w.open.Load(), first, later)
			}
			over.Store(true)
			work.Wait()
		})
	}
}

// connEvents counts connections that begin and end, and checks that calls name
// theirs.
type connEvents struct {
	mu    sync.Mutex
	begun map[string]bool
	ended int
	calls map[string]int
	wrong []string
}

func (*connEvents) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

func (e *connEvents) HandleRPC(_ context.Context, s stats.RPCStats) {
	out, ok := s.(*stats.OutHeader)
	if !ok {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if at := out.LocalAddr.String(); e.begun[at] {
		e.calls[at]++
	} else {
		e.wrong = append(e.wrong, at)
	}
}

func (e *connEvents) TagConn(ctx context.Context, info *stats.ConnTagInfo) context.Context {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.begun[info.LocalAddr.String()] = true
	return ctx
}

func (e *connEvents) HandleConn(_ context.Context, s stats.ConnStats) {
	if _, ok := s.(*stats.ConnEnd); ok {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.ended++
	}
}

// Each of several connections is one to those who look: to stats handlers, the log,
// inspect, and grpc.Peer.
func TestMaxConnectionsPerAddress_AreSeen(t *testing.T) {
	e := &connEvents{begun: make(map[string]bool), calls: make(map[string]int)}
	var log bytes.Buffer
	to := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	inCrowd(t, "passthrough:///a:1", 2, 3, 10*time.Millisecond, func(t *testing.T, w *crowd) {
		held := w.hold(5)
		waits := make(chan string, 1)
		held[5-1].end(t)
		var at peer.Peer
		if _, err := stubOf(w.c).EmptyCall(t.Context(), &testpb.Empty{}, grpc.Peer(&at)); err != nil {
			t.Error(err)
		}
		waits <- at.LocalAddr.String()
		all := w.c.InspectConnections()
		if len(all) != 3 {
			t.Fatalf("inspect shows %d connections, want 3", len(all))
		}
		if got := all[2].Inspect(false).Local.Text; got != at.LocalAddr.String() {
			t.Errorf("the call had the peer %v, and the connection with room is %v", at.LocalAddr, got)
		}
		w.hold(2)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		go func() { _, _ = stubOf(w.c).EmptyCall(ctx, &testpb.Empty{}) }()
		synctest.Wait()
		s := w.c.InspectClient(inspect.Connections)
		if s.Calls.Started != 9 || s.Open.Streams != 6 || s.SlotWaiters != 1 {
			t.Errorf("inspect counts %d calls, %d streams and %d that wait, want 9, 6 and 1", s.Calls.Started, s.Open.Streams, s.SlotWaiters)
		}
		w.c.Close()
		e.mu.Lock()
		defer e.mu.Unlock()
		if len(e.begun) != 3 || e.ended != 3 || len(e.calls) != 3 || len(e.wrong) > 0 {
			t.Errorf("%d connections began and %d ended, calls went to %v, and to none of them %v", len(e.begun), e.ended, e.calls, e.wrong)
		}
	}, weir.WithStatsHandler(e), weir.WithLogger(to))
	for _, text := range []string{"connection begins", "connection ended"} {
		if n := strings.Count(log.String(), text); n != 3 {
			t.Errorf("the log has %q %d times, want 3", text, n)
		}
	}
}

// Calls that go before the server's SETTINGS do not make a connection each: what
// the server allows is known soon.
func TestMaxConnectionsPerAddress_EarlyCalls(t *testing.T) {
	inCrowd(t, "passthrough:///a:1", 4, 3, 10*time.Millisecond, func(t *testing.T, w *crowd) {
		w.hold(9)
		w.wantStreams("all are served", 4, 4, 1)
	}, weir.WithEarlyCalls())
}

// Connections are idle one by one, and the Client is when the last is.
func TestMaxConnectionsPerAddress_IdleTimeout(t *testing.T) {
	inCrowd(t, "passthrough:///a:1", 1, 3, 10*time.Millisecond, func(t *testing.T, w *crowd) {
		held := w.hold(3)
		held[0].end(t)
		held[1].end(t)
		simnet.Advance(30 * time.Second)
		w.wantStreams("the others are idle", 1)
		if s := w.c.GetState(); s != connectivity.Ready {
			t.Errorf("the state is %v", s)
		}
		if err := held[2].turn(); err != nil {
			t.Error(err)
		}
		held[2].end(t)
		simnet.Advance(30 * time.Second)
		w.wantStreams("all are idle")
		if s := w.c.GetState(); s != connectivity.Idle {
			t.Errorf("the state is %v", s)
		}
		w.hold(3)
		w.wantStreams("there are calls again", 1, 1, 1)
	}, weir.WithIdleTimeout(10*time.Second))
}

// What a balancer is told of a call that waited for a slot is how the call ended, and
// nothing of an address is a fault of it that its connections are full.
func TestMaxConnectionsPerAddress_DoneInfo(t *testing.T) {
	var picked, dones atomic.Int64
	var faults atomic.Int64
	balancer.Register(base.NewBalancerBuilder("weir_test_several", &picks{func(sc balancer.SubConn, _ balancer.PickInfo) (balancer.PickResult, error) {
		picked.Add(1)
		return balancer.PickResult{SubConn: sc, Done: func(i balancer.DoneInfo) {
			dones.Add(1)
			if i.Err != nil {
				faults.Add(1)
			}
		}}, nil
	}}, base.Config{}))
	inCrowd(t, "passthrough:///a:1", 1, 2, 10*time.Millisecond, func(t *testing.T, w *crowd) {
		held := w.hold(2)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := stubOf(w.c).EmptyCall(ctx, &testpb.Empty{}); status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("a call without a slot: %v", err)
		}
		waits := w.call()
		held[0].end(t)
		if err := <-waits; err != nil {
			t.Error(err)
		}
		held[1].end(t)
		// One before, two streams, one that waited in vain, one that did not.
		if picked.Load() != 5 || dones.Load() != 5 || faults.Load() != 1 {
			t.Errorf("%d picks, %d ends, %d faults, want 5, 5 and 1", picked.Load(), dones.Load(), faults.Load())
		}
	}, weir.WithDefaultServiceConfig(policyOf("weir_test_several")))
}

// refusing are credentials that no call gets.
type refusing struct{}

func (refusing) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return nil, status.Error(codes.Unauthenticated, "no token")
}

func (refusing) RequireTransportSecurity() bool { return false }

// A call that fails before it is made gives its slot back.
func TestMaxConnectionsPerAddress_Unused(t *testing.T) {
	inCrowd(t, "passthrough:///a:1", 1, 2, 10*time.Millisecond, func(t *testing.T, w *crowd) {
		for range 3 {
			if _, err := stubOf(w.c).EmptyCall(t.Context(), &testpb.Empty{}, grpc.PerRPCCredentials(refusing{})); status.Code(err) != codes.Unauthenticated {
				t.Errorf("a call without its credentials: %v", err)
			}
			if _, err := stubOf(w.c).FullDuplexCall(t.Context(), grpc.PerRPCCredentials(refusing{})); status.Code(err) != codes.Unauthenticated {
				t.Errorf("a stream without its credentials: %v", err)
			}
			if err := w.c.Invoke(t.Context(), "/grpc.testing.TestService/EmptyCall", "no message", new(testpb.Empty)); status.Code(err) != codes.Internal {
				t.Errorf("a call that cannot be encoded: %v", err)
			}
		}
		w.hold(2)
		w.wantStreams("all slots are there", 1, 1)
	})
}

// A server of grpc-go over real sockets.
func TestMaxConnectionsPerAddress_OfGRPC(t *testing.T) {
	srv, lis := grpc.NewServer(grpc.MaxConcurrentStreams(10)), listen(t)
	testpb.RegisterTestServiceServer(srv, mirror{})
	background(t, srv, lis)
	c := newWeirClient(t, "passthrough:///"+lis.Addr().String(), weir.WithMaxConnectionsPerAddress(4))
	var work sync.WaitGroup
	var at sync.Map
	turn, let := make(chan struct{}, 40), make(chan struct{})
	for range 40 {
		work.Go(func() {
			s, err := stubOf(c).FullDuplexCall(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			defer s.CloseSend()
			if err = s.Send(&testpb.StreamingOutputCallRequest{Payload: &testpb.Payload{}}); err == nil {
				_, err = s.Recv()
			}
			if err != nil {
				t.Error(err)
			}
			p, _ := peer.FromContext(s.Context())
			at.Store(p.LocalAddr.String(), true)
			turn <- struct{}{}
			<-let
		})
	}
	for range 40 { // all are open at a time
		<-turn
	}
	close(let)
	work.Wait()
	n := 0
	at.Range(func(any, any) bool { n++; return true })
	if n != 4 {
		t.Errorf("40 streams, 10 of which a connection may have, on %d connections", n)
	}
}

// Connections without stream slots of their own are one, as without the option.
func TestMaxConnectionsPerAddress_InProcess(t *testing.T) {
	srv := weir.NewServer()
	testpb.RegisterTestServiceServer(srv, mirror{})
	defer srv.Stop()
	c, err := inproc.NewClient(srv, weir.WithMaxConnectionsPerAddress(4))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := stubOf(c).EmptyCall(t.Context(), &testpb.Empty{}); err != nil {
		t.Error(err)
	}
}

// Calls of all kinds, connections that break, and a server that restarts: nothing
// is stuck, no slot is lost, and there are never too many connections.
func TestMaxConnectionsPerAddress_Storm(t *testing.T) {
	inCrowd(t, "whatever:///", 3, 4, time.Millisecond, func(t *testing.T, w *crowd) {
		var work sync.WaitGroup
		var over atomic.Bool
		var done atomic.Int64
		for i := range 40 {
			work.Go(func() {
				for n := i; !over.Load(); n++ {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+n%7)*time.Millisecond)
					if n%3 == 0 {
						cancel()
						ctx, cancel = context.WithCancel(t.Context())
					}
					var err error
					if n%5 == 0 {
						var s testpb.TestService_FullDuplexCallClient
						if s, err = stubOf(w.c).FullDuplexCall(ctx, grpc.WaitForReady(true)); err == nil {
							_ = s.Send(&testpb.StreamingOutputCallRequest{Payload: &testpb.Payload{}})
							_, err = s.Recv()
						}
					} else {
						_, err = stubOf(w.c).EmptyCall(ctx, &testpb.Empty{}, grpc.WaitForReady(n%2 == 0))
					}
					cancel()
					switch status.Code(err) {
					case codes.OK:
						done.Add(1)
					case codes.DeadlineExceeded, codes.Unavailable:
					default:
						t.Errorf("a call failed: %v", err)
					}
				}
			})
		}
		for i := range 60 {
			simnet.Advance(50 * time.Millisecond)
			all := w.srv[i%2].Conns()
			if len(all) > 0 && i%3 > 0 {
				if c := all[i%len(all)]; i%3 == 1 {
					c.Drain("another one, please")
				} else {
					c.Close("broken")
				}
			}
		}
		over.Store(true)
		work.Wait()
		simnet.Advance(time.Second)
		if done.Load() < 1000 {
			t.Errorf("%d calls succeeded", done.Load())
		}
		for _, c := range w.c.InspectConnections() {
			if one := c.Inspect(false); one.Open.Streams > 0 {
				t.Errorf("a connection has %d streams that nobody has", one.Open.Streams)
			}
		}
		w.hold(20) // no slot is lost
	}, weir.WithResolvers(listing("a:1", "b:1")), weir.WithDefaultServiceConfig(policyOf("round_robin")))
}

// A call over several connections allocates what one over a single connection does.
func TestMaxConnectionsPerAddress_AllocationBudget(t *testing.T) {
	if !allocs.Alone(t) {
		return
	}
	lis, _ := serveAt(t, "tcp", "127.0.0.1:0")
	for _, policy := range []string{"pick_first", "round_robin"} {
		c := stubOf(newWeirClient(t, "passthrough:///"+lis.Addr().String(), weir.WithMaxConnectionsPerAddress(4), weir.WithDefaultServiceConfig(policyOf(policy))))
		empty := new(testpb.Empty)
		allocs.Budget(t, 5, 2000, func() error {
			_, err := c.EmptyCall(t.Context(), empty)
			return err
		})
	}
}

package weir_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/balancer/base"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// balanced gives a resolver with the addresses of listeners, and a service config.
func balanced(all ...net.Listener) *manual.Resolver {
	r := manual.NewBuilderWithScheme("whatever")
	var s resolver.State
	for _, lis := range all {
		s.Addresses = append(s.Addresses, resolver.Address{Addr: lis.Addr().String()})
		s.Endpoints = append(s.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{{Addr: lis.Addr().String()}}})
	}
	r.InitialState(s)
	return r
}

func policyOf(name string) string {
	return fmt.Sprintf(`{"loadBalancingConfig": [{%q: {}}]}`, name)
}

// Feature: calls in turns over several servers (round_robin); one that is gone
// gets none, and gets its share when it is back.
func TestRoundRobin(t *testing.T) {
	a, _ := serveAt(t, "tcp", "127.0.0.1:0")
	b, stop := serveAt(t, "tcp", "127.0.0.1:0")
	d, _ := serveAt(t, "tcp", "127.0.0.1:0")
	r := balanced(a, b, d)
	asked := make(chan struct{}, 100)
	r.ResolveNowCallback = func(resolver.ResolveNowOptions) {
		select {
		case asked <- struct{}{}:
		default:
		}
	}
	c := newWeirClient(t, "whatever:///svc", weir.WithResolvers(r), weir.WithDefaultServiceConfig(policyOf("round_robin")))
	s := testpb.NewTestServiceClient(c)
	for _, lis := range []net.Listener{a, b, d} {
		whom(t, s, lis.Addr().String())
	}
	counts := func(n int) map[string]int {
		t.Helper()
		got := make(map[string]int)
		for i := range n {
			var at peer.Peer
			var err error
			if i%2 == 0 {
				_, err = s.EmptyCall(t.Context(), &testpb.Empty{}, grpc.Peer(&at), grpc.WaitForReady(true))
			} else {
				var st testpb.TestService_FullDuplexCallClient
				if st, err = s.FullDuplexCall(t.Context(), grpc.Peer(&at), grpc.WaitForReady(true)); err == nil {
					_ = st.CloseSend()
					_, _ = st.Recv()
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			got[at.Addr.String()]++
		}
		return got
	}
	if got := counts(30); got[a.Addr().String()] != 10 || got[b.Addr().String()] != 10 || got[d.Addr().String()] != 10 {
		t.Errorf("calls went to %v, want 10 for each of three", got)
	}
	stop(false)
	<-asked
	if got := counts(30); got[b.Addr().String()] != 0 || len(got) != 2 {
		t.Errorf("calls went to %v, and one server of three is gone", got)
	}
	serveAt(t, "tcp", b.Addr().String())
	whom(t, s, b.Addr().String())
}

// picks is a builder of pickers that the test plays.
type picks struct {
	pick func(sc balancer.SubConn, info balancer.PickInfo) (balancer.PickResult, error)
}

func (p *picks) Build(info base.PickerBuildInfo) balancer.Picker {
	for sc := range info.ReadySCs {
		return onePicker{p, sc}
	}
	return base.NewErrPicker(balancer.ErrNoSubConnAvailable)
}

type onePicker struct {
	*picks
	sc balancer.SubConn
}

func (p onePicker) Pick(info balancer.PickInfo) (balancer.PickResult, error) {
	return p.pick(p.sc, info)
}

// lasting has streams that the client ends.
type lasting struct{ echo }

func (lasting) FullDuplexCall(st testpb.TestService_FullDuplexCallServer) error {
	<-st.Context().Done()
	return nil
}

// Feature: balancers of the user's hear how calls end, and add metadata.
func TestCustomBalancer(t *testing.T) {
	lis := serveWith(t, func(srv *weir.Server) { testpb.RegisterTestServiceServer(srv, lasting{}) })
	var mu sync.Mutex
	var picked []string
	dones := make(chan balancer.DoneInfo, 10)
	var refuse error
	balancer.Register(base.NewBalancerBuilder("weir_test_custom", &picks{func(sc balancer.SubConn, info balancer.PickInfo) (balancer.PickResult, error) {
		mu.Lock()
		defer mu.Unlock()
		picked = append(picked, info.FullMethodName)
		return balancer.PickResult{
			SubConn:  sc,
			Metadata: metadata.Pairs("x-echo", "of the balancer"),
			Done:     func(d balancer.DoneInfo) { dones <- d },
		}, refuse
	}}, base.Config{}))
	for name, c := range map[string]anyClient{
		"weir":    newWeirClient(t, "whatever:///svc", weir.WithResolvers(balanced(lis)), weir.WithDefaultServiceConfig(policyOf("weir_test_custom"))),
		"grpc-go": newGRPCClient(t, "whatever:///svc", grpc.WithResolvers(balanced(lis)), grpc.WithDefaultServiceConfig(policyOf("weir_test_custom"))),
	} {
		t.Run(name, func(t *testing.T) {
			s := testpb.NewTestServiceClient(c)
			mu.Lock()
			picked, refuse = nil, nil
			mu.Unlock()
			var header metadata.MD
			if _, err := s.UnaryCall(t.Context(), &testpb.SimpleRequest{}, grpc.Header(&header)); err != nil {
				t.Fatal(err)
			}
			if got := header.Get("x-echo"); len(got) != 1 || got[0] != "of the balancer" {
				t.Errorf("the server saw %q", got)
			}
			if d := <-dones; d.Err != nil || !d.BytesSent || !d.BytesReceived || d.Trailer == nil || d.ServerLoad != nil {
				t.Errorf("the end of a call is %+v", d)
			}
			_, err := s.UnaryCall(t.Context(), &testpb.SimpleRequest{ResponseStatus: &testpb.EchoStatus{Code: int32(codes.Aborted)}})
			if d := <-dones; status.Code(err) != codes.Aborted || status.Code(d.Err) != codes.Aborted {
				t.Errorf("%v is told as %v", err, d.Err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			st, err := s.FullDuplexCall(ctx)
			if err != nil {
				t.Fatal(err)
			}
			select {
			case d := <-dones:
				t.Errorf("a stream that is open ends with %+v", d)
			default:
			}
			cancel()
			_, _ = st.Recv()
			if d := <-dones; status.Code(d.Err) != codes.Canceled {
				t.Errorf("a stream that was cancelled ends with %+v", d)
			}
			mu.Lock()
			if len(picked) != 3 || picked[2] != "/grpc.testing.TestService/FullDuplexCall" {
				t.Errorf("picks for %q", picked)
			}
			refuse = status.Error(codes.ResourceExhausted, "shed")
			mu.Unlock()
			if _, err = s.EmptyCall(t.Context(), &testpb.Empty{}, grpc.WaitForReady(true)); status.Code(err) != codes.ResourceExhausted {
				t.Errorf("%v, want the status of the balancer", err)
			}
		})
	}
}

// watcher is a producer that asks the server once.
type watcher struct{ answers chan error }

func (w watcher) Build(conn any) (balancer.Producer, func()) {
	cc, _ := conn.(grpc.ClientConnInterface)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		s := testpb.NewTestServiceClient(cc)
		_, err := s.EmptyCall(ctx, &testpb.Empty{})
		if err == nil {
			_, err = s.FullDuplexCall(ctx)
		}
		w.answers <- err
	}()
	return w, cancel
}

// A balancer makes calls of its own over one connection, as those do that watch
// the load or the health of servers.
func TestBalancerProducer(t *testing.T) {
	lis, _ := serveAt(t, "tcp", "127.0.0.1:0")
	w := watcher{make(chan error, 1)}
	balancer.Register(base.NewBalancerBuilder("weir_test_producer", &picks{func(sc balancer.SubConn, _ balancer.PickInfo) (balancer.PickResult, error) {
		p, end := sc.GetOrBuildProducer(w)
		if again, leave := sc.GetOrBuildProducer(w); again != p {
			t.Errorf("a second producer %v", again)
		} else {
			leave()
		}
		return balancer.PickResult{SubConn: sc, Done: func(balancer.DoneInfo) {
			if err := <-w.answers; err != nil {
				t.Error(err)
			}
			end()
		}}, nil
	}}, base.Config{}))
	c := newWeirClient(t, "whatever:///svc", weir.WithResolvers(balanced(lis)), weir.WithDefaultServiceConfig(policyOf("weir_test_producer")))
	if _, err := testpb.NewTestServiceClient(c).EmptyCall(t.Context(), &testpb.Empty{}); err != nil {
		t.Fatal(err)
	}
}

// A config that names no balancer that is known is refused, by NewClient and as
// the word of a resolver.
func TestUnknownBalancer(t *testing.T) {
	js := `{"loadBalancingConfig": [{"nobody": {}}]}`
	_, err := weir.NewClient("x", weir.WithTransport(nil), weir.WithDefaultServiceConfig(js))
	wantWords(t, err, []string{"WithDefaultServiceConfig: loadBalancingConfig: none of its balancers is registered", "nobody"})
	lis, _ := serveAt(t, "tcp", "127.0.0.1:0")
	testResolvers(t, func(t *testing.T, r *manual.Resolver, c testpb.TestServiceClient) {
		r.BuildCallback = func(_ resolver.Target, cc resolver.ClientConn, _ resolver.BuildOptions) {
			_ = cc.UpdateState(resolver.State{
				Addresses:     []resolver.Address{{Addr: lis.Addr().String()}},
				ServiceConfig: cc.ParseServiceConfig(js),
			})
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		_, err := c.EmptyCall(ctx, &testpb.Empty{})
		if status.Code(err) != codes.Unavailable {
			t.Errorf("%v, want UNAVAILABLE", err)
		}
	})
}

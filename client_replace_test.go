package weir_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/simnet"
	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// farm is servers on a network in a bubble, "s0:80" and so on, a round trip of 20 ms
// away, and a client of them all.
type farm struct {
	t      *testing.T
	net    simnet.Network
	build  func() anyServer
	client *weir.Client

	mu      sync.Mutex
	servers []anyServer
	conns   map[string][]net.Conn // by the address that was dialed
	dark    map[string]bool       // the addresses that nothing reaches
	moves   []string
}

// ofEither gives what makes a server of weir, and one of grpc-go.
func ofEither(p keepalive.ServerParameters) map[string]func() anyServer {
	return map[string]func() anyServer{
		"weir":    func() anyServer { return weir.NewServer(weir.KeepaliveParams(p)) },
		"grpc-go": func() anyServer { return grpc.NewServer(grpc.KeepaliveParams(p)) },
	}
}

func ofWeir() anyServer { return weir.NewServer() }

const farmRTT = 20 * time.Millisecond

func inFarm(t *testing.T, n int, policy string, build func() anyServer, client []weir.DialOption, f func(t *testing.T, fm *farm)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		fm := &farm{t: t, build: build, servers: make([]anyServer, n), conns: make(map[string][]net.Conn), dark: make(map[string]bool)}
		fm.net.Link.RTT = farmRTT
		var all []net.Listener
		for i := range n {
			all = append(all, plot(fm.name(i)))
			fm.start(i)
		}
		fm.client = newWeirClient(t, "whatever:///svc", slices.Concat([]weir.DialOption{
			weir.WithResolvers(balanced(all...)),
			weir.WithContextDialer(fm.dial),
			weir.WithDefaultServiceConfig(policyOf(policy)),
			weir.WithStateObserver(func(from, to connectivity.State, _ error) {
				fm.mu.Lock()
				defer fm.mu.Unlock()
				fm.moves = append(fm.moves, from.String()+">"+to.String())
			}),
		}, client)...)
		defer func() {
			for _, s := range fm.servers {
				s.Stop()
			}
		}()
		defer fm.client.Close()
		f(t, fm)
	})
}

// plot is the address of a server.
type plot string

func (plot) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (plot) Close() error              { return nil }
func (n plot) Addr() net.Addr          { return simnet.Addr(n) }

func (*farm) name(i int) string { return fmt.Sprintf("s%d:80", i) }

// start serves at a name that nobody serves.
func (fm *farm) start(i int) {
	fm.t.Helper()
	s := fm.build()
	testpb.RegisterTestServiceServer(s, lasting{})
	lis, err := fm.net.Listen(fm.name(i))
	if err != nil {
		fm.t.Fatal(err)
	}
	fm.servers[i] = s
	go func() { _ = s.Serve(lis) }()
	synctest.Wait()
}

func (fm *farm) dial(ctx context.Context, address string) (net.Conn, error) {
	fm.mu.Lock()
	dark := fm.dark[address]
	fm.mu.Unlock()
	if dark {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	nc, err := fm.net.Dial(ctx, address)
	if err == nil {
		fm.mu.Lock()
		defer fm.mu.Unlock()
		fm.conns[address] = append(fm.conns[address], nc)
	}
	return nc, err
}

// made is how many connections there were to each server.
func (fm *farm) made() (all []int) {
	fm.mu.Lock()
	defer fm.mu.Unlock()
	for i := range fm.servers {
		all = append(all, len(fm.conns[fm.name(i)]))
	}
	return all
}

// connect waits until every server has had a call.
func (fm *farm) connect(servers ...int) {
	fm.t.Helper()
	for _, i := range servers {
		whom(fm.t, testpb.NewTestServiceClient(fm.client), fm.name(i))
	}
	fm.mu.Lock()
	defer fm.mu.Unlock()
	fm.moves = nil
}

// harvest is what became of calls.
type harvest struct {
	calls  int
	failed []error
	worst  time.Duration
	went   map[string]int
}

// load makes 500 calls a second for so long while beside runs, and waits for all. It
// tells of each when it has begun and how it ended, which may be nil.
func (fm *farm) load(d time.Duration, beside func(), tell func(begun time.Time, err error)) (o harvest) {
	o.went = make(map[string]int)
	c := testpb.NewTestServiceClient(fm.client)
	var mu sync.Mutex
	var work sync.WaitGroup
	if beside != nil {
		work.Go(beside)
	}
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(d); time.Now().Before(end); <-tick.C {
		o.calls++
		work.Go(func() {
			var at peer.Peer
			start := time.Now()
			_, err := c.EmptyCall(fm.t.Context(), &testpb.Empty{}, grpc.Peer(&at))
			took := time.Since(start)
			mu.Lock()
			defer mu.Unlock()
			o.worst = max(o.worst, took)
			if tell != nil {
				tell(start, err)
			}
			if err != nil {
				o.failed = append(o.failed, err)
			} else {
				o.went[at.Addr.String()]++
			}
		})
	}
	work.Wait()
	return o
}

// wantSmooth wants calls of which none noticed anything.
func (fm *farm) wantSmooth(o harvest) {
	fm.t.Helper()
	if len(o.failed) > 0 {
		fm.t.Errorf("%d of %d calls failed, first with %v", len(o.failed), o.calls, o.failed[0])
	}
	if o.worst > farmRTT {
		fm.t.Errorf("a call took %v, the round trip takes %v", o.worst, farmRTT)
	}
	fm.mu.Lock()
	defer fm.mu.Unlock()
	if len(fm.moves) > 0 {
		fm.t.Errorf("the state moved: %q", fm.moves)
	}
}

// Feature: make before break
//
// Connections that reach MaxConnectionAge are replaced before they go: no call fails
// or takes longer than any other, and the state remains READY.
func TestReplace_MaxConnectionAge(t *testing.T) {
	for name, build := range ofEither(keepalive.ServerParameters{MaxConnectionAge: 2 * time.Second, MaxConnectionAgeGrace: time.Second}) {
		for policy, servers := range map[string][]int{"pick_first": {0}, "round_robin": {0, 1, 2}} {
			t.Run(name+" "+policy, func(t *testing.T) {
				inFarm(t, len(servers), policy, build, nil, func(t *testing.T, fm *farm) {
					fm.connect(servers...)
					fm.wantSmooth(fm.load(12*time.Second, nil, nil))
					for i, n := range fm.made() {
						if n < 5 || n > 8 {
							t.Errorf("%d connections to server %d in six ages", n, i)
						}
					}
				})
			})
		}
	}
}

// Servers that are stopped with GracefulStop one after the other, and started again
// a while later: no call fails, none waits, and one is always READY.
func TestReplace_RollingRestart(t *testing.T) {
	for name, build := range ofEither(keepalive.ServerParameters{}) {
		for policy, first := range map[string][]int{"pick_first": {0}, "round_robin": {0, 1, 2}} {
			t.Run(name+" "+policy, func(t *testing.T) {
				inFarm(t, 3, policy, build, nil, func(t *testing.T, fm *farm) {
					fm.connect(first...)
					o := fm.load(16*time.Second, func() {
						for i := range 3 {
							simnet.Advance(time.Second)
							start := time.Now()
							fm.servers[i].GracefulStop()
							if d := time.Since(start); d > time.Second {
								t.Errorf("GracefulStop of server %d took %v", i, d)
							}
							simnet.Advance(time.Second)
							fm.start(i)
						}
					}, nil)
					fm.wantSmooth(o)
					for i := range len(first) - 1 {
						if n := o.went[fm.name(i)]; n < o.calls/5 {
							t.Errorf("%d of %d calls went to server %d", n, o.calls, i)
						}
					}
				})
			})
		}
	}
}

// A check of a server's health goes on over the connection that takes the place of
// another, which ends in time: the check does not hold it.
func TestReplace_HealthCheck_Moves(t *testing.T) {
	for name, plain := range ofEither(keepalive.ServerParameters{MaxConnectionAge: 2 * time.Second}) {
		t.Run(name, func(t *testing.T) {
			var states []*health.Server
			build := func() anyServer {
				s, h := plain(), health.NewServer()
				healthpb.RegisterHealthServer(s, h)
				h.SetServingStatus("shelf", healthpb.HealthCheckResponse_SERVING)
				states = append(states, h)
				return s
			}
			js := `{"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": "shelf"}}`
			inFarm(t, 2, "round_robin", build, []weir.DialOption{weir.WithDefaultServiceConfig(js)}, func(t *testing.T, fm *farm) {
				fm.connect(0, 1)
				fm.wantSmooth(fm.load(8*time.Second, nil, nil))
				simnet.Advance(time.Second)
				if n := len(fm.client.InspectConnections()); n != 2 {
					t.Errorf("%d connections are left, want 2 of %v", n, fm.made())
				}
				if made := fm.made(); made[0] < 4 || made[1] < 4 {
					t.Fatalf("connections were made %v", made)
				}
				states[0].SetServingStatus("shelf", healthpb.HealthCheckResponse_NOT_SERVING)
				simnet.Advance(farmRTT)
				o := fm.load(5*time.Second, nil, nil)
				if n := o.went[fm.name(0)]; n > 0 || len(o.failed) > 0 {
					t.Errorf("%d calls went to a server that is not well, %d failed", n, len(o.failed))
				}
			})
		})
	}
}

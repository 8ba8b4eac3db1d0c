package ecosystem

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/inspect"
	"github.com/weir-rpc/weir/internal/rolling"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/balancer/leastrequest"
	_ "google.golang.org/grpc/balancer/randomsubsetting"
	_ "google.golang.org/grpc/balancer/ringhash"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
)

// cluster is so many servers, and a resolver that knows them.
type cluster struct {
	*manual.Resolver
	at    []string
	stops []func()
}

// several starts a cluster, whose servers last until the test is over.
func several(t *testing.T, n int) *cluster {
	t.Helper()
	c := &cluster{Resolver: manual.NewBuilderWithScheme("several")}
	for range n {
		lis := listen(t)
		c.at = append(c.at, lis.Addr().String())
		c.stops = append(c.stops, c.start(t, lis))
	}
	c.InitialState(c.state(c.at...))
	return c
}

func (*cluster) start(t *testing.T, lis net.Listener) (stop func()) {
	t.Helper()
	srv := weir.NewServer()
	testgrpc.RegisterTestServiceServer(srv, service{})
	serveServer(t, srv, lis)
	return srv.Stop
}

// restart starts a server again that was stopped.
func (c *cluster) restart(t *testing.T, at string) {
	t.Helper()
	lis, err := rolling.Listen(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	c.start(t, lis)
}

func (*cluster) state(at ...string) (s resolver.State) {
	for _, a := range at {
		s.Addresses = append(s.Addresses, resolver.Address{Addr: a})
	}
	return s
}

// client calls a cluster by way of a balancer.
func (c *cluster) client(t *testing.T, balancer, config string) testgrpc.TestServiceClient {
	t.Helper()
	params := grpc.ConnectParams{MinConnectTimeout: 20 * time.Second}
	params.Backoff.BaseDelay, params.Backoff.MaxDelay, params.Backoff.Multiplier = 20*time.Millisecond, 50*time.Millisecond, 1.6
	cc, err := weir.NewClient("several:///svc", weir.WithResolvers(c), weir.WithTransportCredentials(insecure.NewCredentials()), weir.WithConnectParams(params),
		weir.WithDefaultServiceConfig(fmt.Sprintf(`{"loadBalancingConfig": [{%q: %s}]}`, balancer, config)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cc.Close() })
	return testgrpc.NewTestServiceClient(cc)
}

// session makes a call for a session, and gives where it went.
func session(t *testing.T, c testgrpc.TestServiceClient, name string) string {
	t.Helper()
	var at peer.Peer
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(t.Context(), "session", name), 20*time.Second)
	defer cancel()
	if _, err := c.UnaryCall(ctx, &testgrpc.SimpleRequest{}, grpc.Peer(&at)); err != nil {
		t.Fatal(err)
	}
	return at.Addr.String()
}

// sessions makes a call for each of n sessions, and gives where they went.
func sessions(t *testing.T, c testgrpc.TestServiceClient, n int) map[string]string {
	t.Helper()
	at := make(map[string]string)
	for i := range n {
		name := fmt.Sprint("session ", i)
		at[name] = session(t, c, name)
	}
	return at
}

// spread counts the sessions of each server.
func spread(sessions map[string]string) map[string]int {
	n := make(map[string]int)
	for _, at := range sessions {
		n[at]++
	}
	return n
}

// until makes calls until those of a round are as is wanted.
func until(t *testing.T, c testgrpc.TestServiceClient, what string, wanted func(spread map[string]int) bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		got := spread(sessions(t, c, 60))
		if wanted(got) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the calls go to %v, want them %s", got, what)
		}
	}
}

// Feature: ring_hash
//
// A session stays with its server. When a server is gone its own sessions alone
// move, and few others when it leaves the list; they return with it.
func TestRingHash(t *testing.T) {
	cl := several(t, 4)
	c := cl.client(t, "ring_hash_experimental", `{"requestHashHeader": "session"}`)
	const n = 200
	first := sessions(t, c, n)
	if got := spread(first); len(got) != 4 {
		t.Fatalf("%d sessions went to %v, want four servers", n, got)
	}
	if again := sessions(t, c, n); !maps.Equal(again, first) {
		t.Error("sessions moved, and no server did")
	}
	// moved wants the sessions of gone to have moved, and of the others so many at
	// most.
	moved := func(gone string, most int) {
		t.Helper()
		others := 0
		for name, at := range sessions(t, c, n) {
			if at == gone {
				t.Errorf("%q went to %s, which is gone", name, at)
			}
			if was := first[name]; was != gone && at != was {
				others++
			}
		}
		if others > most {
			t.Errorf("%d sessions of other servers moved, want %d at most", others, most)
		}
	}
	gone := cl.at[1]
	cl.stops[1]()
	moved(gone, 0)
	cl.restart(t, gone)
	until(t, c, "where they were", func(map[string]int) bool { return maps.Equal(sessions(t, c, n), first) })

	gone = cl.at[3]
	cl.UpdateState(cl.state(cl.at[:3]...))
	moved(gone, n/4) // the ring has 1,024 points, and three servers have more of them each
	cl.UpdateState(cl.state(cl.at...))
	if again := sessions(t, c, n); !maps.Equal(again, first) {
		t.Error("sessions did not return with their server")
	}
}

// Feature: least_request
//
// Servers that have calls open get fewer new ones, and one that is gone gets none.
func TestLeastRequest(t *testing.T) {
	cl := several(t, 3)
	c := cl.client(t, "least_request_experimental", `{"choiceCount": 10}`)
	until(t, c, "spread over three", func(got map[string]int) bool { return len(got) == 3 })
	busy := make(map[string]int)
	for len(busy) < 2 {
		st, err := c.FullDuplexCall(t.Context()) // it stays open
		if err != nil {
			t.Fatal(err)
		}
		if err := st.Send(&testgrpc.StreamingOutputCallRequest{}); err != nil {
			t.Fatal(err)
		}
		if _, err := st.Recv(); err != nil {
			t.Fatal(err)
		}
		p, _ := peer.FromContext(st.Context())
		busy[p.Addr.String()]++
	}
	got := spread(sessions(t, c, 100))
	for at := range busy {
		if got[at] > 15 { // chance: none of ten choices is a server that has none open
			t.Errorf("calls went to %v, and at %v servers have calls open", got, busy)
		}
	}
	cl.stops[0]()
	until(t, c, "spread over two", func(got map[string]int) bool { return got[cl.at[0]] == 0 && len(got) == 2 })
}

// Feature: random_subsetting
//
// A client keeps to some of many servers, and to the same when others go.
func TestRandomSubsetting(t *testing.T) {
	cl := several(t, 6)
	c := cl.client(t, "random_subsetting_experimental", `{"subsetSize": 2, "childPolicy": [{"round_robin": {}}]}`)
	until(t, c, "spread over two", func(got map[string]int) bool { return len(got) == 2 })
	mine := spread(sessions(t, c, 20))
	var rest []string
	for _, at := range cl.at {
		if mine[at] != 0 || len(rest) < 2 {
			rest = append(rest, at)
		}
	}
	cl.UpdateState(cl.state(rest...))
	if got := spread(sessions(t, c, 20)); !slices.Equal(slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(mine))) {
		t.Errorf("calls went to %v, and to %v when there were more servers", got, mine)
	}
	for at := range mine {
		rest = slices.DeleteFunc(rest, func(a string) bool { return a == at })
		cl.UpdateState(cl.state(rest...))
		until(t, c, "without one that is gone", func(got map[string]int) bool { return got[at] == 0 })
		break
	}
}

// Feature: pick_first with shuffleAddressList
//
// Clients that know the same servers choose different ones, and each stays with
// its own until that is gone.
func TestPickFirst_Shuffled(t *testing.T) {
	cl := several(t, 3)
	chosen := make(map[string]int)
	var c testgrpc.TestServiceClient
	var at string
	for range 40 { // chance: 3·(2/3)⁴⁰
		c = cl.client(t, "pick_first", `{"shuffleAddressList": true}`)
		at = session(t, c, "")
		chosen[at]++
		if got := spread(sessions(t, c, 5)); got[at] != 5 {
			t.Fatalf("calls went to %v, the first to %s", got, at)
		}
	}
	if len(chosen) != 3 {
		t.Errorf("the clients chose %v of three", chosen)
	}
	cl.stops[slices.Index(cl.at, at)]()
	if next := session(t, c, ""); next == at {
		t.Error("a call went to a server that is gone")
	}
}

// Balancers change while calls are made, which hear nothing of that, and while
// somebody looks.
func TestBalancers_Change(t *testing.T) {
	cl := several(t, 4)
	all := []string{
		`{"round_robin": {}}`,
		`{"ring_hash_experimental": {"requestHashHeader": "session"}}`,
		`{"ring_hash_experimental": {"requestHashHeader": "session", "minRingSize": 10}}`,
		`{"least_request_experimental": {"choiceCount": 2}}`,
		`{"least_request_experimental": {"choiceCount": 3}}`,
		`{"random_subsetting_experimental": {"subsetSize": 3, "childPolicy": [{"round_robin": {}}]}}`,
		`{"pick_first": {"shuffleAddressList": true}}`,
		`{"pick_first": {}}`,
	}
	c := cl.client(t, "round_robin", "{}")
	until(t, c, "spread over four", func(got map[string]int) bool { return len(got) == 4 })
	var calls sync.WaitGroup
	done := make(chan struct{})
	for i := range 4 {
		calls.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				ctx := metadata.AppendToOutgoingContext(t.Context(), "session", fmt.Sprint(i, n%10))
				if _, err := c.UnaryCall(ctx, &testgrpc.SimpleRequest{}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	calls.Go(func() {
		for last := uint64(0); ; runtime.Gosched() {
			select {
			case <-done:
				return
			default:
			}
			for _, s := range inspect.Default.Clients(inspect.Connections) {
				if s.Target != "several:///svc" {
					continue
				}
				if s.Calls.Started < last || s.State == "" || len(s.Subchannels) > 8 {
					t.Errorf("%d calls were started, and then %+v", last, s)
				}
				last = s.Calls.Started
			}
		}
	})
	for i := range 60 {
		s := cl.state(cl.at[rand.IntN(3):]...)
		s.ServiceConfig = cl.CC().ParseServiceConfig(`{"loadBalancingConfig": [` + all[i%len(all)] + `]}`)
		cl.UpdateState(s)
		session(t, c, "mine")
	}
	close(done)
	calls.Wait()
}

package weir_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/balancer/base"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// twice makes pickers that give each SubConn twice, one after the other.
type twice struct{}

func (twice) Build(info base.PickerBuildInfo) balancer.Picker {
	var p twicePicker
	for sc := range info.ReadySCs {
		p.all = append(p.all, sc)
	}
	return &p
}

type twicePicker struct {
	mu  sync.Mutex
	all []balancer.SubConn
	n   int
}

func (p *twicePicker) Pick(balancer.PickInfo) (balancer.PickResult, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.all) < 3 {
		return balancer.PickResult{}, balancer.ErrNoSubConnAvailable
	}
	p.n++
	return balancer.PickResult{SubConn: p.all[p.n/2%len(p.all)]}, nil
}

// asked are servers that note who was asked by calls that count, and answer when so
// many were. The others, whose attempts may come when they are over, show who is there.
type asked struct {
	testpb.UnimplementedTestServiceServer
	at   int
	all  *askedServers
	fail bool // and then they fail
}

type askedServers struct {
	mu      sync.Mutex
	changed *sync.Cond
	there   map[int]bool
	count   map[int]int
	enough  int // calls
	calls   int
}

// triedKey is of the metadata of calls that count.
const triedKey = "x-tried"

func (a *asked) call(ctx context.Context) error {
	s := a.all
	defer context.AfterFunc(ctx, s.changed.Broadcast)()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(metadata.ValueFromIncomingContext(ctx, triedKey)) == 0 {
		s.there[a.at] = true
		return nil
	}
	s.count[a.at]++
	s.calls++
	s.changed.Broadcast()
	if s.calls >= s.enough {
		return nil
	}
	if a.fail {
		return status.Error(codes.Unavailable, "ask another")
	}
	for s.calls < s.enough && ctx.Err() == nil {
		s.changed.Wait()
	}
	return nil
}

func (a *asked) EmptyCall(ctx context.Context, _ *testpb.Empty) (*testpb.Empty, error) {
	return new(testpb.Empty), a.call(ctx)
}

func (a *asked) FullDuplexCall(st testpb.TestService_FullDuplexCallServer) error {
	return a.call(st.Context())
}

// Feature: attempts of one call go to different servers
//
// The attempts of a call that is hedged or retried prefer servers that the call
// has not tried; with pick_first there is only one.
func TestAttempts_GoToDifferentServers(t *testing.T) {
	balancer.Register(base.NewBalancerBuilder("weir_test_twice", twice{}, base.Config{}))
	for _, policy := range []struct {
		name, js string
		fail     bool
	}{
		{"hedging", `"hedgingPolicy": {"maxAttempts": 3, "hedgingDelay": "0.01s", "nonFatalStatusCodes": ["UNAVAILABLE"]}`, false},
		{"retries", `"retryPolicy": {"maxAttempts": 3, "initialBackoff": "0.001s", "maxBackoff": "0.001s", "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]}`, true},
	} {
		for name, servers := range map[string]int{"weir_test_twice": 3, "round_robin": 3, "pick_first": 1} {
			for _, kind := range []string{"unary", "stream"} {
				t.Run(policy.name+"/"+name+"/"+kind, func(t *testing.T) {
					all := &askedServers{there: make(map[int]bool), count: make(map[int]int), enough: 3}
					all.changed = sync.NewCond(&all.mu)
					var at []net.Listener
					for i := range 3 {
						at = append(at, serveWith(t, func(srv *weir.Server) {
							testpb.RegisterTestServiceServer(srv, &asked{at: i, all: all, fail: policy.fail})
						}))
					}
					c := newWeirClient(t, "whatever:///svc", weir.WithResolvers(balanced(at...)), weir.WithDefaultServiceConfig(fmt.Sprintf(
						`{"loadBalancingConfig": [{%q: {}}], "methodConfig": [{"name": [{}], %s}]}`, name, policy.js)))
					s := testpb.NewTestServiceClient(c)
					ready(t, s, all, servers)
					ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(t.Context(), triedKey, "1"), 20*time.Second)
					defer cancel()
					var err error
					if kind == "unary" {
						_, err = s.EmptyCall(ctx, new(testpb.Empty))
					} else if st, e := s.FullDuplexCall(ctx); e != nil {
						err = e
					} else {
						_, err = st.Recv()
					}
					if err != nil && err.Error() != "EOF" {
						t.Fatal(err)
					}
					all.mu.Lock()
					defer all.mu.Unlock()
					if len(all.count) != servers {
						t.Errorf("the attempts went to %v, want %d servers", all.count, servers)
					}
				})
			}
		}
	}
}

// ready makes calls until they have gone to so many servers.
func ready(t *testing.T, s testpb.TestServiceClient, all *askedServers, servers int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	all.mu.Lock()
	for len(all.there) < servers {
		all.mu.Unlock()
		if _, err := s.EmptyCall(ctx, new(testpb.Empty)); err != nil {
			t.Fatal(err)
		}
		all.mu.Lock()
	}
	all.mu.Unlock()
}

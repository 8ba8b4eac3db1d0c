//go:build linux

package engines

import (
	"context"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/rolling"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/naming/endpoints"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
)

// group is the servers of one name in etcd.
type group struct {
	t *testing.T
	m endpoints.Manager
	c *clientv3.Client
}

const name = "shelves"

func newGroup(t *testing.T, e *etcd) group {
	t.Helper()
	c := e.client()
	m, err := endpoints.NewManager(c, name)
	if err != nil {
		t.Fatal(err)
	}
	return group{t, m, c}
}

func (g group) add(address string, opts ...clientv3.OpOption) {
	g.t.Helper()
	if err := g.m.AddEndpoint(g.t.Context(), name+"/"+address, endpoints.Endpoint{Addr: address}, opts...); err != nil {
		g.t.Fatal(err)
	}
}

func (g group) remove(address string) {
	g.t.Helper()
	if err := g.m.DeleteEndpoint(g.t.Context(), name+"/"+address); err != nil {
		g.t.Fatal(err)
	}
}

// twoOf starts an etcd and servers, of which the first two are registered there,
// and gives a client that finds these.
func twoOf(t *testing.T, n int) (e *etcd, g group, servers []string, cc *weir.Client) {
	t.Helper()
	e = startEtcd(t)
	g = newGroup(t, e)
	for _, h := range hosts(n) {
		servers = append(servers, local(t, h))
	}
	g.add(servers[0])
	g.add(servers[1])
	cc = dial(t, "etcd:///"+name, roundRobin, weir.WithResolvers(e.resolver()))
	wantSpread(t, cc, servers[:2])
	return e, g, servers, cc
}

// Feature: etcd: servers are found by its naming resolver
//
// The resolver of etcd's authors, against a real etcd: calls go to the servers
// that are registered, and to none that is not, as they come and go.
func TestEtcd_ServersComeAndGo(t *testing.T) {
	t.Parallel()
	_, g, servers, cc := twoOf(t, 4)
	g.add(servers[2])
	wantSpread(t, cc, servers[:3])
	g.remove(servers[0])
	wantSpread(t, cc, servers[1:3])
	g.add(servers[3])
	g.remove(servers[1])
	g.remove(servers[2])
	wantSpread(t, cc, servers[3:])
}

// A server whose lease expires is called no more, though it still serves.
func TestEtcd_LeaseExpires(t *testing.T) {
	t.Parallel()
	e := startEtcd(t)
	g := newGroup(t, e)
	h := hosts(2)
	stays, goes := local(t, h[0]), local(t, h[1])
	lease, err := g.c.Grant(t.Context(), 5)
	if err != nil {
		t.Fatal(err)
	}
	g.add(stays)
	living, die := context.WithCancel(t.Context())
	defer die()
	alive, err := g.c.KeepAlive(living, lease.ID)
	if err != nil {
		t.Fatal(err)
	}
	g.add(goes, clientv3.WithLease(lease.ID))
	cc := dial(t, "etcd:///"+name, roundRobin, weir.WithResolvers(e.resolver()))
	wantSpread(t, cc, []string{stays, goes})
	if _, ok := <-alive; !ok {
		t.Fatal("the lease does not last")
	}
	die()
	wantSpread(t, cc, []string{stays})
}

// While etcd is away calls go on to the servers that it named last, and when it is
// back its changes are followed again.
func TestEtcd_Restarts(t *testing.T) {
	t.Parallel()
	e, g, servers, cc := twoOf(t, 3)
	c := testgrpc.NewTestServiceClient(cc)
	run := rolling.Load{Rate: 200, Timeout: timeout, Call: func(ctx context.Context) error {
		_, err := c.UnaryCall(ctx, &testgrpc.SimpleRequest{})
		return err
	}}.Start()
	e.kill()
	wantSpread(t, cc, servers[:2])
	if err := pause(t.Context(), 300*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	e.start()
	g.add(servers[2])
	g.remove(servers[0])
	wantSpread(t, cc, servers[1:])
	if r := run.Stop(); len(r.Failed) > 0 {
		t.Errorf("while etcd was restarted: %v", r)
	} else {
		t.Log(r)
	}
}

package scenario

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/weir-rpc/weir/internal/rolling"
	"github.com/weir-rpc/weir/xds/internal/controlplane"
	"github.com/weir-rpc/weir/xds/internal/loopback"
	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// Feature: rolling restart without a failed call
//
// Five servers are restarted one by one, by SIGTERM and GracefulStop, under 500 calls
// a second, with default options. No call fails: neither if the control plane moves
// calls away before, nor if the server that comes has another address.
func TestRolling_NoCallFails(t *testing.T) {
	for _, way := range []struct {
		name    string
		restart func(w *world, servers []*rolling.Process, i int)
		comes   string // added to the name of the server that comes
	}{
		{"drained first", func(w *world, servers []*rolling.Process, i int) {
			w.update(serving(slices.Delete(slices.Clone(servers), i, i+1)))
			servers[i].Terminate()
			servers[i].Start()
			w.update(serving(servers))
		}, ""},
		{"replaced", func(w *world, servers []*rolling.Process, i int) {
			gone := servers[i]
			servers[i] = rolling.Start(w.t, loopback.Address(), fmt.Sprint("server ", i, " anew"))
			w.update(serving(servers))
			gone.Terminate()
		}, " anew"},
	} {
		t.Run(way.name, func(t *testing.T) {
			each(t, func(_ *testing.T, w *world) { w.roll(way.restart, way.comes) })
		})
	}
}

// Neither does one if the control plane knows nothing of it.
func TestRolling_Untold_NoCallFails(t *testing.T) {
	eachBeside(t, func(_ *testing.T, w *world) {
		w.roll(func(_ *world, servers []*rolling.Process, i int) {
			servers[i].Terminate()
			servers[i].Start()
		}, "")
	})
}

// Nor if the next server goes before the client has gone back to the last, with weir.
func TestRolling_WithoutPause_NoCallFails(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := w.rolling(func(servers []*rolling.Process, _ *answers) {
			for i := range 20 {
				p := servers[i%len(servers)]
				p.Terminate()
				p.Start()
			}
		})
		if len(r.Failed) > 0 && !w.lax {
			t.Errorf("%d calls failed", len(r.Failed))
		}
	})
}

// roll restarts five servers, one after the other.
func (w *world) roll(restart func(w *world, servers []*rolling.Process, i int), comes string) {
	w.t.Helper()
	r := w.rolling(func(servers []*rolling.Process, served *answers) {
		for i := range servers {
			restart(w, servers, i)
			served.forget()
			w.settle(served, fmt.Sprint("server ", i, comes))
		}
	})
	if len(r.Failed) > 0 {
		w.t.Errorf("%d calls failed", len(r.Failed))
	}
}

// rolling has something done with five servers under load.
func (w *world) rolling(do func(servers []*rolling.Process, served *answers)) rolling.Report {
	w.t.Helper()
	var servers []*rolling.Process
	for i := range 5 {
		servers = append(servers, rolling.Start(w.t, loopback.Address(), fmt.Sprint("server ", i)))
	}
	w.start(serving(servers))
	w.answered(1)
	c := testpb.NewTestServiceClient(w.cc)
	served := newAnswers()
	run := rolling.Load{Rate: rate, Timeout: patience, Call: func(ctx context.Context) error {
		r, err := c.UnaryCall(ctx, &testpb.SimpleRequest{})
		served.add(r.GetServerId())
		return err
	}}.Start()
	do(servers, served)
	r := run.Stop()
	w.t.Log(r)
	return r
}

// answers counts the calls that each server answered. It is safe for several
// goroutines.
type answers struct {
	mu      sync.Mutex
	by      map[string]int
	changed chan struct{} // closed at the next answer
}

func newAnswers() *answers { return &answers{by: make(map[string]int), changed: make(chan struct{})} }

func (a *answers) add(name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.by[name]++
	close(a.changed)
	a.changed = make(chan struct{})
}

// forget begins anew.
func (a *answers) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.by)
}

// settle lets the load go on until the server that was restarted serves again, as a
// rollout waits until it is ready.
func (w *world) settle(a *answers, name string) {
	w.t.Helper()
	ctx := w.within()
	for {
		a.mu.Lock()
		n, changed := a.by[name], a.changed
		a.mu.Unlock()
		if n >= 10 {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			w.t.Fatalf("%s answered %d calls", name, n)
		}
	}
}

// serving has one cluster of all servers.
func serving(servers []*rolling.Process) controlplane.Config {
	addrs := make([]string, len(servers))
	for i, p := range servers {
		addrs[i] = p.Address
	}
	// A machine that is busy must not meet the circuit breaker, whose default is 1,024.
	return simple(controlplane.Cluster{Name: "all", Localities: controlplane.At(addrs...), MaxRequests: 1 << 20})
}

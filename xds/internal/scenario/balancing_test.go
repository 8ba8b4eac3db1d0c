package scenario

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-rpc/weir/xds/internal/controlplane"
	"github.com/weir-rpc/weir/xds/internal/fleet"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
)

// Feature: xDS failover by priority
//
// The second locality takes over when the first is gone, and gives back when it is
// there again. If the first goes gracefully no call fails.
func TestBalancing_Failover(t *testing.T) {
	eachBeside(t, func(t *testing.T, w *world) {
		near, far := fleet.Start(t, "near"), fleet.Start(t, "far")
		w.start(simple(controlplane.Cluster{Name: "one", Localities: []controlplane.Locality{
			{Endpoints: []controlplane.Endpoint{{Address: near.Addr()}}},
			{Priority: 1, Endpoints: []controlplane.Endpoint{{Address: far.Addr()}}},
		}}))
		w.only("near", false)
		near.Drain()
		w.only("far", false)
		near.Restart()
		w.only("near", false)
		near.Stop()
		w.only("far", true)
		near.Restart()
		w.only("near", false)
	})
}

// Feature: xDS aggregate and DNS clusters
//
// An aggregate cluster fails over from one of its clusters to the next, which may be
// one whose endpoint is looked up in DNS.
func TestBalancing_AggregateCluster(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		first, second := fleet.Start(t, "first"), fleet.StartAt(t, "second", "127.0.0.1:0") // localhost
		_, port, _ := strings.Cut(second.Addr(), ":")
		config := simple(controlplane.Cluster{Name: "all", Aggregate: []string{"eds", "dns"}})
		config.Clusters = append(config.Clusters,
			controlplane.Cluster{Name: "eds", Localities: controlplane.At(first.Addr())},
			controlplane.Cluster{Name: "dns", DNS: "localhost:" + port},
		)
		w.start(config)
		w.only("first", false)
		first.Stop()
		w.only("second", true)
	})
}

// Feature: xDS locality weights
//
// Localities of one priority share the calls by their weights, and the endpoints of
// each the locality's.
func TestBalancing_LocalityWeights(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		all := fleet.StartAll(t, "big", "small", "small too")
		w.start(simple(controlplane.Cluster{Name: "one", Localities: []controlplane.Locality{
			{Weight: 3, Endpoints: []controlplane.Endpoint{{Address: all[0].Addr()}}},
			{Weight: 1, Endpoints: []controlplane.Endpoint{{Address: all[1].Addr()}, {Address: all[2].Addr()}}},
		}}))
		w.ready(all...)
		by := w.answered(400)
		between(t, by, "big", 250, 350)
		between(t, by, "small", 20, 90)
		between(t, by, "small too", 20, 90)
	})
}

// ready makes calls until each backend has had one.
func (w *world) ready(bs ...*fleet.Backend) {
	w.t.Helper()
	w.until("every backend was called", func([]answer) bool {
		for _, b := range bs {
			if b.Calls() == 0 {
				return false
			}
		}
		return true
	}, false)
}

// Feature: xDS ring hash
//
// Calls with one value of the header come to one endpoint, and those of many values
// to all.
func TestBalancing_RingHash(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		all := fleet.StartAll(t, "a", "b", "c")
		config := simple(controlplane.Cluster{Name: "one", Policy: controlplane.RingHash, Localities: controlplane.At(addrs(all...)...)})
		config.Listeners[0].Routes[0].HashHeader = "user"
		w.start(config)
		by := make(map[string]int)
		for user := range 60 {
			mine := w.answered(3, "user", fmt.Sprint("user ", user))
			if len(mine) > 1 {
				t.Errorf("user %d came to %v", user, mine)
			}
			for name := range mine {
				by[name]++
			}
		}
		for _, b := range all {
			between(t, by, b.Name, 3, 50)
		}
	})
}

// Feature: xDS outlier detection
//
// An endpoint whose calls fail gets none for a while, and the others serve.
func TestBalancing_OutlierDetection(t *testing.T) {
	eachBeside(t, func(t *testing.T, w *world) {
		all := fleet.StartAll(t, "a", "b", "c")
		w.start(simple(controlplane.Cluster{
			Name: "one", Localities: controlplane.At(addrs(all...)...),
			Outlier: &controlplane.Outlier{Interval: 400 * time.Millisecond, Ejection: 2 * time.Second, Threshold: 50, Volume: 1},
		}))
		w.ready(all...)
		all[1].Fail(-1, codes.Internal)
		w.fails(codes.Internal)
		served := func(last []answer) bool {
			for _, a := range last {
				if a.err != nil {
					return false
				}
			}
			return len(last) == 10
		}
		w.until("b is ejected", served, true)
		all[1].Fail(0, codes.OK)
		before := all[1].Calls()
		w.until("b is back", func([]answer) bool { return all[1].Calls() > before }, false)
	})
}

// Feature: xDS drops of EDS
//
// What the control plane drops fails with UNAVAILABLE, at the client.
func TestBalancing_Drop(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		a := fleet.Start(t, "a")
		config := func(percent uint32) controlplane.Config {
			return simple(controlplane.Cluster{Name: "one", Localities: controlplane.At(a.Addr()), DropPercent: percent})
		}
		w.start(config(100))
		if _, err := w.call(); status.Code(err) != codes.Unavailable || a.Calls() > 0 {
			t.Errorf("the call ended with %v, and %d came", err, a.Calls())
		}
		w.update(config(0))
		w.only("a", true)
	})
}

// Feature: xDS circuit breaking
//
// A cluster has max_requests calls at a time, and more fail with UNAVAILABLE at the
// client. One that ends makes room.
func TestBalancing_CircuitBreaker(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		const limit = 4
		a := fleet.Start(t, "a")
		// The count is of the process, by the cluster's name.
		w.start(simple(controlplane.Cluster{Name: t.Name(), Localities: controlplane.At(a.Addr()), MaxRequests: limit}))
		w.answered(2 * limit)
		client := testpb.NewTestServiceClient(w.cc)
		// However a call ends, it makes room.
		for _, way := range []struct {
			name string
			end  func(cancel func())
			code codes.Code
		}{
			{"answered", func(func()) { a.Pass() }, codes.OK},
			{"cancelled", func(cancel func()) { cancel() }, codes.Canceled},
		} {
			a.Hold(-1)
			ctx, cancel := context.WithCancel(w.within())
			before := a.Calls()
			var all sync.WaitGroup
			for range limit / 2 {
				all.Go(func() {
					if _, err := client.UnaryCall(ctx, new(testpb.SimpleRequest)); status.Code(err) != way.code {
						t.Errorf("a call within the limit that is %s: %v", way.name, err)
					}
				})
				all.Go(func() {
					st, err := client.FullDuplexCall(ctx)
					if err == nil {
						_ = st.CloseSend()
						_, err = st.Recv()
					}
					if err == io.EOF {
						err = nil
					}
					if status.Code(err) != way.code {
						t.Errorf("a stream within the limit that is %s: %v", way.name, err)
					}
				})
			}
			if err := a.WaitHeld(w.within(), limit); err != nil {
				t.Fatal(err)
			}
			if _, err := w.call(); status.Code(err) != codes.Unavailable {
				t.Errorf("a call over the limit: %v", err)
			}
			if n := a.Calls() - before; n != limit {
				t.Errorf("%d calls came, want %d", n, limit)
			}
			way.end(cancel)
			all.Wait()
			a.Pass()
			w.only("a", false)
			cancel()
		}
	})
}

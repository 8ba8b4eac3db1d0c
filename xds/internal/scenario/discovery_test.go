package scenario

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/weir-rpc/weir/xds/internal/controlplane"
	"github.com/weir-rpc/weir/xds/internal/fleet"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
)

// Feature: xDS client
//
// A listener names its routes, these a cluster, and this its endpoints: LDS, RDS,
// CDS and EDS. Updates of the routes move the calls, and none fails.
func TestDiscovery_RoutesMoveTraffic(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		one, two := fleet.Start(t, "one"), fleet.Start(t, "two")
		config := routed(one, two)
		w.start(config("one"))
		if by := w.answered(10); by["one"] != 10 {
			t.Errorf("before the update: %v", by)
		}
		for range 10 {
			for _, cluster := range []string{"two", "one"} {
				w.update(config(cluster))
				w.only(cluster, w.lax)
			}
		}
	})
}

// routed gives configs with a cluster for each backend and one route, by RDS.
func routed(bs ...*fleet.Backend) func(cluster string) controlplane.Config {
	return func(cluster string) controlplane.Config {
		return controlplane.Config{
			Listeners: []controlplane.Listener{{
				Name: "shelf", RouteName: "routes",
				Routes: []controlplane.Route{{
					Clusters: controlplane.To(cluster),
					Retry:    &controlplane.Retry{On: "unavailable", Retries: 1, Base: time.Millisecond},
				}},
			}},
			Clusters: clusters(bs...),
		}
	}
}

// A call stays on the cluster that its route named when it began: a stream, and an
// attempt that is made anew after the route has moved.
func TestDiscovery_CallsStayOnTheirCluster(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		one, two := fleet.Start(t, "one"), fleet.Start(t, "two")
		config := routed(one, two)
		w.start(config("one"))
		st, err := testpb.NewTestServiceClient(w.cc).FullDuplexCall(w.within())
		if err != nil {
			t.Fatal(err)
		}
		told := func() {
			t.Helper()
			if err := st.Send(new(testpb.StreamingOutputCallRequest)); err != nil {
				t.Fatal(err)
			}
			if r, err := st.Recv(); err != nil || string(r.GetPayload().GetBody()) != "one" {
				t.Errorf("a stream on the old cluster: %q, %v", r.GetPayload().GetBody(), err)
			}
		}
		told()
		one.Hold(1)
		one.Fail(1, codes.Unavailable)
		held := make(chan answer, 1)
		go func() {
			r, err := w.call()
			held <- answer{r.GetServerId(), err}
		}()
		if err := one.WaitHeld(w.within(), 1); err != nil {
			t.Fatal(err)
		}
		w.update(config("two"))
		w.only("two", w.lax)
		one.Pass()
		if a := <-held; a != (answer{by: "one"}) {
			t.Errorf("the second attempt of a call on the old cluster: %v", a)
		}
		told()
		if err := st.CloseSend(); err != nil {
			t.Fatal(err)
		}
		if _, err := st.Recv(); err != io.EOF {
			t.Errorf("the end of the stream: %v", err)
		}
		w.only("two", false)
	})
}

// Endpoints that come get calls, and those that go get none, without a failed call.
func TestDiscovery_EndpointsComeAndGo(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		all := fleet.StartAll(t, "a", "b", "c")
		config := func(bs ...*fleet.Backend) controlplane.Config {
			return simple(controlplane.Cluster{Name: "all", Localities: controlplane.At(addrs(bs...)...)})
		}
		w.start(config(all[0]))
		w.answered(3)
		w.update(config(all...))
		w.until("all three answer", func(last []answer) bool {
			by := make(map[string]bool)
			for _, a := range last {
				by[a.by] = true
			}
			return len(by) == 3
		}, false)
		w.update(config(all[2]))
		w.only("c", false)
	})
}

// A draining endpoint gets no new calls.
func TestDiscovery_Draining(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		all := fleet.StartAll(t, "a", "b")
		config := func(draining bool) controlplane.Config {
			return simple(controlplane.Cluster{Name: "all", Localities: []controlplane.Locality{{
				Endpoints: []controlplane.Endpoint{{Address: all[0].Addr(), Draining: draining}, {Address: all[1].Addr()}},
			}}})
		}
		w.start(config(true))
		w.only("b", false)
		if n := all[0].Calls(); n > 0 {
			t.Errorf("the draining endpoint got %d calls", n)
		}
		w.update(config(false))
		w.until("a answers", func(last []answer) bool {
			return len(last) > 0 && last[len(last)-1].by == "a"
		}, false)
	})
}

// A cluster or a listener that the control plane removes takes the calls with it:
// UNAVAILABLE, and its name in the words. When it is there again calls go on.
func TestDiscovery_RemovedResources(t *testing.T) {
	for _, removed := range []struct {
		what   string
		words  string
		remove func(c *controlplane.Config)
	}{
		{"cluster", `resource "one" of type "ClusterResource" has been removed`, func(c *controlplane.Config) { c.Clusters = nil }},
		{"listener", `resource "shelf" of type "ListenerResource" has been removed`, func(c *controlplane.Config) { c.Listeners = nil }},
	} {
		t.Run(removed.what, func(t *testing.T) {
			each(t, func(t *testing.T, w *world) {
				a := fleet.Start(t, "a")
				config := func() controlplane.Config {
					return simple(controlplane.Cluster{Name: "one", Localities: controlplane.At(a.Addr())})
				}
				w.start(config())
				w.answered(1)
				less := config()
				removed.remove(&less)
				w.Set(less)
				w.says(codes.Unavailable, removed.words)
				w.Set(config())
				w.only("a", true)
			})
		})
	}
}

// While the control plane is away calls go on with what it said last, endpoints that
// come back are found again, and what it says when it is back counts.
func TestDiscovery_ControlPlaneAway(t *testing.T) {
	eachBeside(t, func(t *testing.T, w *world) {
		all := fleet.StartAll(t, "a", "b")
		config := func(b *fleet.Backend) controlplane.Config {
			return simple(controlplane.Cluster{Name: "one", Localities: controlplane.At(b.Addr())})
		}
		w.start(config(all[0]))
		w.answered(5)
		w.Stop()
		if by := w.answered(20); by["a"] != 20 {
			t.Errorf("without the control plane: %v", by)
		}
		all[0].Stop()
		all[0].Restart()
		w.only("a", true)
		w.Restart()
		w.update(config(all[1]))
		w.only("b", false)
	})
}

// A config that a client refuses changes nothing: calls go on with the one before,
// and the control plane is told why.
func TestDiscovery_Refused(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		a := fleet.Start(t, "a")
		config := simple(controlplane.Cluster{Name: "one", Localities: controlplane.At(a.Addr())})
		w.start(config)
		w.answered(1)
		w.update(config)
		config.Clusters[0].Outlier = &controlplane.Outlier{Threshold: 101}
		if err := w.WaitAccepted(w.within(), w.Set(config)); err == nil || !strings.Contains(err.Error(), "101") {
			t.Errorf("the client says: %v", err)
		}
		w.only("a", false)
	})
}

// A client that is closed, or idle, leaves the control plane. One that was idle comes
// back with the next call.
func TestDiscovery_LeavesTheControlPlane(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		a := fleet.Start(t, "a")
		w.Set(simple(controlplane.Cluster{Name: "one", Localities: controlplane.At(a.Addr())}))
		w.open(how{idle: 50 * time.Millisecond})
		for range 2 {
			w.answered(1)
			if err := w.WaitStreams(w.within(), 0); err != nil {
				t.Fatalf("the client is idle: %v", err)
			}
		}
		w.open(how{})
		w.answered(1)
		if err := w.WaitStreams(w.within(), 1); err != nil {
			t.Error(err)
		}
		w.cc.Close()
		if err := w.WaitStreams(w.within(), 0); err != nil {
			t.Errorf("the client is closed: %v", err)
		}
	})
}

// Feature: xDS control plane fallback
//
// While the first control plane cannot be reached another is asked, and when it is
// back its word counts.
func TestDiscovery_Fallback(t *testing.T) {
	eachBeside(t, func(t *testing.T, w *world) {
		all := fleet.StartAll(t, "first", "second")
		second := controlplane.Start(t)
		// Of two names, for gRPC goes on with what the second told of a cluster that
		// the first has too.
		w.Set(simple(controlplane.Cluster{Name: "one", Localities: controlplane.At(all[0].Addr())}))
		second.Set(simple(controlplane.Cluster{Name: "two", Localities: controlplane.At(all[1].Addr())}))
		w.Stop()
		w.open(how{bootstrap: w.Bootstrap(controlplane.Client{Fallback: second})})
		w.only("second", true) // gRPC tries the first again, and its failure counts for what the second is still asked for
		w.Restart()
		if err := w.WaitStreams(w.within(), 1); err != nil {
			t.Fatal(err)
		}
		if err := second.WaitStreams(w.within(), 0); err != nil {
			t.Fatal(err)
		}
		w.only("first", true) // it says that there is no cluster two, before it says one
	})
}

// Feature: xDS federation
//
// The listeners of an authority come from its own control plane.
func TestDiscovery_Federation(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		a := fleet.Start(t, "a")
		other := controlplane.Start(t)
		config := simple(controlplane.Cluster{Name: "one", Localities: controlplane.At(a.Addr())})
		config.Listeners[0].Name = controlplane.AuthorityListener("other", "shelf")
		// Names of the old form are the first control plane's.
		w.Set(controlplane.Config{Clusters: config.Clusters})
		other.Set(controlplane.Config{Listeners: config.Listeners})
		w.open(how{
			bootstrap: w.Bootstrap(controlplane.Client{Authorities: map[string]*controlplane.Server{"other": other}}),
			target:    "xds://other/shelf",
		})
		w.answered(5)
	})
}

// A listener that the control plane does not have fails calls once the time is up in
// which it should have come, 15 s, with its name.
func TestDiscovery_MissingListener(t *testing.T) {
	eachBeside(t, func(t *testing.T, w *world) {
		w.Set(controlplane.Config{Listeners: []controlplane.Listener{{Name: "other"}}})
		w.open(how{})
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second+patience)
		defer cancel()
		_, err := testpb.NewTestServiceClient(w.cc).UnaryCall(ctx, new(testpb.SimpleRequest))
		if status.Code(err) != codes.Unavailable {
			t.Error(err)
		}
		w.says(codes.Unavailable, `resource "shelf" of type "ListenerResource" has been removed`)
	})
}

package scenario

import (
	"context"
	"testing"
	"time"

	"github.com/weir-rpc/weir/xds/internal/controlplane"
	"github.com/weir-rpc/weir/xds/internal/fleet"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// clusters has a cluster for each backend, of its name.
func clusters(bs ...*fleet.Backend) (out []controlplane.Cluster) {
	for _, b := range bs {
		out = append(out, controlplane.Cluster{Name: b.Name, Localities: controlplane.At(b.Addr())})
	}
	return out
}

// Feature: xDS traffic splitting
//
// Clusters of one route share the calls by their weights.
func TestRoutes_WeightedClusters(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		all := fleet.StartAll(t, "stable", "canary")
		w.start(controlplane.Config{
			Listeners: shelf(controlplane.Route{Clusters: []controlplane.Weighted{{Name: "stable", Weight: 80}, {Name: "canary", Weight: 20}}}),
			Clusters:  clusters(all...),
		})
		// 100 of 500 are expected, with a standard deviation of 9.
		between(t, w.answered(500), "canary", 55, 145)
	})
}

// Feature: xDS routing by path and header
//
// The first route that matches has the call: by the whole method, by headers, by a
// prefix. A call that none matches fails at once.
func TestRoutes_Match(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		all := fleet.StartAll(t, "method", "header", "rest")
		w.start(controlplane.Config{
			Listeners: shelf(
				controlplane.Route{Path: testpb.TestService_EmptyCall_FullMethodName, Clusters: controlplane.To("method")},
				controlplane.Route{Headers: map[string]string{"tenant": "blue"}, Clusters: controlplane.To("header")},
				controlplane.Route{Prefix: "/grpc.testing.TestService/Unary", Clusters: controlplane.To("rest")},
			),
			Clusters: clusters(all...),
		})
		for _, c := range []struct{ value, want string }{{"blue", "header"}, {"red", "rest"}} {
			if by := w.answered(5, "tenant", c.value); by[c.want] != 5 {
				t.Errorf("tenant %s: %v, want %s alone", c.value, by, c.want)
			}
		}
		client := testpb.NewTestServiceClient(w.cc)
		if _, err := client.EmptyCall(t.Context(), &testpb.Empty{}); err != nil || all[0].Calls() != 1 {
			t.Errorf("EmptyCall: %v, and %d calls came to its cluster", err, all[0].Calls())
		}
		st, err := client.FullDuplexCall(t.Context())
		if err == nil {
			_, err = st.Recv()
		}
		if status.Code(err) != codes.Unavailable {
			t.Errorf("a call without a route: %v", err)
		}
	})
}

// Feature: xDS retry policy
//
// The retry policy of a route, or of the virtual host, retries what it names.
func TestRoutes_Retry(t *testing.T) {
	retry := &controlplane.Retry{On: "unavailable", Retries: 2, Base: time.Millisecond}
	for _, c := range []struct {
		name string
		set  func(l *controlplane.Listener)
	}{
		{"of the route", func(l *controlplane.Listener) { l.Routes[0].Retry = retry }},
		{"of the virtual host", func(l *controlplane.Listener) { l.Retry = retry }},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(t *testing.T, w *world) {
				a := fleet.Start(t, "a")
				config := simple(controlplane.Cluster{Name: "one", Localities: controlplane.At(a.Addr())})
				c.set(&config.Listeners[0])
				w.start(config)
				for _, call := range []struct {
					name  string
					fail  int
					code  codes.Code
					want  codes.Code
					calls int
				}{
					{"two attempts fail", 2, codes.Unavailable, codes.OK, 3},
					{"three fail", 3, codes.Unavailable, codes.Unavailable, 3},
					{"another code", 1, codes.Internal, codes.Internal, 1},
				} {
					before := a.Calls()
					a.Fail(call.fail, call.code)
					_, err := w.call()
					if n := a.Calls() - before; status.Code(err) != call.want || n != call.calls {
						t.Errorf("%s: %d attempts, %v, want %d, %v", call.name, n, err, call.calls, call.want)
					}
				}
			})
		})
	}
}

// Feature: xDS timeout of a route
//
// max_stream_duration of a route bounds its calls, that of the listener the others.
func TestRoutes_Timeout(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		a := fleet.Start(t, "a")
		config := simple(controlplane.Cluster{Name: "one", Localities: controlplane.At(a.Addr())})
		config.Listeners[0].MaxStreamDuration = 50 * time.Millisecond
		patient := controlplane.Route{Headers: map[string]string{"patience": "long"}, Clusters: controlplane.To("one"), Timeout: time.Hour}
		config.Listeners[0].Routes = append([]controlplane.Route{patient}, config.Listeners[0].Routes...)
		w.start(config)
		// The connection is there.
		w.until("a call ends in its time", func(last []answer) bool { return len(last) > 0 && last[len(last)-1].err == nil }, true)
		a.Hold(-1)
		start := time.Now()
		_, err := w.call()
		if took := time.Since(start); status.Code(err) != codes.DeadlineExceeded || took > patience/2 {
			t.Errorf("after %v: %v", took, err)
		}
		st, err := testpb.NewTestServiceClient(w.cc).FullDuplexCall(t.Context())
		if err == nil {
			_, err = st.Recv()
		}
		if status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("a stream: %v", err)
		}
		if err := a.WaitHeld(w.within(), 0); err != nil {
			t.Errorf("the server was not told: %v", err)
		}
		long := make(chan error, 1)
		go func() {
			_, err := w.call("patience", "long")
			long <- err
		}()
		// A call that may wait for long outlives one that may not, which began later.
		if err := a.WaitHeld(w.within(), 1); err != nil {
			t.Fatal(err)
		}
		if _, err := w.call(); status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("the second call: %v", err)
		}
		a.Pass()
		if err := <-long; err != nil {
			t.Errorf("the route's own timeout did not count: %v", err)
		}
	})
}

// Feature: xDS fault injection
//
// The fault filter ends calls and delays them before they leave, and a route may
// have a fault of its own.
func TestRoutes_Faults(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		a := fleet.Start(t, "a")
		config := simple(controlplane.Cluster{Name: "one", Localities: controlplane.At(a.Addr())})
		config.Listeners[0].Fault = &controlplane.Fault{Abort: codes.ResourceExhausted}
		const delay = 60 * time.Millisecond
		config.Listeners[0].Routes = append([]controlplane.Route{
			{Headers: map[string]string{"way": "slow"}, Clusters: controlplane.To("one"), Fault: &controlplane.Fault{Delay: delay}},
			{Headers: map[string]string{"way": "stuck"}, Clusters: controlplane.To("one"), Fault: &controlplane.Fault{Delay: time.Hour}},
			{Headers: map[string]string{"way": "clear"}, Clusters: controlplane.To("one"), Fault: &controlplane.Fault{}},
		}, config.Listeners[0].Routes...)
		w.start(config)
		if _, err := w.call(); status.Code(err) != codes.ResourceExhausted || a.Calls() > 0 {
			t.Errorf("the abort: %v, and %d calls came", err, a.Calls())
		}
		w.answered(3, "way", "clear")
		start := time.Now()
		w.answered(1, "way", "slow")
		if took := time.Since(start); took < delay {
			t.Errorf("a delayed call took %v, want %v at least", took, delay)
		}
		ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(t.Context(), "way", "stuck"), delay)
		defer cancel()
		_, err := testpb.NewTestServiceClient(w.cc).UnaryCall(ctx, new(testpb.SimpleRequest))
		if status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("a call whose time is up while it is delayed: %v", err)
		}
		// The filter stands before streams too.
		st, err := testpb.NewTestServiceClient(w.cc).FullDuplexCall(t.Context())
		if err == nil {
			_, err = st.Recv()
		}
		if status.Code(err) != codes.ResourceExhausted {
			t.Errorf("the abort of a stream: %v", err)
		}
	})
}

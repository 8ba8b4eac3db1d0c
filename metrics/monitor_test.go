package metrics_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/inproc"
	"github.com/weir-rpc/weir/inspect"
	"github.com/weir-rpc/weir/internal/leak"
	"github.com/weir-rpc/weir/internal/simnet"
	"github.com/weir-rpc/weir/metrics"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
)

func TestMain(m *testing.M) { leak.Main(m) }

// handler takes no message of FullDuplexCall until it is told to.
type handler struct {
	testpb.UnimplementedTestServiceServer
	read chan struct{}
}

func (handler) EmptyCall(context.Context, *testpb.Empty) (*testpb.Empty, error) {
	return new(testpb.Empty), nil
}

func (h handler) FullDuplexCall(s testpb.TestService_FullDuplexCallServer) error {
	select {
	case <-h.read:
	case <-s.Context().Done():
		return s.Context().Err()
	}
	for {
		if _, err := s.Recv(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// serve gives the address of a server in r.
func serve(t *testing.T, r *inspect.Registry, h handler) (address string, stop func()) {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return lis.Addr().String(), serveOn(r, h, lis)
}

func serveOn(r *inspect.Registry, h handler, lis net.Listener, opts ...weir.ServerOption) (stop func()) {
	srv := weir.NewServer(append(opts, weir.InspectRegistry(r), weir.StaticStreamWindowSize(64<<10))...)
	testpb.RegisterTestServiceServer(srv, h)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	return func() {
		srv.Stop()
		<-served
	}
}

func dial(t *testing.T, r *inspect.Registry, target string, opts ...weir.DialOption) *weir.Client {
	t.Helper()
	opts = append(opts, weir.WithTransportCredentials(insecure.NewCredentials()), weir.WithInspectRegistry(r))
	c, err := weir.NewClient(target, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func call(t *testing.T, c *weir.Client) {
	t.Helper()
	if _, err := testpb.NewTestServiceClient(c).EmptyCall(t.Context(), new(testpb.Empty)); err != nil {
		t.Fatal(err)
	}
}

// values gives what a collector says: by name and labels, but for the endpoint.
func values(t *testing.T, c prometheus.Collector) map[string]float64 {
	t.Helper()
	all := make(map[string]float64)
	for _, f := range gather(t, c) {
		for _, m := range f.GetMetric() {
			labels := make(map[string]string)
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			name := strings.TrimPrefix(f.GetName(), "weir_")
			for _, l := range []string{"side", "direction", "level", "result", "reason", "code"} {
				if labels[l] != "" {
					name += " " + labels[l]
				}
			}
			all[name] += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return all
}

func gather(t *testing.T, c prometheus.Collector) []*dto.MetricFamily {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(c)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// Feature: Prometheus metrics of flow control: send quota, window updates, stalled streams
//
// Row A110: the three metrics of a FlowControlMonitor come from the connections
// themselves, at a scrape and not per event, without a label for connections or
// streams, and say which streams stall and on what.
func TestFlowControlMonitor_StreamStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := inspect.NewRegistry()
		h := handler{read: make(chan struct{})}
		var network simnet.Network
		lis, err := network.Listen("svc:80")
		if err != nil {
			t.Fatal(err)
		}
		stop := serveOn(r, h, lis)
		c := dial(t, r, "passthrough:///svc:80", weir.WithContextDialer(network.Dial))
		m := metrics.NewFlowControlMonitor(metrics.Options{Registry: r})
		call(t, c)
		s, err := testpb.NewTestServiceClient(c).FullDuplexCall(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for range 10 { // more than the 64 KiB of the stream's window
			if err := s.Send(&testpb.StreamingOutputCallRequest{Payload: &testpb.Payload{Body: make([]byte, 10<<10)}}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		stalled := values(t, m)
		for name, want := range map[string]float64{
			"members client": 1, "members_ready client": 1, "members server": 1, "members_ready server": 1,
			"connections client": 1, "connections server": 1, "connections_draining client": 0, "handshakes server": 0,
			"streams client": 1, "streams server": 1,
			"streams_waiting client stream_window": 1, "streams_waiting client peer": 0, "streams_waiting server application": 1,
			"stream_send_quota_bytes client": 0, "stream_send_quota_min_bytes client": 0, "stream_send_quota_max_bytes client": 0,
			"calls_started_total client": 2, "calls_finished_total client succeeded": 1, "calls_finished_total client failed": 0,
			"messages_total client sent": 11, "messages_total server received": 8,
			"window_updates_total client received stream": 1, "window_updates_total server sent stream": 1,
		} {
			if got, ok := stalled[name]; !ok || got != want {
				t.Errorf("%s is %v, want %v", name, got, want)
			}
		}
		// Seven of ten messages have gone, the last of them into a window that was
		// made larger for it.
		if queued, unread := stalled["stream_queued_bytes client"], stalled["stream_unread_bytes server"]; queued < 3*10<<10 || queued > 3*10<<10+100 || unread < 7*10<<10 || unread > 7*10<<10+100 {
			t.Errorf("%v octets are queued, %v are not read", queued, unread)
		}
		if quota := stalled["connection_send_quota_bytes client"]; quota <= 0 || quota != stalled["connection_send_quota_min_bytes client"] || quota != stalled["connection_send_quota_max_bytes client"] {
			t.Errorf("the credit of one connection is %v", quota)
		}
		close(h.read)
		if err := s.CloseSend(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Recv(); err != io.EOF {
			t.Fatal(err)
		}
		synctest.Wait()
		after := values(t, m)
		for name, want := range map[string]float64{
			"streams client": 0, "streams_waiting client stream_window": 0, "stream_queued_bytes client": 0, "stream_unread_bytes server": 0,
			"calls_finished_total client succeeded": 2, "calls_finished_total server succeeded": 2, "messages_total server received": 11,
		} {
			if got, ok := after[name]; !ok || got != want {
				t.Errorf("after the server has read %s is %v, want %v", name, got, want)
			}
		}
		if _, ok := after["stream_send_quota_min_bytes client"]; ok {
			t.Error("there is a least credit of no stream")
		}
		if after["window_updates_total client received stream"] <= 1 || after["window_updates_total server sent stream"] != after["window_updates_total client received stream"] {
			t.Errorf("window updates of the stream: %v sent, %v received", after["window_updates_total server sent stream"], after["window_updates_total client received stream"])
		}
		for name, n := range stalled {
			if strings.Contains(name, "_total") && after[name] < n {
				t.Errorf("%s fell from %v to %v", name, n, after[name])
			}
		}
		c.Close()
		stop()
	})
}

// Names, units and texts are as Prometheus wants them.
func TestFlowControlMonitor_Lint(t *testing.T) {
	r := inspect.NewRegistry()
	address, stop := serve(t, r, handler{})
	defer stop()
	c := dial(t, r, "passthrough:///"+address)
	call(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	cancelled, err := testpb.NewTestServiceClient(c).FullDuplexCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := cancelled.Recv(); status.Code(err) != codes.Canceled {
		t.Errorf("a call was cancelled: %v", err)
	}
	call(t, c) // whose request is written behind the RST_STREAM
	m := metrics.NewFlowControlMonitor(metrics.Options{Registry: r})
	problems, err := testutil.CollectAndLint(m)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	if n := testutil.CollectAndCount(m, "weir_window_updates_total"); n != 8 {
		t.Errorf("%d series of window updates, want two sides, two directions and two levels", n)
	}
	if v := values(t, m); v["resets_total client sent CANCEL"] != 1 {
		t.Errorf("a call was cancelled: %v", v)
	}
}

// Many targets are a few series, and a target keeps its series as long as a
// Client has it. Counters of several Clients do not fall when one is closed.
func TestFlowControlMonitor_Bounded(t *testing.T) {
	r := inspect.NewRegistry()
	address, stop := serve(t, r, handler{})
	defer stop()
	target := "passthrough:///" + address
	first, second := dial(t, r, target), dial(t, r, target)
	m := metrics.NewFlowControlMonitor(metrics.Options{Registry: r, MaxEndpoints: 5})
	for range 3 {
		call(t, first)
	}
	call(t, second)
	if v := values(t, m); v["calls_started_total client"] != 4 || v["members client"] != 2 {
		t.Errorf("two clients of one target: %v", v)
	}
	first.Close()
	if v := values(t, m); v["calls_started_total client"] != 4 || v["members client"] != 1 || v["connections client"] != 1 {
		t.Errorf("one of two clients was closed: %v", v)
	}
	var many []*weir.Client
	for i := range 300 {
		many = append(many, dial(t, r, fmt.Sprintf("passthrough:///%d.test", i)))
	}
	endpoints := func() map[string]float64 {
		all := make(map[string]float64)
		for _, f := range gather(t, m) {
			if f.GetName() != "weir_members" {
				continue
			}
			for _, s := range f.GetMetric() {
				if labels := s.GetLabel(); labels[1].GetValue() == "client" {
					all[labels[0].GetValue()] = s.GetGauge().GetValue()
				}
			}
		}
		return all
	}
	if got := endpoints(); len(got) != 6 || got["other"] != 296 || got[target] != 1 {
		t.Errorf("301 clients of as many targets are the endpoints %v, want five and 296 others", got)
	}
	for _, c := range many {
		c.Close()
	}
	if got := endpoints(); len(got) != 1 || got[target] != 1 {
		t.Errorf("after all others are closed: %v", got)
	}
}

// A Server that has never served has no address, and no series; one that serves
// in-process has no address either, but series.
func TestFlowControlMonitor_IdleServer(t *testing.T) {
	r := inspect.NewRegistry()
	srv := weir.NewServer(weir.InspectRegistry(r))
	m := metrics.NewFlowControlMonitor(metrics.Options{Registry: r})
	if v := values(t, m); len(v) != 0 {
		t.Errorf("an idle server: %v", v)
	}
	c, err := inproc.NewClient(srv, weir.WithInspectRegistry(r))
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Invoke(t.Context(), "/a.B/C", new(testpb.Empty), new(testpb.Empty)) // not implemented
	if n := testutil.CollectAndCount(m, "weir_members"); n != 2 {
		t.Errorf("%d endpoints of an in-process client and its server", n)
	}
	c.Close()
	srv.Stop()
}

// Calls that wait for a slot of any of several connections are told, too: no
// connection has them.
func TestFlowControlMonitor_SlotWaiters(t *testing.T) {
	for name, opts := range map[string][]weir.DialOption{"one": nil, "several": {weir.WithMaxConnectionsPerAddress(2)}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := inspect.NewRegistry()
				var network simnet.Network
				lis, err := network.Listen("svc:80")
				if err != nil {
					t.Fatal(err)
				}
				stop := serveOn(r, handler{}, lis, weir.MaxConcurrentStreams(1))
				c := dial(t, r, "passthrough:///svc:80", append(opts, weir.WithContextDialer(network.Dial))...)
				call(t, c)
				ctx, cancel := context.WithCancel(t.Context())
				for range 5 {
					go func() { _, _ = testpb.NewTestServiceClient(c).FullDuplexCall(ctx) }()
				}
				synctest.Wait()
				v := values(t, metrics.NewFlowControlMonitor(metrics.Options{Registry: r}))
				if v["streams client"] == 0 || v["stream_slot_waiters client"] != 5-v["streams client"] {
					t.Errorf("of five calls %v have a stream and %v wait for one", v["streams client"], v["stream_slot_waiters client"])
				}
				cancel()
				c.Close()
				stop()
			})
		})
	}
}

// A target of any octets is an endpoint, and takes no scrape from the others.
func TestFlowControlMonitor_TargetIsNotUTF8(t *testing.T) {
	r := inspect.NewRegistry()
	dial(t, r, "passthrough:///a\xff")
	dial(t, r, "passthrough:///a\xfe")
	dial(t, r, "passthrough:///b")
	if v := values(t, metrics.NewFlowControlMonitor(metrics.Options{Registry: r})); v["members client"] != 3 {
		t.Errorf("three clients are %v", v)
	}
}

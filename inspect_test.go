package weir_test

import (
	"context"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/inspect"
	"github.com/weir-rpc/weir/internal/simnet"
	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// looked is a server and a client in a bubble, in a Registry of their own.
type looked struct {
	*simulated
	r      *inspect.Registry
	client *weir.Client
	stub   testpb.TestServiceClient
}

func inspected(t *testing.T, opts ...weir.DialOption) *looked {
	t.Helper()
	l := &looked{r: inspect.NewRegistry()}
	l.simulated = simulate(t, mirror{}, weir.InspectRegistry(l.r))
	l.client = newWeirClient(t, "passthrough:///svc:80", append(opts, weir.WithContextDialer(l.net.Dial), weir.WithInspectRegistry(l.r))...)
	l.stub = testpb.NewTestServiceClient(l.client)
	return l
}

func (l *looked) stop(t *testing.T) {
	t.Helper()
	l.client.Close()
	l.Stop()
	if err := <-l.served; err != nil {
		t.Error(err)
	}
}

// look gives the one client and the one server.
func (l *looked) look(t *testing.T, d inspect.Detail) (inspect.Client, inspect.Server) {
	t.Helper()
	synctest.Wait()
	cs, ss := l.r.Clients(d), l.r.Servers(d)
	if len(cs) != 1 || len(ss) != 1 {
		t.Fatalf("%d clients and %d servers, want one each", len(cs), len(ss))
	}
	return cs[0], ss[0]
}

// Feature: channelz: channels, servers, calls started, succeeded and failed, connectivity events
//
// A Client and a Server are looked at from their beginning to their end. The
// sums outlive the connections, and never fall.
func TestInspect_ClientAndServer_FromBeginToEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := inspected(t)
		made := time.Now()
		c, s := l.look(t, inspect.Connections)
		if c.State != "IDLE" || c.Target != "passthrough:///svc:80" || !c.Since.Equal(made) || len(c.Connections) != 0 || len(c.Events) != 0 || !c.LastCall.IsZero() {
			t.Errorf("a new client: %+v", c)
		}
		if s.State != "serving" || len(s.Listeners) != 1 || s.Listeners[0].Address.Text != "svc:80" || len(s.Connections) != 0 {
			t.Errorf("a server: %+v", s)
		}
		simnet.Advance(time.Second)
		for range 3 {
			if _, err := l.stub.EmptyCall(t.Context(), new(testpb.Empty)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := l.stub.UnimplementedCall(t.Context(), new(testpb.Empty)); err == nil {
			t.Error("a method that is not implemented succeeded")
		}
		stream, err := l.stub.FullDuplexCall(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c, s = l.look(t, inspect.Streams)
		want := inspect.Calls{Started: 5, Succeeded: 3, Failed: 1}
		if c.Calls != want || s.Calls != want || c.Open.Streams != 1 || s.Open.Streams != 1 {
			t.Errorf("the client has %+v and %d open, the server %+v and %d, want %+v and 1", c.Calls, c.Open.Streams, s.Calls, s.Open.Streams, want)
		}
		if c.State != "READY" || !c.StateSince.Equal(time.Now()) || !c.LastCall.Equal(time.Now()) || !s.LastCall.Equal(time.Now()) || c.EventsCount != 2 || !strings.Contains(c.Events[1].Text, "READY") {
			t.Errorf("a client with calls: %+v", c)
		}
		if len(c.Connections) != 1 || len(s.Connections) != 1 || c.Connections[0].Remote != s.Connections[0].Local ||
			c.Connections[0].Streams[0].Method != "/grpc.testing.TestService/FullDuplexCall" || s.Connections[0].Streams[0].Method != "/grpc.testing.TestService/FullDuplexCall" {
			t.Errorf("connections: %+v, %+v", c.Connections, s.Connections)
		}
		if got, ok := l.r.Conn(s.Connections[0].ID); !ok || got.ID != s.Connections[0].ID || got.Client {
			t.Errorf("the server's connection by its id: %+v, %v", got, ok)
		}
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != io.EOF {
			t.Fatal(err)
		}
		before, _ := l.look(t, inspect.Totals)
		if before.Connections != nil {
			t.Errorf("totals have connections: %+v", before.Connections)
		}

		l.Stop()
		synctest.Wait()
		if ss := l.r.Servers(inspect.Totals); len(ss) != 0 {
			t.Errorf("a stopped server is listed: %+v", ss)
		}
		// A server that has stopped still tells, who asks it.
		if s := l.Server.InspectServer(inspect.Connections); s.State != "stopped" || s.Calls != (inspect.Calls{Started: 5, Succeeded: 4, Failed: 1}) || len(s.Connections) != 0 {
			t.Errorf("a stopped server: %+v", s)
		}
		c = l.r.Clients(inspect.Connections)[0]
		if c.State != "IDLE" || len(c.Connections) != 0 || c.OctetsOut < before.OctetsOut || c.Calls != (inspect.Calls{Started: 5, Succeeded: 4, Failed: 1}) || !c.LastCall.Equal(before.LastCall) || c.Err == "" {
			t.Errorf("after the loss of its connection: %+v", c)
		}
		if _, err := l.stub.EmptyCall(t.Context(), new(testpb.Empty)); err == nil {
			t.Error("a call without a server succeeded")
		}
		c = l.r.Clients(inspect.Totals)[0]
		if c.Calls != (inspect.Calls{Started: 6, Succeeded: 4, Failed: 2}) || c.State != "TRANSIENT_FAILURE" || !c.Events[len(c.Events)-1].Warning || !strings.Contains(c.Err, "svc:80") {
			t.Errorf("after a call without a server: %+v", c)
		}
		l.client.Close()
		if cs := l.r.Clients(inspect.Totals); len(cs) != 0 {
			t.Errorf("a closed client is listed: %+v", cs)
		}
		<-l.served
	})
}

// At most 30 changes of state are remembered, and all are counted.
func TestInspect_Client_EventsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := inspected(t)
		for range 20 {
			l.client.Connect()
			synctest.Wait()
			for _, sc := range l.client.InspectConnections() {
				sc.(interface{ GracefulClose() }).GracefulClose()
			}
			synctest.Wait()
		}
		got, _ := l.look(t, inspect.Totals)
		if len(got.Events) != 30 || got.EventsCount != 60 || !strings.Contains(got.Events[29].Text, "IDLE") || !strings.Contains(got.Events[0].Text, "CONNECTING") {
			t.Errorf("%d events of %d, the first %+v, the last %+v", len(got.Events), got.EventsCount, got.Events[0], got.Events[len(got.Events)-1])
		}
		l.stop(t)
	})
}

// Who says nothing is in inspect.Default, and who says nil is nowhere.
func TestInspect_DefaultRegistry(t *testing.T) {
	r := inspect.Default
	clients, servers := len(r.Clients(inspect.Totals)), len(r.Servers(inspect.Totals))
	c, s := newWeirClient(t, "passthrough:///x"), weir.NewServer()
	hidden, unseen := newWeirClient(t, "passthrough:///x", weir.WithInspectRegistry(nil)), weir.NewServer(weir.InspectRegistry(nil))
	if _, ok := r.Client(c.InspectID(), inspect.Totals); !ok {
		t.Error("a client is not in the default registry")
	}
	if got, ok := r.Server(s.InspectID(), inspect.Totals); !ok || got.State != "idle" {
		t.Errorf("a server: %+v, %v", got, ok)
	}
	if _, ok := r.Client(hidden.InspectID(), inspect.Totals); ok {
		t.Error("a client that nobody shall see is in the default registry")
	}
	if _, ok := r.Server(unseen.InspectID(), inspect.Totals); ok {
		t.Error("a server that nobody shall see is in the default registry")
	}
	c.Close()
	s.Stop()
	unseen.Stop()
	if n, m := len(r.Clients(inspect.Totals)), len(r.Servers(inspect.Totals)); n > clients || m > servers {
		t.Errorf("%d clients and %d servers are left, %d and %d were there", n, m, clients, servers)
	}
}

// Snapshots of a server and a client at work agree in themselves, and no
// counter falls, while connections come and go.
func TestInspect_UnderLoad_NothingFalls(t *testing.T) {
	r := inspect.NewRegistry()
	srv := weir.NewServer(weir.InspectRegistry(r))
	testpb.RegisterTestServiceServer(srv, mirror{})
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	c := newWeirClient(t, "passthrough:///"+lis.Addr().String(), weir.WithInspectRegistry(r))
	stub := testpb.NewTestServiceClient(c)
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			for range 300 {
				_, _ = stub.UnaryCall(t.Context(), payload(300))
				_, _ = stub.UnimplementedCall(t.Context(), new(testpb.Empty))
				ctx, cancel := context.WithCancel(t.Context())
				if s, err := stub.FullDuplexCall(ctx); err == nil {
					_ = s.Send(&testpb.StreamingOutputCallRequest{Payload: payload(40 << 10).Payload})
					_, _ = s.Recv()
				}
				cancel()
			}
		})
	}
	over := make(chan struct{})
	go func() {
		load.Wait()
		close(over)
	}()
	var client inspect.Client
	var server inspect.Server
	for n := 0; ; n++ {
		cn, sn := r.Clients(inspect.Streams)[0], r.Servers(inspect.Streams)[0]
		for what, pair := range map[string][2]inspect.Counters{"client": {client.Counters, cn.Counters}, "server": {server.Counters, sn.Counters}} {
			before, now := pair[0], pair[1]
			if now.Calls.Failed < before.Calls.Failed || now.Calls.Succeeded < before.Calls.Succeeded || now.Calls.Started < now.Calls.Failed+now.Calls.Succeeded ||
				now.FramesIn < before.FramesIn || now.OctetsOut < before.OctetsOut || now.ResetsIn.Sum() < before.ResetsIn.Sum() {
				t.Fatalf("the %s counted %+v, and then %+v", what, before, now)
			}
		}
		if open := cn.Calls.Started - cn.Calls.Succeeded - cn.Calls.Failed; open != uint64(cn.Open.Streams) {
			t.Fatalf("%d calls are open, and %d streams", open, cn.Open.Streams)
		}
		client, server = cn, sn
		if n%50 == 49 { // another connection takes over
			for _, sc := range c.InspectConnections() {
				sc.(interface{ GracefulClose() }).GracefulClose()
			}
		}
		select {
		case <-over:
			c.Close()
			srv.Stop()
			<-served
			// Close cannot know of what the server has not heard of yet.
			c, s := c.InspectClient(inspect.Totals), srv.InspectServer(inspect.Totals)
			if c.Calls.Started != 3600 || c.Calls.Succeeded < 1200 || c.Open.Streams != 0 || s.Calls.Started != s.Calls.Succeeded+s.Calls.Failed || s.Open.Streams != 0 {
				t.Errorf("in the end the client has %+v, the server %+v", c.Calls, s.Calls)
			}
			return
		default:
		}
	}
}

// asking is a listener that asks its server before it tells its address.
type asking struct {
	net.Listener
	s *weir.Server
}

func (a *asking) Addr() net.Addr {
	a.s.GetServiceInfo()
	return a.Listener.Addr()
}

// A listener may do with the Server what it likes: who looks calls it with no lock
// of the Server, or this would not end.
func TestInspect_ListenerUsesItsServer(t *testing.T) {
	s := weir.NewServer(weir.InspectRegistry(nil))
	lis := &asking{listen(t), s}
	background(t, s, lis)
	var all []inspect.Listener
	for len(all) == 0 { // until Serve has it
		all = s.InspectServer(inspect.Totals).Listeners
		runtime.Gosched()
	}
	if len(all) != 1 || all[0].Address.Text != lis.Listener.Addr().String() {
		t.Errorf("the listeners are %v", all)
	}
}

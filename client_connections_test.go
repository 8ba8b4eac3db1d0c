package weir_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/inspect"
	"github.com/weir-rpc/weir/internal/simnet"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// crowd is a server that allows few streams on a connection, and a Client that may
// have several, in a bubble. Each address of the network is one of its names.
type crowd struct {
	t   *testing.T
	net simnet.Network
	srv []*weir.Server
	c   *weir.Client

	mu    sync.Mutex
	dials []time.Duration // after start
	start time.Time
	fail  bool // dialing

	most atomic.Int32 // connections that there were at a time
	open atomic.Int32
}

// inCrowd runs f with servers of streams streams a connection and a Client of up
// to most connections to each, so far away. Zero leaves that to opts.
func inCrowd(t *testing.T, target string, streams uint32, most int, rtt time.Duration, f func(t *testing.T, w *crowd), opts ...weir.DialOption) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &crowd{t: t, start: time.Now()}
		for _, name := range []string{"a:1", "b:1"} {
			lis, err := w.net.Listen(name)
			if err != nil {
				t.Fatal(err)
			}
			srv := weir.NewServer(weir.MaxConcurrentStreams(streams))
			testpb.RegisterTestServiceServer(srv, mirror{})
			background(t, srv, lis)
			w.srv = append(w.srv, srv)
		}
		w.net.Link.RTT = rtt
		options := append([]weir.DialOption{
			weir.WithContextDialer(w.dial), weir.WithInspectRegistry(nil),
			weir.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: time.Second, Multiplier: 2, MaxDelay: time.Minute}}),
		}, opts...)
		if most != 0 {
			options = append(options, weir.WithMaxConnectionsPerAddress(most))
		}
		w.c = newWeirClient(t, target, options...)
		w.hold(1)[0].end(t)
		f(t, w)
	})
}

func (w *crowd) dial(ctx context.Context, address string) (net.Conn, error) {
	w.mu.Lock()
	w.dials = append(w.dials, time.Since(w.start))
	fail := w.fail
	w.mu.Unlock()
	if fail {
		return nil, fmt.Errorf("no way to %s", address)
	}
	nc, err := w.net.Dial(ctx, address)
	if err != nil {
		return nil, err
	}
	for n, most := w.open.Add(1), w.most.Load(); n > most && !w.most.CompareAndSwap(most, n); most = w.most.Load() {
	}
	return &countedConn{Conn: nc, end: sync.OnceFunc(func() { w.open.Add(-1) })}, nil
}

type countedConn struct {
	net.Conn
	end func()
}

func (c *countedConn) Close() error {
	c.end()
	return c.Conn.Close()
}

// held is a stream that takes a slot until it ends.
type held struct {
	testpb.TestService_FullDuplexCallClient
}

// call makes a unary call, which waits for its slot or has ended when call returns.
// The channel gives how it ends.
func (w *crowd) call() <-chan error {
	ended := make(chan error, 1)
	go func() {
		_, err := stubOf(w.c).EmptyCall(w.t.Context(), &testpb.Empty{})
		ended <- err
	}()
	synctest.Wait()
	return ended
}

// hold opens streams, all of which have reached the server when it returns.
func (w *crowd) hold(n int) []held {
	w.t.Helper()
	all, errs := make([]held, n), make(chan error, n)
	for i := range all {
		go func() { errs <- all[i].begin(w) }()
		synctest.Wait() // in their order
	}
	for range all {
		if err := <-errs; err != nil {
			w.t.Fatal(err)
		}
	}
	return all
}

func (h *held) begin(w *crowd) (err error) {
	if h.TestService_FullDuplexCallClient, err = stubOf(w.c).FullDuplexCall(w.t.Context()); err != nil {
		return err
	}
	return h.turn()
}

// turn has a message go there and back.
func (h *held) turn() error {
	if err := h.Send(&testpb.StreamingOutputCallRequest{Payload: &testpb.Payload{}}); err != nil {
		return err
	}
	_, err := h.Recv()
	return err
}

func (h *held) end(t *testing.T) {
	t.Helper()
	if err := h.CloseSend(); err != nil {
		t.Error(err)
	}
	if _, err := h.Recv(); err != io.EOF {
		t.Error(err)
	}
	synctest.Wait()
}

// streams gives the open streams of each connection that takes calls, the oldest
// connection first.
func (w *crowd) streams() []int {
	w.t.Helper()
	synctest.Wait()
	var all []inspect.Conn
	for _, c := range w.c.InspectConnections() {
		if one := c.Inspect(false); one.State == "open" {
			all = append(all, one)
		}
	}
	slices.SortFunc(all, func(a, b inspect.Conn) int { return a.Since.Compare(b.Since) })
	var n []int
	for _, one := range all {
		n = append(n, one.Open.Streams)
	}
	return n
}

func (w *crowd) wantStreams(why string, want ...int) {
	w.t.Helper()
	if got := w.streams(); !slices.Equal(got, want) {
		w.t.Errorf("%s: the connections have %v streams, want %v", why, got, want)
	}
}

// Feature: several connections to one address, as many as the calls need.
//
// Another connection is made when the slots run out, the oldest is filled first,
// there are never more than is allowed, and who waits gets a slot on a new one.
func TestMaxConnectionsPerAddress_SlotsRunOut(t *testing.T) {
	for _, policy := range []string{"pick_first", "round_robin"} {
		t.Run(policy, func(t *testing.T) {
			inCrowd(t, "passthrough:///a:1", 4, 3, 10*time.Millisecond, func(t *testing.T, w *crowd) {
				first := w.hold(4)
				w.wantStreams("one is enough", 4)
				second := w.hold(2)
				w.wantStreams("two more need another", 4, 2)
				first[0].end(t)
				third := w.hold(1)
				w.wantStreams("the oldest has room", 4, 2)
				w.hold(6)
				w.wantStreams("all are full", 4, 4, 4)

				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_, err := stubOf(w.c).EmptyCall(ctx, &testpb.Empty{})
				if status.Code(err) != codes.DeadlineExceeded || !strings.Contains(err.Error(), "12 streams") || !strings.Contains(err.Error(), "WithMaxConnectionsPerAddress") {
					t.Errorf("a call without a slot: %v", err)
				}
				waits := w.call()
				second[0].end(t)
				if err := <-waits; err != nil {
					t.Errorf("a call that waited for the slot: %v", err)
				}
				third[0].end(t)
				if n := w.most.Load(); n != 3 {
					t.Errorf("there were %d connections, want 3", n)
				}
				if s := w.c.GetState(); s != connectivity.Ready {
					t.Errorf("the state is %v", s)
				}
			}, weir.WithDefaultServiceConfig(policyOf(policy)))
		})
	}
}

// throughput gives the calls a second that so many callers make, after the Client
// has had a second to get going.
func (w *crowd) throughput(callers int, d time.Duration) float64 {
	w.t.Helper()
	var counts, over atomic.Bool
	var n atomic.Int64
	var work sync.WaitGroup
	for range callers {
		work.Go(func() {
			for !over.Load() {
				if _, err := stubOf(w.c).EmptyCall(w.t.Context(), &testpb.Empty{}); err != nil {
					w.t.Error(err)
					return
				}
				if counts.Load() {
					n.Add(1)
				}
			}
		})
	}
	simnet.Advance(time.Second)
	counts.Store(true)
	simnet.Advance(d)
	counts.Store(false)
	over.Store(true)
	work.Wait()
	return float64(n.Load()) / d.Seconds()
}

// Feature: more calls at a time than a connection has streams, over several.
//
// A server that allows 100 streams, 1,000 calls at a time, a round trip of 50 ms:
// one connection makes 2,000 calls a second, as many as there are slots in a round
// trip, and ten make ten times as many.
func TestMaxConnectionsPerAddress_Throughput(t *testing.T) {
	got := make(map[int]float64)
	for _, most := range []int{1, 4, 10} {
		inCrowd(t, "passthrough:///a:1", 100, most, 50*time.Millisecond, func(t *testing.T, w *crowd) {
			got[most] = w.throughput(1000, time.Second)
			// With nine of ten the wait for a slot may be too short for another.
			if n := int(w.most.Load()); n > most || n < most-1 {
				t.Errorf("there were %d connections, want %d", n, most)
			}
		})
	}
	t.Logf("calls a second by the connections: %v", got)
	if got[4] < 3*got[1] || got[10] < 7*got[1] {
		t.Errorf("calls a second by the connections: %v, want three times and seven times those of one", got)
	}
}

// A short burst is served by the connections that there are.
func TestMaxConnectionsPerAddress_BurstMakesNoStorm(t *testing.T) {
	inCrowd(t, "passthrough:///a:1", 10, 8, time.Millisecond, func(t *testing.T, w *crowd) {
		var work sync.WaitGroup
		for range 60 { // eight or so in a row for each slot: the last waits for 6 ms
			work.Go(func() {
				if _, err := stubOf(w.c).EmptyCall(t.Context(), &testpb.Empty{}); err != nil {
					t.Error(err)
				}
			})
		}
		work.Wait()
		if n := w.most.Load(); n != 1 {
			t.Errorf("a burst: there were %d connections, want 1", n)
		}
		// Somebody waits at any time, but nobody for long.
		w.throughput(15, time.Second)
		if n := w.most.Load(); n != 1 {
			t.Errorf("a line that moves: there were %d connections, want 1", n)
		}
	})
}

// Connections are made one at a time. When that fails the pauses are those of the
// backoff, and calls go on over the connections that there are.
func TestMaxConnectionsPerAddress_Paced(t *testing.T) {
	inCrowd(t, "passthrough:///a:1", 2, 5, 10*time.Millisecond, func(t *testing.T, w *crowd) {
		held := w.hold(2)
		w.mu.Lock()
		w.fail, w.dials = true, nil
		w.mu.Unlock()
		begun := time.Since(w.start)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := stubOf(w.c).EmptyCall(ctx, &testpb.Empty{})
		if status.Code(err) != codes.DeadlineExceeded || !strings.Contains(err.Error(), "no way to a:1") {
			t.Errorf("a call that waits for a connection that cannot be made: %v", err)
		}
		w.mu.Lock()
		dials := w.dials
		w.mu.Unlock()
		// After 1, 2, 4 s from one to the next, and some 15 ms for what the need is.
		if len(dials) != 4 {
			t.Fatalf("dialed at %v, want four times", dials)
		}
		for i, at := range []time.Duration{0, time.Second, 3 * time.Second, 7 * time.Second} {
			if late := dials[i] - begun - at; late < 10*time.Millisecond || late > 100*time.Millisecond {
				t.Errorf("dial %d was at %v, want some 20 ms after %v", i, dials[i]-begun, at)
			}
		}
		w.wantStreams("the one that there is goes on", 2)
		held[0].end(t)
		if _, err := stubOf(w.c).EmptyCall(t.Context(), &testpb.Empty{}); err != nil {
			t.Error(err)
		}
	})
}

// The youngest connection is closed when the others can do without it for a
// minute, one after the other. Nobody's call fails for it.
func TestMaxConnectionsPerAddress_Shrinks(t *testing.T) {
	inCrowd(t, "passthrough:///a:1", 4, 3, 10*time.Millisecond, func(t *testing.T, w *crowd) {
		held := w.hold(9)
		w.wantStreams("at first", 4, 4, 1)
		simnet.Advance(3 * time.Minute)
		w.wantStreams("there is no room for the calls of the youngest", 4, 4, 1)
		for _, h := range held[:4] {
			h.end(t)
		}
		w.wantStreams("the oldest has room", 0, 4, 1)
		simnet.Advance(11 * time.Second)
		w.wantStreams("the youngest takes no more calls", 0, 4)
		simnet.Advance(11 * time.Second)
		w.wantStreams("one has room for all", 0)
		for _, h := range held[4:] {
			if err := h.turn(); err != nil {
				t.Errorf("a stream on a connection that drains: %v", err)
			}
			h.end(t)
		}
		simnet.Advance(time.Second)
		if n := w.open.Load(); n != 1 {
			t.Errorf("there are %d connections, want 1", n)
		}
		w.hold(9)
		w.wantStreams("and more again", 4, 4, 1)
	})
}

// What drains because there were too many counts until it has ended.
func TestMaxConnectionsPerAddress_NeverMore(t *testing.T) {
	inCrowd(t, "passthrough:///a:1", 4, 2, 10*time.Millisecond, func(t *testing.T, w *crowd) {
		held := w.hold(5)
		held[0].end(t)
		simnet.Advance(2 * time.Minute)
		w.wantStreams("the youngest drains", 3)
		w.hold(1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := stubOf(w.c).EmptyCall(ctx, &testpb.Empty{}); status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("a call without a slot: %v", err)
		}
		held[4].end(t)
		if n := w.most.Load(); n != 2 {
			t.Errorf("there were %d connections, want 2", n)
		}
		w.hold(1)
		w.wantStreams("its place is free", 4, 1)
	})
}

// Balancers spread calls over addresses, each of which has its own connections.
func TestMaxConnectionsPerAddress_RoundRobin(t *testing.T) {
	inCrowd(t, "whatever:///", 4, 2, 10*time.Millisecond, func(t *testing.T, w *crowd) {
		simnet.Advance(time.Second) // both are there
		w.hold(14)
		got := w.streams()
		slices.Sort(got)
		if !slices.Equal(got, []int{3, 3, 4, 4}) {
			t.Errorf("the connections have %v streams, want seven on the two of each address", got)
		}
	}, weir.WithResolvers(listing("a:1", "b:1")), weir.WithDefaultServiceConfig(policyOf("round_robin")))
}

// Close ends the calls that wait for a slot, and those that run.
func TestMaxConnectionsPerAddress_Close(t *testing.T) {
	inCrowd(t, "passthrough:///a:1", 1, 2, 10*time.Millisecond, func(t *testing.T, w *crowd) {
		held := w.hold(2)
		errs := make(chan error, 10)
		for range cap(errs) {
			go func() {
				_, err := stubOf(w.c).EmptyCall(t.Context(), &testpb.Empty{})
				errs <- err
			}()
		}
		synctest.Wait()
		if err := w.c.Close(); err != nil {
			t.Error(err)
		}
		for range cap(errs) {
			if err := <-errs; status.Code(err) != codes.Canceled {
				t.Errorf("a call that waited: %v", err)
			}
		}
		for _, h := range held {
			if err := h.turn(); err == nil {
				t.Error("a stream goes on")
			}
		}
		synctest.Wait()
		if n := w.open.Load(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
}

// listing gives a resolver with addresses, which need be none of a listener.
func listing(all ...string) *manual.Resolver {
	r := manual.NewBuilderWithScheme("whatever")
	var s resolver.State
	for _, name := range all {
		s.Endpoints = append(s.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{{Addr: name}}})
	}
	r.InitialState(s)
	return r
}

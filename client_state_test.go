package weir_test

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/rolling"
	"github.com/weir-rpc/weir/internal/simnet"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// connector is what weir.Client and grpc.ClientConn have in common beside
// calls.
type connector interface {
	anyClient
	GetState() connectivity.State
	WaitForStateChange(ctx context.Context, source connectivity.State) bool
	Connect()
	ResetConnectBackoff()
	Target() string
}

var (
	_ connector = (*weir.Client)(nil)
	_ connector = (*grpc.ClientConn)(nil)
)

// quick are parameters for tests that wait for attempts in real time.
var quick = grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 10 * time.Millisecond, Multiplier: 1.5, MaxDelay: 50 * time.Millisecond}}

func newWeirClient(tb testing.TB, target string, opts ...weir.DialOption) *weir.Client {
	tb.Helper()
	opts = append([]weir.DialOption{weir.WithTransportCredentials(insecure.NewCredentials()), weir.WithConnectParams(quick)}, opts...)
	c, err := weir.NewClient(target, opts...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	return c
}

func newGRPCClient(tb testing.TB, target string, opts ...grpc.DialOption) *grpc.ClientConn {
	tb.Helper()
	params := quick
	params.MinConnectTimeout = 20 * time.Second // the default, which is for a busy machine too
	opts = append([]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithConnectParams(params)}, opts...)
	c, err := grpc.NewClient(target, opts...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	return c
}

// serveAt serves echo on an address until stop is called. Where a server was before,
// somebody else on this machine may have got its port, for a moment.
func serveAt(tb testing.TB, network, address string) (lis net.Listener, stop func(graceful bool)) {
	tb.Helper()
	var err error
	if network == "tcp" {
		lis, err = rolling.Listen(tb.Context(), address)
	} else {
		lis, err = net.Listen(network, address)
	}
	if err != nil {
		tb.Fatal(err)
	}
	srv := weir.NewServer()
	testpb.RegisterTestServiceServer(srv, echo{})
	served := make(chan struct{})
	go func() {
		defer close(served)
		srv.Serve(lis)
	}()
	stop = func(graceful bool) {
		if graceful {
			srv.GracefulStop()
		} else {
			srv.Stop()
		}
		<-served
	}
	tb.Cleanup(func() { stop(false) })
	return lis, stop
}

// until waits for a state, and gives those that were seen before it.
func until(t *testing.T, c connector, want connectivity.State) []connectivity.State {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var seen []connectivity.State
	for {
		s := c.GetState()
		if s == want {
			return seen
		}
		seen = append(seen, s)
		if !c.WaitForStateChange(ctx, s) {
			t.Fatalf("the state is %v after 20 s, want %v", s, want)
		}
	}
}

// Both clients go through the same states, with the same server.
func TestStatesAreThoseOfGRPC(t *testing.T) {
	for _, name := range []string{"weir", "grpc-go"} {
		t.Run(name, func(t *testing.T) {
			lis, stop := serveAt(t, "tcp", "127.0.0.1:0")
			address := lis.Addr().String()
			var c connector
			if name == "weir" {
				c = newWeirClient(t, "passthrough:///"+address)
			} else {
				c = newGRPCClient(t, "passthrough:///"+address)
			}
			if s := c.GetState(); s != connectivity.Idle {
				t.Errorf("a new client is %v", s)
			}
			c.Connect()
			until(t, c, connectivity.Ready)
			stop(false)
			if seen := until(t, c, connectivity.Idle); len(seen) > 1 || len(seen) == 1 && seen[0] != connectivity.Ready {
				t.Errorf("after the loss of the connection: %v, then IDLE", seen)
			}
			c.Connect()
			if seen := until(t, c, connectivity.TransientFailure); slices.Contains(seen, connectivity.Ready) {
				t.Errorf("without a server: %v", seen)
			}
			short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			if c.WaitForStateChange(short, connectivity.TransientFailure) {
				t.Errorf("TRANSIENT_FAILURE became %v without a server", c.GetState())
			}
			_, stop = serveAt(t, "tcp", address)
			c.ResetConnectBackoff()
			until(t, c, connectivity.Ready)
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			if s := c.GetState(); s != connectivity.Shutdown {
				t.Errorf("a closed client is %v", s)
			}
			stop(false)
		})
	}
}

// A server is replaced many times under load. Calls that wait for ready are
// neither lost nor failed, and the connections of the old ones are gone.
func TestServerRestartsUnderLoad(t *testing.T) {
	lis, stop := serveAt(t, "tcp", "127.0.0.1:0")
	address := lis.Addr().String()
	var lost atomic.Int64
	c := newWeirClient(t, "dns:///"+address, weir.WithDefaultCallOptions(grpc.WaitForReady(true)),
		weir.WithStateObserver(func(_, to connectivity.State, _ error) {
			if to == connectivity.Idle {
				lost.Add(1)
			}
		}))
	client := testpb.NewTestServiceClient(c)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var (
		wg    sync.WaitGroup
		over  atomic.Bool
		calls atomic.Int64
	)
	for range 8 {
		wg.Go(func() {
			for !over.Load() {
				in := &testpb.SimpleRequest{ResponseSize: 100, Payload: &testpb.Payload{Body: []byte("x")}}
				out, err := client.UnaryCall(ctx, in)
				if err != nil || len(out.GetPayload().GetBody()) != 100 {
					t.Errorf("a call ended with %v, %v", out, err)
					return
				}
				calls.Add(1)
			}
		})
	}
	const restarts = 10
	for i := range restarts {
		for before := calls.Load(); calls.Load() < before+50 && !t.Failed(); {
			runtime.Gosched()
		}
		stop(true)
		if i%2 == 0 { // some find nobody at home
			before := c.GetState()
			ctx, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
			c.WaitForStateChange(ctx, before)
			cancel()
		}
		_, stop = serveAt(t, "tcp", address)
	}
	over.Store(true)
	wg.Wait()
	if n := lost.Load(); n < restarts/2 {
		t.Errorf("%d connections were lost in %d restarts: the test does not test", n, restarts)
	}
	t.Logf("%d calls, %d connections lost", calls.Load(), lost.Load())
	stop(false)
}

// A server that is not there: who, why, and which options change it.
func TestRefusedAddress(t *testing.T) {
	lis, stop := serveAt(t, "tcp", "127.0.0.1:0")
	address := lis.Addr().String()
	stop(false)
	told := make(chan error, 1)
	c := newWeirClient(t, "dns:///"+address, weir.WithStateObserver(func(_, to connectivity.State, err error) {
		if to == connectivity.TransientFailure {
			told <- err
		}
	}))
	_, err := testpb.NewTestServiceClient(c).EmptyCall(t.Context(), &testpb.Empty{})
	wantText(t, err, codes.Unavailable, "dns:///"+address, "cannot connect to "+address, "connection refused", "WaitForReady", "WithConnectParams")
	var ce *weir.ConnectError
	if err := <-told; !errors.As(err, &ce) || ce.Address != address || ce.Permanent {
		t.Errorf("the observer was told %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = testpb.NewTestServiceClient(c).EmptyCall(ctx, &testpb.Empty{}, grpc.WaitForReady(true))
	wantText(t, err, codes.DeadlineExceeded, "dns:///"+address, "TRANSIENT_FAILURE", "connection refused")
}

// Calls of a closed client, and those that wait while it is closed.
func TestCloseEndsWaitingCalls(t *testing.T) {
	lis, stop := serveAt(t, "tcp", "127.0.0.1:0")
	stop(false)
	c := newWeirClient(t, lis.Addr().String())
	client := testpb.NewTestServiceClient(c)
	waiting := make(chan error)
	go func() {
		_, err := client.EmptyCall(context.Background(), &testpb.Empty{}, grpc.WaitForReady(true))
		waiting <- err
	}()
	until(t, c, connectivity.TransientFailure)
	c.Close()
	wantText(t, <-waiting, codes.Canceled, "closed")
	_, err := client.EmptyCall(t.Context(), &testpb.Empty{})
	wantText(t, err, codes.Canceled, "closed")
}

// A server that accepts and never says anything costs the connect timeout, in
// the time of a bubble.
func TestSilentServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network simnet.Network
		lis, err := network.Listen("svc:80")
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			nc, err := lis.Accept()
			if err != nil {
				return
			}
			for b := make([]byte, 1024); err == nil; {
				_, err = nc.Read(b)
			}
			nc.Close()
		})
		c := newWeirClient(t, "passthrough:///svc:80", weir.WithContextDialer(network.Dial), weir.WithConnectParams(grpc.ConnectParams{}))
		start := time.Now()
		_, err = testpb.NewTestServiceClient(c).EmptyCall(t.Context(), &testpb.Empty{})
		if d := time.Since(start); d != 20*time.Second {
			t.Errorf("it took %v, want the connect timeout of 20 s", d)
		}
		wantText(t, err, codes.Unavailable, "svc:80", "SETTINGS", "connect timeout of 20s", "WithConnectParams: MinConnectTimeout")
		c.Close()
		lis.Close()
		wg.Wait()
	})
}

// Targets of every kind reach a server over sockets of the system.
func TestTargets(t *testing.T) {
	tcp, _ := serveAt(t, "tcp", "127.0.0.1:0")
	_, port, err := net.SplitHostPort(tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	path := simnet.SocketPath(t)
	serveAt(t, "unix", path)
	targets := []string{
		"127.0.0.1:" + port, "localhost:" + port, ":" + port, "dns:localhost:" + port, "passthrough:///localhost:" + port,
		"unix:" + path, "unix://" + path, "passthrough:///unix:" + path,
	}
	if runtime.GOOS == "linux" {
		name := "weir-" + filepath.Base(filepath.Dir(path)) + port
		serveAt(t, "unix", "@"+name)
		targets = append(targets, "unix-abstract:"+name)
	}
	for _, target := range targets {
		t.Run(target, func(t *testing.T) {
			c := newWeirClient(t, target)
			if _, err := testpb.NewTestServiceClient(c).EmptyCall(t.Context(), &testpb.Empty{}); err != nil {
				t.Error(err)
			}
		})
	}
}

func wantText(t *testing.T, err error, code codes.Code, words ...string) {
	t.Helper()
	if status.Code(err) != code {
		t.Fatalf("%v, want code %v", err, code)
	}
	wantWords(t, err, words)
}

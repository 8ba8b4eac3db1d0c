package weir_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/allocs"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// catch gives the connection that interceptors get.
func catch(tb testing.TB, target string, opts ...weir.DialOption) (*weir.Client, *grpc.ClientConn) {
	tb.Helper()
	var conn *grpc.ClientConn
	c := newWeirClient(tb, target, append(opts, weir.WithChainUnaryInterceptor(
		func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			if conn == nil {
				conn = cc
				return nil
			}
			return invoke(ctx, method, req, reply, cc, opts...)
		}))...)
	if _, err := testpb.NewTestServiceClient(c).EmptyCall(tb.Context(), &testpb.Empty{}); err != nil || conn == nil {
		tb.Fatalf("the interceptor got %v, %v", conn, err)
	}
	return c, conn
}

// The connection that interceptors get has the Client's target, as it was
// written, for every kind of target.
func TestBridgeTarget(t *testing.T) {
	for _, target := range []string{
		"localhost:50051", "localhost", "dns:///svc.example:443", "dns://127.0.0.1:53/svc.example", "[::1]:80",
		"passthrough:///anything at all", "unix:relative.sock", "unix:///run/a.sock", "unix-abstract:name",
	} {
		if _, cc := catch(t, target); cc.Target() != target || cc.GetState() != connectivity.Idle {
			t.Errorf("%q: the interceptors see %q, %v", target, cc.Target(), cc.GetState())
		}
	}
}

// It does not dial, though it is told to connect, and calls run all the same.
func TestBridgeDoesNotDial(t *testing.T) {
	address := serveOn(t, pairings[0], echo{})
	var dials atomic.Int32
	c, cc := catch(t, "passthrough:///"+address, weir.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
		dials.Add(1)
		return new(net.Dialer).DialContext(ctx, "tcp", address)
	}))
	cc.Connect()
	if n := dials.Load(); n != 0 {
		t.Fatalf("%d dials before the first call", n)
	}
	for range 3 {
		if _, err := testpb.NewTestServiceClient(cc).EmptyCall(t.Context(), &testpb.Empty{}); err != nil {
			t.Fatal(err)
		}
	}
	if n := dials.Load(); n != 1 || cc.GetState() == connectivity.Ready || c.GetState() != connectivity.Ready {
		t.Errorf("%d dials, the bridge is %v and the client %v", n, cc.GetState(), c.GetState())
	}
}

// An interceptor may send a call elsewhere: over any other grpc.ClientConn,
// whose interceptors do not see it, as in grpc-go.
func TestInterceptorRedirects(t *testing.T) {
	here, there := serveOn(t, pairings[0], newStreamer()), serveOn(t, pairings[1], newStreamer())
	for _, p := range pairings[1:] { // a client of weir's, and one of grpc-go's
		t.Run(p.name, func(t *testing.T) {
			other := newGRPCClient(t, "passthrough:///"+there)
			c := interception{
				unary: func(ctx context.Context, method string, req, reply any, _ *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
					return invoke(ctx, method, req, reply, other, opts...)
				},
				stream: func(ctx context.Context, desc *grpc.StreamDesc, _ *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
					return open(ctx, desc, other, method, opts...)
				},
			}.dial(t, p, here)
			var p1, p2 peer.Peer
			stub := testpb.NewTestServiceClient(c)
			if _, err := stub.EmptyCall(t.Context(), &testpb.Empty{}, grpc.Peer(&p1)); err != nil {
				t.Fatal(err)
			}
			s, err := stub.FullDuplexCall(t.Context(), grpc.Peer(&p2))
			if err != nil {
				t.Fatal(err)
			}
			drain(t, s)
			if p1.Addr.String() != there || p2.Addr.String() != there {
				t.Errorf("%v and %v answered, want %v", p1.Addr, p2.Addr, there)
			}
		})
	}
}

// A call that is sent over the bridge of another client fails and says why.
func TestInterceptorRedirectsToBridge(t *testing.T) {
	_, other := catch(t, "passthrough:///nowhere")
	c := newWeirClient(t, "passthrough:///nowhere", weir.WithUnaryInterceptor(
		func(ctx context.Context, method string, req, reply any, _ *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			return invoke(ctx, method, req, reply, other, opts...)
		}))
	_, err := testpb.NewTestServiceClient(c).EmptyCall(t.Context(), &testpb.Empty{})
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "belongs to a weir.Client") {
		t.Errorf("got %v", err)
	}
}

// Close ends the open streams; calls after it fail behind the interceptors, with
// CANCELLED, and so does a second Close.
func TestCloseWithInterceptors(t *testing.T) {
	var tr trace
	c := newWeirClient(t, "passthrough:///"+serveOn(t, pairings[0], newStreamer()),
		weir.WithUnaryInterceptor(tr.unary("a")), weir.WithStreamInterceptor(tr.stream("b")))
	stub := testpb.NewTestServiceClient(c)
	s, err := stub.FullDuplexCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Recv(); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "the client is closed") {
		t.Errorf("an open stream ends with %v", err)
	}
	if _, err := stub.EmptyCall(t.Context(), &testpb.Empty{}); status.Code(err) != codes.Canceled {
		t.Errorf("a call fails with %v", err)
	}
	if _, err := stub.FullDuplexCall(t.Context()); status.Code(err) != codes.Canceled {
		t.Errorf("a stream fails with %v", err)
	}
	tr.want(t, "> b", "< b", "> a", "< a", "> b", "< b")
	if err := c.Close(); status.Code(err) != codes.Canceled {
		t.Errorf("the second Close gives %v", err)
	}
}

// A stream that an interceptor refuses is not opened, and one that it has
// opened itself is closed by what the caller does.
func TestStreamInterceptorRefuses(t *testing.T) {
	errRefused := errors.New("no streams today")
	refuse := func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, grpc.Streamer, ...grpc.CallOption) (grpc.ClientStream, error) {
		return nil, errRefused
	}
	c := newWeirClient(t, "passthrough:///nowhere", weir.WithStreamInterceptor(refuse))
	if _, err := testpb.NewTestServiceClient(c).FullDuplexCall(t.Context()); err != errRefused {
		t.Errorf("got %v", err)
	}
	if c.GetState() != connectivity.Idle {
		t.Errorf("the client is %v", c.GetState())
	}
}

// Many calls at a time pass the same interceptors.
func TestInterceptorsAtOnce(t *testing.T) {
	var begun, ended atomic.Int64
	c := newWeirClient(t, "passthrough:///"+serveOn(t, pairings[0], newStreamer()),
		weir.WithDefaultCallOptions(grpc.OnFinish(func(error) { ended.Add(1) })),
		weir.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			begun.Add(1)
			return invoke(ctx, method, req, reply, cc, opts...)
		}),
		weir.WithStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			begun.Add(1)
			return open(ctx, desc, cc, method, opts...)
		}))
	stub := testpb.NewTestServiceClient(c)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 20 {
				if _, err := stub.EmptyCall(t.Context(), &testpb.Empty{}); err != nil {
					t.Error(err)
				}
				s, err := stub.FullDuplexCall(t.Context())
				if err != nil {
					t.Error(err)
					continue
				}
				_ = s.CloseSend()
				if _, err := s.Recv(); err != io.EOF {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if b, e := begun.Load(), ended.Load(); b != 640 || e != 640 {
		t.Errorf("%d calls passed and %d ended, want 640", b, e)
	}
}

// An interceptor costs a call one allocation besides its own.
func TestInterceptedAllocationBudget(t *testing.T) {
	if !allocs.Alone(t) {
		return
	}
	address := "passthrough:///" + serveOn(t, pairings[0], echo{})
	empty := new(testpb.Empty)
	count := func(opts ...weir.DialOption) float64 {
		stub := testpb.NewTestServiceClient(newWeirClient(t, address, opts...))
		return allocs.PerCall(t, 1000, func() error {
			_, err := stub.EmptyCall(t.Context(), empty)
			return err
		})
	}
	without := count()
	with := count(weir.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		return invoke(ctx, method, req, reply, cc, opts...)
	}))
	t.Logf("%.2f allocations per call without interceptors, %.2f with one", without, with)
	if with > without+1.5 {
		t.Errorf("%.2f allocations per call with an interceptor, %.2f without: want at most one more", with, without)
	}
}

package grpcconn_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/grpcconn"
	"github.com/weir-rpc/weir/internal/allocs"
	"github.com/weir-rpc/weir/internal/simnet"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"
)

type echo struct {
	testpb.UnimplementedTestServiceServer
}

func (echo) UnaryCall(ctx context.Context, in *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	if err := grpc.SetHeader(ctx, metadata.Pairs("seen-agent", strings.Join(md.Get("user-agent"), ","))); err != nil {
		return nil, err
	}
	return &testpb.SimpleResponse{Payload: in.GetPayload()}, nil
}

func (echo) FullDuplexCall(s grpc.BidiStreamingServer[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]) error {
	for {
		in, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := s.Send(&testpb.StreamingOutputCallResponse{Payload: in.GetPayload()}); err != nil {
			return err
		}
	}
}

// world is a network with a server at svc:80, in a bubble.
type world struct {
	net   simnet.Network
	srv   *weir.Server
	dials atomic.Int32
	last  *simnet.Conn // that was dialed
}

func inWorld(t *testing.T, f func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{srv: weir.NewServer()}
		testpb.RegisterTestServiceServer(w.srv, echo{})
		lis, err := w.net.Listen("svc:80")
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error, 1)
		go func() { served <- w.srv.Serve(lis) }()
		f(t, w)
		w.srv.Stop()
		<-served
	})
}

func (w *world) options() []weir.DialOption {
	return []weir.DialOption{weir.WithTransportCredentials(insecure.NewCredentials()), weir.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
		w.dials.Add(1)
		nc, err := w.net.Dial(ctx, address)
		if err == nil {
			w.last = nc.(*simnet.Conn)
		}
		return nc, err
	})}
}

func (w *world) conn(t *testing.T, opts ...weir.DialOption) *grpc.ClientConn {
	t.Helper()
	conn, err := grpcconn.New("passthrough:///svc:80", append(w.options(), opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func request() *testpb.SimpleRequest {
	return &testpb.SimpleRequest{Payload: &testpb.Payload{Body: []byte("hello")}}
}

// Feature: grpcconn: a real *grpc.ClientConn
//
// Stubs that demand the type work, of every age, and so does one of today. The
// calls are weir's.
func TestStubs(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		conn := w.conn(t)
		defer conn.Close()
		old, young := &oldStub{conn}, testpb.NewTestServiceClient(conn)
		for name, call := range map[string]func(context.Context, *testpb.SimpleRequest, ...grpc.CallOption) (*testpb.SimpleResponse, error){
			"old": old.UnaryCall, "of 2016": old.UnaryCallOf2016, "of today": young.UnaryCall,
		} {
			var header metadata.MD
			got, err := call(t.Context(), request(), grpc.Header(&header))
			if err != nil || string(got.GetPayload().GetBody()) != "hello" {
				t.Errorf("%s: %v, %v", name, got, err)
			}
			if agent := header.Get("seen-agent"); len(agent) != 1 || !strings.HasPrefix(agent[0], "grpc-go-weir/") {
				t.Errorf("%s: the server was called by %q", name, agent)
			}
		}
		for name, open := range map[string]func(context.Context, ...grpc.CallOption) (oldDuplex, error){
			"old": old.FullDuplexCall, "of 2016": old.FullDuplexCallOf2016,
		} {
			st, err := open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if err := st.Send(&testpb.StreamingOutputCallRequest{Payload: &testpb.Payload{Body: []byte("x")}}); err != nil {
					t.Fatal(err)
				}
				if m, err := st.Recv(); err != nil || string(m.GetPayload().GetBody()) != "x" {
					t.Errorf("%s: %v, %v", name, m, err)
				}
			}
			_ = st.CloseSend()
			if _, err := st.Recv(); !errors.Is(err, io.EOF) {
				t.Errorf("%s ends with %v", name, err)
			}
		}
		if n := w.dials.Load(); n != 1 {
			t.Errorf("%d connections were made", n)
		}
	})
}

// The conn shows the Client's states, connects when it is told to, and not
// before, and its Close closes the Client with all that it has.
func TestStates(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var client *weir.Client
		client, err := weir.NewClient("passthrough:///svc:80", w.options()...)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := grpcconn.Of(client)
		if err != nil {
			t.Fatal(err)
		}
		want := func(state connectivity.State) {
			t.Helper()
			synctest.Wait()
			if got := conn.GetState(); got != state {
				t.Errorf("the conn is %v, want %v", got, state)
			}
		}
		simnet.Advance(2 * time.Hour)
		want(connectivity.Idle)
		if n := w.dials.Load(); n != 0 {
			t.Errorf("%d connections of a conn that nobody uses", n)
		}
		conn.Connect()
		if !conn.WaitForStateChange(t.Context(), connectivity.Idle) {
			t.Error("no change of state")
		}
		want(connectivity.Ready)
		if got := client.GetState(); got != connectivity.Ready {
			t.Errorf("the Client is %v", got)
		}
		if conn.Target() != "passthrough:///svc:80" || conn.CanonicalTarget() != client.CanonicalTarget() {
			t.Errorf("targets are %q, %q", conn.Target(), conn.CanonicalTarget())
		}
		w.last.Reset()
		want(connectivity.Idle)
		if _, err := testpb.NewTestServiceClient(conn).UnaryCall(t.Context(), request()); err != nil {
			t.Error(err)
		}
		want(connectivity.Ready)

		st, err := testpb.NewTestServiceClient(conn).FullDuplexCall(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		want(connectivity.Shutdown)
		if got := client.GetState(); got != connectivity.Shutdown {
			t.Errorf("the Client is %v", got)
		}
		if _, err := st.Recv(); status.Code(err) != codes.Unavailable {
			t.Errorf("the stream ended with %v", err)
		}
		if _, err := testpb.NewTestServiceClient(conn).UnaryCall(t.Context(), request()); status.Code(err) != codes.Canceled {
			t.Errorf("a call after Close: %v", err)
		}
	})
}

// A Client that cannot connect, and one that is closed behind the conn's back,
// show as failing.
func TestStates_Failure(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		client, err := weir.NewClient("passthrough:///nowhere:80", w.options()...)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := grpcconn.Of(client)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := testpb.NewTestServiceClient(conn).UnaryCall(t.Context(), request()); status.Code(err) != codes.Unavailable {
			t.Error(err)
		}
		synctest.Wait()
		if got := conn.GetState(); got != connectivity.TransientFailure {
			t.Errorf("the conn is %v", got)
		}
		_ = client.Close()
		synctest.Wait()
		if got := conn.GetState(); got != connectivity.TransientFailure {
			t.Errorf("the conn is %v when its Client is closed", got)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Options of grpc-go's own for interceptors and calls are applied, outside of
// those of the Client; those that need a connection do no harm.
func TestOpaqueOptions(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var order []string
		note := func(who string) grpc.UnaryClientInterceptor {
			return func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
				order = append(order, who+" of "+cc.Target())
				return invoke(ctx, method, req, reply, cc, opts...)
			}
		}
		client, err := weir.NewClient("passthrough:///svc:80", append(w.options(), weir.WithChainUnaryInterceptor(note("the Client's")))...)
		if err != nil {
			t.Fatal(err)
		}
		var header metadata.MD
		conn, err := grpcconn.Of(client, grpc.WithUnaryInterceptor(note("the conn's")), grpc.WithDefaultCallOptions(grpc.Header(&header)),
			grpc.WithUserAgent("nobody's"), grpc.WithDefaultServiceConfig(`{"loadBalancingConfig":[{"round_robin":{}}]}`))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := testpb.NewTestServiceClient(conn).UnaryCall(t.Context(), request()); err != nil {
			t.Error(err)
		}
		if len(header) == 0 {
			t.Error("the default call option was not applied")
		}
		if got := strings.Join(order, ", "); got != "the conn's of passthrough:///svc:80, the Client's of passthrough:///svc:80" {
			t.Errorf("order of interceptors: %s", got)
		}
		synctest.Wait()
		if got := conn.GetState(); got != connectivity.Ready {
			t.Errorf("the conn is %v", got)
		}
		_ = conn.Close()
	})
}

// What is wrong with the options is said by New, which leaves nothing.
func TestNew_WrongOptions(t *testing.T) {
	if _, err := grpcconn.New("passthrough:///svc:80"); err == nil || !strings.Contains(err.Error(), "WithTransportCredentials") {
		t.Errorf("without credentials: %v", err)
	}
	client, err := weir.NewClient("passthrough:///svc:80", weir.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := grpcconn.Of(client, grpc.WithDefaultServiceConfig("{")); err == nil || !strings.Contains(err.Error(), "no grpc.ClientConn") {
		t.Errorf("with a service config that is none: %v", err)
	}
}

// A call through a conn allocates no more than one of the Client.
func TestCallsThroughAConn_DoNotAllocate(t *testing.T) {
	if !allocs.Alone(t) {
		return
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv, served := weir.NewServer(), make(chan error, 1)
	testpb.RegisterTestServiceServer(srv, echo{})
	go func() { served <- srv.Serve(lis) }()
	client, err := weir.NewClient(lis.Addr().String(), weir.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpcconn.Of(client)
	if err != nil {
		t.Fatal(err)
	}
	in, out := request(), new(testpb.SimpleResponse)
	count := func(c grpc.ClientConnInterface) float64 {
		return allocs.PerCall(t, 500, func() error {
			return c.Invoke(t.Context(), testpb.TestService_UnaryCall_FullMethodName, in, out)
		})
	}
	if direct, through := count(client), count(conn); through > direct+.5 {
		t.Errorf("%.1f allocations for a call through the conn, %.1f without it", through, direct)
	}
	_ = conn.Close()
	srv.Stop()
	<-served
}

// A target of a scheme that only the Client's resolvers know is no riddle to the
// conn.
func TestNew_SchemeOfAResolver(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		town := manual.NewBuilderWithScheme("town")
		town.InitialState(resolver.State{Addresses: []resolver.Address{{Addr: "svc:80"}}})
		conn, err := grpcconn.New("town:hall", append(w.options(), weir.WithResolvers(town))...)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := testpb.NewTestServiceClient(conn).UnaryCall(t.Context(), request()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if conn.Target() != "town:hall" || conn.CanonicalTarget() != "town:///hall" || conn.GetState() != connectivity.Ready {
			t.Errorf("%q, %q, %v", conn.Target(), conn.CanonicalTarget(), conn.GetState())
		}
		_ = conn.Close()
	})
}

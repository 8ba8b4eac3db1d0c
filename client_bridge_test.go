package weir_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// interception is how a client of either kind intercepts.
type interception struct {
	unary       grpc.UnaryClientInterceptor
	stream      grpc.StreamClientInterceptor
	chainUnary  []grpc.UnaryClientInterceptor
	chainStream []grpc.StreamClientInterceptor
	defaults    []grpc.CallOption
}

// dial gives a client of the pairing's kind.
func (ix interception) dial(tb testing.TB, p pairing, address string) anyClient {
	tb.Helper()
	if !p.weirClient {
		opts := []grpc.DialOption{
			grpc.WithChainUnaryInterceptor(ix.chainUnary...), grpc.WithChainStreamInterceptor(ix.chainStream...),
			grpc.WithUnaryInterceptor(ix.unary), grpc.WithStreamInterceptor(ix.stream), grpc.WithDefaultCallOptions(ix.defaults...),
		}
		return newGRPCClient(tb, "passthrough:///"+address, opts...)
	}
	return newWeirClient(tb, "passthrough:///"+address,
		weir.WithChainUnaryInterceptor(ix.chainUnary...), weir.WithChainStreamInterceptor(ix.chainStream...),
		weir.WithUnaryInterceptor(ix.unary), weir.WithStreamInterceptor(ix.stream), weir.WithDefaultCallOptions(ix.defaults...))
}

// testInterception runs f with a client of each pairing: what is expected of
// weir holds for grpc-go.
func testInterception(t *testing.T, impl testpb.TestServiceServer, intercepts func() interception, f func(ctx context.Context, t *testing.T, c testpb.TestServiceClient)) {
	t.Helper()
	for _, p := range pairings {
		t.Run(p.name, func(t *testing.T) {
			f(t.Context(), t, testpb.NewTestServiceClient(intercepts().dial(t, p, serveOn(t, p, impl))))
		})
	}
}

// serveOn serves impl with the server of a pairing and gives the address.
func serveOn(tb testing.TB, p pairing, impl testpb.TestServiceServer) string {
	tb.Helper()
	srv := p.newServer()
	testpb.RegisterTestServiceServer(srv, impl)
	lis := listen(tb)
	background(tb, srv, lis)
	return lis.Addr().String()
}

// trace notes who was called, in order.
type trace struct {
	mu    sync.Mutex
	words []string
}

func (tr *trace) note(format string, args ...any) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.words = append(tr.words, fmt.Sprintf(format, args...))
}

func (tr *trace) want(t *testing.T, words ...string) {
	t.Helper()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if !slices.Equal(tr.words, words) {
		t.Errorf("got %q, want %q", tr.words, words)
	}
	tr.words = nil
}

func (tr *trace) unary(name string) grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		tr.note("> %s", name)
		err := invoke(metadata.AppendToOutgoingContext(ctx, "x-passed", name), method, req, reply, cc, opts...)
		tr.note("< %s", name)
		return err
	}
}

func (tr *trace) stream(name string) grpc.StreamClientInterceptor {
	return func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		tr.note("> %s", name)
		cs, err := open(metadata.AppendToOutgoingContext(ctx, "x-passed", name), desc, cc, method, opts...)
		tr.note("< %s", name)
		return cs, err
	}
}

// witness tells in its header what metadata reached it.
type witness struct {
	streamer
	passed chan []string
}

func (w *witness) EmptyCall(ctx context.Context, _ *testpb.Empty) (*testpb.Empty, error) {
	w.passed <- metadata.ValueFromIncomingContext(ctx, "x-passed")
	return &testpb.Empty{}, nil
}

func (w *witness) FullDuplexCall(s grpc.BidiStreamingServer[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]) error {
	w.passed <- metadata.ValueFromIncomingContext(s.Context(), "x-passed")
	return w.streamer.FullDuplexCall(s)
}

// The order of interceptors is grpc-go's: the one that is alone, then the
// chain. What they add to the context reaches the server.
func TestInterceptorOrder(t *testing.T) {
	var tr trace
	w := &witness{passed: make(chan []string, 1)}
	intercepts := func() interception {
		return interception{
			unary: tr.unary("alone"), chainUnary: []grpc.UnaryClientInterceptor{tr.unary("a"), tr.unary("b")},
			stream: tr.stream("alone"), chainStream: []grpc.StreamClientInterceptor{tr.stream("c"), tr.stream("d")},
		}
	}
	testInterception(t, w, intercepts, func(ctx context.Context, t *testing.T, c testpb.TestServiceClient) {
		if _, err := c.EmptyCall(ctx, &testpb.Empty{}); err != nil {
			t.Fatal(err)
		}
		tr.want(t, "> alone", "> a", "> b", "< b", "< a", "< alone")
		if got := <-w.passed; !slices.Equal(got, []string{"alone", "a", "b"}) {
			t.Errorf("the server sees %q", got)
		}
		s, err := c.FullDuplexCall(ctx)
		if err != nil {
			t.Fatal(err)
		}
		tr.want(t, "> alone", "> c", "> d", "< d", "< c", "< alone")
		if got := <-w.passed; !slices.Equal(got, []string{"alone", "c", "d"}) {
			t.Errorf("the server sees %q", got)
		}
		drain(t, s)
	})
}

// drain ends a stream that has nothing more to say.
func drain(t *testing.T, s grpc.BidiStreamingClient[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]) {
	t.Helper()
	if err := s.CloseSend(); err != nil {
		t.Error(err)
	}
	if _, err := s.Recv(); err != io.EOF {
		t.Errorf("the stream ended with %v", err)
	}
}

// Of several that are alone the last one counts; a stream has no use for those
// of unary calls.
func TestLastInterceptorCounts(t *testing.T) {
	var tr trace
	c := newWeirClient(t, "passthrough:///"+serveOn(t, pairings[0], newStreamer()),
		weir.WithUnaryInterceptor(tr.unary("first")), weir.WithUnaryInterceptor(tr.unary("last")))
	stub := testpb.NewTestServiceClient(c)
	if _, err := stub.EmptyCall(t.Context(), &testpb.Empty{}); err != nil {
		t.Fatal(err)
	}
	tr.want(t, "> last", "< last")
	s, err := stub.FullDuplexCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	drain(t, s)
	tr.want(t)
}

// Interceptors change the request, the reply, the options and the error.
func TestInterceptorChanges(t *testing.T) {
	errOwn := errors.New("its own")
	enlarge := func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		in, out := req.(*testpb.SimpleRequest), reply.(*testpb.SimpleResponse)
		if in.GetResponseStatus() != nil {
			if err := invoke(ctx, method, req, reply, cc, opts...); status.Code(err) != codes.Aborted {
				return err
			}
			return errOwn
		}
		var answer testpb.SimpleResponse
		err := invoke(ctx, method, &testpb.SimpleRequest{ResponseSize: in.GetResponseSize() + 1}, &answer, cc, append(opts, grpc.MaxCallRecvMsgSize(100))...)
		out.Username = fmt.Sprint(len(answer.GetPayload().GetBody()))
		return err
	}
	testInterception(t, echo{}, func() interception { return interception{unary: enlarge} }, func(ctx context.Context, t *testing.T, c testpb.TestServiceClient) {
		out, err := c.UnaryCall(ctx, &testpb.SimpleRequest{ResponseSize: 6})
		if err != nil || out.GetUsername() != "7" {
			t.Errorf("got %v, %v", out, err)
		}
		if _, err := c.UnaryCall(ctx, &testpb.SimpleRequest{ResponseSize: 200}); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("got %v, want the limit that the interceptor has set", err)
		}
		_, err = c.UnaryCall(ctx, &testpb.SimpleRequest{ResponseStatus: &testpb.EchoStatus{Code: int32(codes.Aborted)}})
		if err != errOwn {
			t.Errorf("got %v, want the interceptor's error as it is", err)
		}
	})
}

// An interceptor that does not call on makes no connection.
func TestInterceptorAnswers(t *testing.T) {
	cached := func(_ context.Context, _ string, _, reply any, _ *grpc.ClientConn, _ grpc.UnaryInvoker, _ ...grpc.CallOption) error {
		reply.(*testpb.SimpleResponse).Username = "cached"
		return nil
	}
	c := newWeirClient(t, "passthrough:///nowhere", weir.WithUnaryInterceptor(cached))
	out, err := testpb.NewTestServiceClient(c).UnaryCall(t.Context(), &testpb.SimpleRequest{})
	if err != nil || out.GetUsername() != "cached" || c.GetState().String() != "IDLE" {
		t.Errorf("got %v, %v in state %v", out, err, c.GetState())
	}
}

// reluctant fails the first calls.
type reluctant struct {
	echo
	left atomic.Int32
}

func (f *reluctant) UnaryCall(ctx context.Context, in *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	n := f.left.Add(-1)
	if err := grpc.SetTrailer(ctx, metadata.Pairs("x-left", fmt.Sprint(n))); err != nil {
		return nil, err
	}
	if n >= 0 {
		return nil, status.Error(codes.Unavailable, "not yet")
	}
	return f.echo.UnaryCall(ctx, in)
}

// An interceptor may call on as often as it likes, and asks for what it wants
// to know with options of its own.
func TestInterceptorRetries(t *testing.T) {
	var tr trace
	retry := func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		for {
			var trailer metadata.MD
			err := invoke(ctx, method, req, reply, cc, append(slices.Clip(opts), grpc.Trailer(&trailer))...)
			tr.note("%v %v", status.Code(err), trailer.Get("x-left"))
			if status.Code(err) != codes.Unavailable {
				return err
			}
		}
	}
	h := new(reluctant)
	testInterception(t, h, func() interception { return interception{unary: retry} }, func(ctx context.Context, t *testing.T, c testpb.TestServiceClient) {
		h.left.Store(2)
		var trailer metadata.MD
		if _, err := c.UnaryCall(ctx, &testpb.SimpleRequest{}, grpc.Trailer(&trailer)); err != nil {
			t.Fatal(err)
		}
		tr.want(t, "Unavailable [1]", "Unavailable [0]", "OK [-1]")
		if got := trailer.Get("x-left"); !slices.Equal(got, []string{"-1"}) {
			t.Errorf("the caller's trailer is that of the last call: %q", got)
		}
	})
}

// Default options are seen by interceptors, before the call's own, and count
// once.
func TestInterceptorsSeeDefaultOptions(t *testing.T) {
	var tr trace
	finish := func(name string) grpc.CallOption {
		return grpc.OnFinish(func(err error) { tr.note("%s %v", name, err) })
	}
	seen := func(opts []grpc.CallOption) {
		for _, o := range opts {
			switch o := o.(type) {
			case grpc.OnFinishCallOption:
				tr.note("OnFinish")
			case grpc.MaxRecvMsgSizeCallOption:
				tr.note("at most %d", o.MaxRecvMsgSize)
			}
		}
	}
	intercepts := func() interception {
		return interception{
			defaults: []grpc.CallOption{finish("default"), grpc.MaxCallRecvMsgSize(1)},
			unary: func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
				seen(opts)
				return invoke(ctx, method, req, reply, cc, opts...)
			},
			stream: func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
				seen(opts)
				return open(ctx, desc, cc, method, opts...)
			},
		}
	}
	testInterception(t, newStreamer(), intercepts, func(ctx context.Context, t *testing.T, c testpb.TestServiceClient) {
		if _, err := c.UnaryCall(ctx, &testpb.SimpleRequest{ResponseSize: 10}, finish("own"), grpc.MaxCallRecvMsgSize(50)); err != nil {
			t.Fatal(err)
		}
		tr.want(t, "OnFinish", "at most 1", "OnFinish", "at most 50", "default <nil>", "own <nil>")
		s, err := c.FullDuplexCall(ctx, finish("own"))
		if err != nil {
			t.Fatal(err)
		}
		drain(t, s)
		tr.want(t, "OnFinish", "at most 1", "OnFinish", "default <nil>", "own <nil>")
	})
}

// narratedStream is a ClientStream that a stream interceptor has wrapped.
type narratedStream struct {
	grpc.ClientStream
	tr *trace
}

func (c narratedStream) SendMsg(m any) error {
	err := c.ClientStream.SendMsg(m)
	c.tr.note("sent %v", err)
	return err
}

func (c narratedStream) RecvMsg(m any) error {
	err := c.ClientStream.RecvMsg(m)
	c.tr.note("received %v", err)
	return err
}

// A stream interceptor wraps the stream, for all kinds of streams.
func TestStreamInterceptorWraps(t *testing.T) {
	var tr trace
	wrap := func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		tr.note("%s %v %v", desc.StreamName, desc.ClientStreams, desc.ServerStreams)
		cs, err := open(ctx, desc, cc, method, opts...)
		return narratedStream{cs, &tr}, err
	}
	testInterception(t, newStreamer(), func() interception { return interception{stream: wrap} }, func(ctx context.Context, t *testing.T, c testpb.TestServiceClient) {
		out, err := c.StreamingOutputCall(ctx, &testpb.StreamingOutputCallRequest{ResponseParameters: []*testpb.ResponseParameters{{Size: 1}}})
		if err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = out.Recv()
		}
		tr.want(t, "StreamingOutputCall false true", "sent <nil>", "received <nil>", "received EOF")
		in, err := c.StreamingInputCall(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := in.Send(&testpb.StreamingInputCallRequest{}); err != nil {
			t.Fatal(err)
		}
		if _, err := in.CloseAndRecv(); err != nil {
			t.Fatal(err)
		}
		tr.want(t, "StreamingInputCall true false", "sent <nil>", "received <nil>")
	})
}

// Interceptors that log, as those of go-grpc-middleware do, learn who answered
// with what: they ask with options and look at the error when the call is over.
func TestInterceptorLogs(t *testing.T) {
	var tr trace
	log := func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		var (
			header, trailer metadata.MD
			p               peer.Peer
		)
		ctx = metadata.AppendToOutgoingContext(ctx, "x-echo", "id-1", "x-echo-bin", "\x00\x01")
		err := invoke(ctx, method, req, reply, cc, append(slices.Clip(opts), grpc.Header(&header), grpc.Trailer(&trailer), grpc.Peer(&p))...)
		service, name, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
		tr.note("%s %s %v %q %q %v", service, name, status.Code(err), header.Get("x-echo"), trailer.Get("x-echo-bin"), "passthrough:///"+p.Addr.String() == cc.Target())
		return err
	}
	testInterception(t, echo{}, func() interception { return interception{unary: log} }, func(ctx context.Context, t *testing.T, c testpb.TestServiceClient) {
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if _, err := c.UnaryCall(ctx, &testpb.SimpleRequest{}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		tr.want(t, slices.Repeat([]string{`grpc.testing.TestService UnaryCall OK ["id-1"] ["\x00\x01"] true`}, 20)...)
		if _, err := c.UnaryCall(ctx, &testpb.SimpleRequest{ResponseStatus: &testpb.EchoStatus{Code: int32(codes.Aborted)}}); status.Code(err) != codes.Aborted {
			t.Fatal(err)
		}
		tr.want(t, `grpc.testing.TestService UnaryCall Aborted [] [] true`)
	})
}

// An interceptor makes calls of its own on the connection that it is given, a
// token's, say, and they pass the interceptors too.
func TestInterceptorCalls(t *testing.T) {
	var tr trace
	inner := func(ctx context.Context, method string, cc *grpc.ClientConn) error {
		tr.note("%s", method[strings.LastIndexByte(method, '/')+1:])
		if !strings.HasSuffix(method, "/UnaryCall") {
			return nil
		}
		stub := testpb.NewTestServiceClient(cc)
		if _, err := stub.EmptyCall(ctx, &testpb.Empty{}); err != nil {
			return err
		}
		s, err := stub.FullDuplexCall(ctx)
		if err != nil {
			return err
		}
		if err := s.CloseSend(); err != nil {
			return err
		}
		if _, err := s.Recv(); err != io.EOF {
			return err
		}
		return nil
	}
	intercepts := func() interception {
		return interception{
			unary: func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
				if err := inner(ctx, method, cc); err != nil {
					return err
				}
				return invoke(ctx, method, req, reply, cc, opts...)
			},
			stream: func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
				if err := inner(ctx, method, cc); err != nil {
					return nil, err
				}
				return open(ctx, desc, cc, method, opts...)
			},
		}
	}
	testInterception(t, newStreamer(), intercepts, func(ctx context.Context, t *testing.T, c testpb.TestServiceClient) {
		if _, err := c.UnaryCall(ctx, &testpb.SimpleRequest{}); err != nil {
			t.Fatal(err)
		}
		tr.want(t, "UnaryCall", "EmptyCall", "FullDuplexCall")
	})
}

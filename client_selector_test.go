package weir_test

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// selects is a ConfigSelector.
type selects func(weir.RPCInfo) (*weir.RPCConfig, error)

func (s selects) SelectConfig(info weir.RPCInfo) (*weir.RPCConfig, error) { return s(info) }

// choosing gives a RPCConfig with what fill sets.
func choosing(fill func(weir.RPCInfo, *weir.RPCConfig)) selects {
	return func(info weir.RPCInfo) (*weir.RPCConfig, error) {
		config := new(weir.RPCConfig)
		fill(info, config)
		return config, nil
	}
}

// wordServer answers as the metadata "word" of a call says: it is the answer, but for
// "unavailable", which the first two attempts fail with, and "never", which has none.
type wordServer struct {
	testpb.UnimplementedTestServiceServer
}

func (wordServer) word(ctx context.Context) (*testpb.SimpleResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	word := ""
	for _, w := range md["word"] {
		word += w
	}
	switch previous := md["grpc-previous-rpc-attempts"]; {
	case word == "never":
		<-ctx.Done()
		return nil, ctx.Err()
	case word == "unavailable" && (len(previous) == 0 || previous[0] != "2"):
		return nil, status.Error(codes.Unavailable, "not yet")
	}
	return &testpb.SimpleResponse{Username: word}, nil
}

func (s wordServer) UnaryCall(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	return s.word(ctx)
}

func (s wordServer) StreamingOutputCall(_ *testpb.StreamingOutputCallRequest, st grpc.ServerStreamingServer[testpb.StreamingOutputCallResponse]) error {
	return s.stream(st)
}

func (s wordServer) StreamingInputCall(st grpc.ClientStreamingServer[testpb.StreamingInputCallRequest, testpb.StreamingInputCallResponse]) error {
	return s.stream(st)
}

func (s wordServer) FullDuplexCall(st grpc.BidiStreamingServer[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]) error {
	return s.stream(st)
}

func (s wordServer) stream(st grpc.ServerStream) error {
	answer, err := s.word(st.Context())
	if err == nil {
		err = st.SendMsg(answer)
	}
	return err
}

// wordClient is a client of a wordServer, whose resolver says cs.
func wordClient(t *testing.T, cs weir.ConfigSelector, opts ...weir.DialOption) *weir.Client {
	t.Helper()
	srv, lis := weir.NewServer(), listen(t)
	testpb.RegisterTestServiceServer(srv, wordServer{})
	background(t, srv, lis)
	r := manual.NewBuilderWithScheme("whatever")
	s := resolver.State{Addresses: []resolver.Address{{Addr: lis.Addr().String()}}}
	r.InitialState(weir.SetConfigSelector(s, cs))
	return newWeirClient(t, "whatever:///svc", append(opts, weir.WithResolvers(r))...)
}

// Feature: a resolver says call by call how it is made (ConfigSelector).
func TestConfigSelector(t *testing.T) {
	with := func(ctx context.Context, word string) context.Context {
		return metadata.AppendToOutgoingContext(ctx, "word", word)
	}
	never := func(context.Context, func(context.Context, ...grpc.CallOption) (grpc.ClientStream, error), ...grpc.CallOption) (grpc.ClientStream, error) {
		return nil, status.Error(codes.DataLoss, "not that one")
	}
	short := 20 * time.Millisecond
	for _, tt := range []struct {
		name   string
		say    func(weir.RPCInfo, *weir.RPCConfig)
		word   string // that the caller sends
		want   string
		code   codes.Code
		option weir.DialOption
	}{
		{name: "nothing", say: func(weir.RPCInfo, *weir.RPCConfig) {}, word: "as sent", want: "as sent"},
		{name: "context", say: func(info weir.RPCInfo, c *weir.RPCConfig) {
			c.Context = with(info.Context, "-by-"+info.Authority)
		}, word: "added", want: "added-by-svc"},
		{name: "timeout", say: func(_ weir.RPCInfo, c *weir.RPCConfig) {
			c.MethodConfig = &grpc.MethodConfig{Timeout: &short} //nolint:staticcheck // see weir.RPCConfig
		}, word: "never", code: codes.DeadlineExceeded},
		{
			name: "retries", say: func(_ weir.RPCInfo, c *weir.RPCConfig) { c.MethodConfig = retryTwice() },
			word: "unavailable", want: "unavailable",
		},
		{
			name: "retries, disabled", say: func(_ weir.RPCInfo, c *weir.RPCConfig) { c.MethodConfig = retryTwice() },
			word: "unavailable", code: codes.Unavailable, option: weir.WithDisableRetry(),
		},
		{name: "instead of the service config", say: func(_ weir.RPCInfo, c *weir.RPCConfig) {
			c.MethodConfig = new(grpc.MethodConfig) //nolint:staticcheck // see weir.RPCConfig
		}, word: "as sent", want: "as sent", option: weir.WithDefaultServiceConfig(methodConfig(`"maxRequestMessageBytes": 1`))},
		{
			name: "with the service config", say: func(weir.RPCInfo, *weir.RPCConfig) {},
			word: "as sent", code: codes.ResourceExhausted, option: weir.WithDefaultServiceConfig(methodConfig(`"maxRequestMessageBytes": 1`)),
		},
		{
			name: "hedged by the service config", say: func(weir.RPCInfo, *weir.RPCConfig) {}, word: "unavailable", want: "unavailable",
			option: weir.WithDefaultServiceConfig(methodConfig(`"hedgingPolicy": {"maxAttempts": 3, "hedgingDelay": "0s", "nonFatalStatusCodes": ["UNAVAILABLE"]}`)),
		},
		{name: "an interceptor", say: func(_ weir.RPCInfo, c *weir.RPCConfig) {
			c.Interceptor = func(ctx context.Context, open func(context.Context, ...grpc.CallOption) (grpc.ClientStream, error), opts ...grpc.CallOption) (grpc.ClientStream, error) {
				return open(with(ctx, "intercepted"), opts...)
			}
		}, want: "intercepted"},
		{name: "an interceptor before retries", say: func(_ weir.RPCInfo, c *weir.RPCConfig) {
			calls := 0
			c.MethodConfig = retryTwice()
			c.Interceptor = func(ctx context.Context, open func(context.Context, ...grpc.CallOption) (grpc.ClientStream, error), opts ...grpc.CallOption) (grpc.ClientStream, error) {
				if calls++; calls > 1 {
					return nil, errors.New("it was called for a retry")
				}
				return open(ctx, opts...)
			}
		}, word: "unavailable", want: "unavailable"},
		{name: "an interceptor that refuses", say: func(_ weir.RPCInfo, c *weir.RPCConfig) { c.Interceptor = never }, code: codes.DataLoss},
		{name: "an interceptor that gives nothing", say: func(_ weir.RPCInfo, c *weir.RPCConfig) {
			c.Interceptor = func(context.Context, func(context.Context, ...grpc.CallOption) (grpc.ClientStream, error), ...grpc.CallOption) (grpc.ClientStream, error) {
				return nil, nil
			}
		}, code: codes.Internal},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var committed atomic.Int32
			var opts []weir.DialOption
			if tt.option != nil {
				opts = append(opts, tt.option)
			}
			c := wordClient(t, choosing(func(info weir.RPCInfo, config *weir.RPCConfig) {
				config.OnCommitted = func() { committed.Add(1) }
				tt.say(info, config)
			}), opts...)
			for kind, call := range kindsOfCalls {
				var finished atomic.Int32
				got := <-call(with(t.Context(), tt.word), c, grpc.OnFinish(func(error) { finished.Add(1) }))
				if status.Code(got.err) != tt.code || got.username != tt.want {
					t.Errorf("%s: %q, %v, want %q, %v", kind, got.username, got.err, tt.want, tt.code)
				}
				if n, m := committed.Swap(0), finished.Load(); n != 1 || m != 1 {
					t.Errorf("%s: OnCommitted is called %d times, OnFinish %d times", kind, n, m)
				}
			}
		})
	}
}

// retryTwice retries UNAVAILABLE twice, without much delay.
func retryTwice() *grpc.MethodConfig { //nolint:staticcheck // see weir.RPCConfig
	mc := new(grpc.MethodConfig) //nolint:staticcheck // the same
	retryIn(&mc.RetryPolicy)
	p := mc.RetryPolicy
	p.MaxAttempts, p.BackoffMultiplier = 3, 1
	p.InitialBackoff, p.MaxBackoff = time.Millisecond, time.Millisecond
	p.RetryableStatusCodes = map[codes.Code]bool{codes.Unavailable: true}
	return mc
}

// retryIn makes a policy, whose type grpc-go keeps to itself.
func retryIn[T any](p **T) { *p = new(T) }

// An error of a ConfigSelector ends the call, with a code that may be its own.
func TestConfigSelector_Errors(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		code codes.Code
		word string
	}{
		{"no status", errors.New("no idea"), codes.Unknown, "no idea"},
		{"a status", status.Error(codes.PermissionDenied, "not you"), codes.PermissionDenied, "not you"},
		{"a status within", errors.Join(errors.New("node 7"), status.Error(codes.Unavailable, "no route")), codes.Unavailable, "no route"},
		{"a code of servers", status.Error(codes.NotFound, "gone"), codes.Internal, "A54"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := wordClient(t, selects(func(weir.RPCInfo) (*weir.RPCConfig, error) { return nil, tt.err }))
			for kind, call := range kindsOfCalls {
				finished := make(chan error, 1)
				got := <-call(t.Context(), c, grpc.OnFinish(func(err error) { finished <- err }))
				wantText(t, got.err, tt.code, tt.word)
				if err := <-finished; status.Code(err) != tt.code {
					t.Errorf("%s: OnFinish hears %v", kind, err)
				}
			}
		})
	}
}

// A stream is committed with the first answer, not only at its end.
func TestConfigSelector_CommittedEarly(t *testing.T) {
	committed := make(chan struct{})
	c := wordClient(t, choosing(func(_ weir.RPCInfo, config *weir.RPCConfig) {
		config.OnCommitted = func() { close(committed) }
	}))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	st, err := testpb.NewTestServiceClient(c).FullDuplexCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-committed:
		t.Error("it is committed before there is an answer")
	default:
	}
	if _, err := st.Recv(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-committed:
	default:
		t.Error("it is not committed by the answer")
	}
}

// okStream is an answer of an interceptor itself: status OK, no message.
type okStream struct{ grpc.ClientStream }

func (okStream) SendMsg(any) error { return io.EOF }
func (okStream) RecvMsg(any) error { return io.EOF }
func (okStream) CloseSend() error  { return nil }

// An interceptor may answer itself. What it leaves out of a unary call is an error.
func TestConfigSelector_InterceptorAnswers(t *testing.T) {
	var committed atomic.Int32
	c := wordClient(t, choosing(func(_ weir.RPCInfo, config *weir.RPCConfig) {
		config.OnCommitted = func() { committed.Add(1) }
		config.Interceptor = func(context.Context, func(context.Context, ...grpc.CallOption) (grpc.ClientStream, error), ...grpc.CallOption) (grpc.ClientStream, error) {
			return okStream{}, nil
		}
	}))
	for kind, code := range map[string]codes.Code{"unary": codes.Unimplemented, "server streaming": codes.OK, "client streaming": codes.Unimplemented, "bidi": codes.OK} {
		got := <-kindsOfCalls[kind](t.Context(), c)
		if status.Code(got.err) != code {
			t.Errorf("%s: %v, want %v", kind, got.err, code)
		}
		if n := committed.Swap(0); n != 1 {
			t.Errorf("%s: OnCommitted is called %d times", kind, n)
		}
	}
}

// An interceptor that ends a call tells the options, and nobody has to read the stream.
func TestConfigSelector_InterceptorFinishes(t *testing.T) {
	var committed atomic.Int32
	c := wordClient(t, choosing(func(_ weir.RPCInfo, config *weir.RPCConfig) {
		config.OnCommitted = func() { committed.Add(1) }
		config.Interceptor = func(_ context.Context, _ func(context.Context, ...grpc.CallOption) (grpc.ClientStream, error), opts ...grpc.CallOption) (grpc.ClientStream, error) {
			for _, o := range opts {
				if o, ok := o.(grpc.OnFinishCallOption); ok {
					o.OnFinish(nil)
				}
			}
			return okStream{}, nil
		}
	}))
	finished := 0
	_, err := testpb.NewTestServiceClient(c).FullDuplexCall(t.Context(), grpc.OnFinish(func(error) { finished++ }))
	if n := committed.Load(); err != nil || finished != 1 || n != 1 {
		t.Errorf("%v; OnFinish is called %d times, OnCommitted %d times", err, finished, n)
	}
}

// When UpdateState returns, nobody asks the selector before it: what that holds can
// be let go.
func TestConfigSelector_Replaced(t *testing.T) {
	r := manual.NewBuilderWithScheme("whatever")
	state := resolver.State{Addresses: []resolver.Address{{Addr: "it"}}}
	answers := func(word string) weir.ConfigSelector {
		return selects(func(weir.RPCInfo) (*weir.RPCConfig, error) { return nil, status.Error(codes.Unauthenticated, word) })
	}
	var told atomic.Bool
	asked, answer := make(chan struct{}), make(chan struct{})
	r.InitialState(weir.SetConfigSelector(state, selects(func(info weir.RPCInfo) (*weir.RPCConfig, error) {
		if !told.Swap(true) {
			close(asked)
			<-answer
		}
		return answers("the first").SelectConfig(info)
	})))
	c := newWeirClient(t, "whatever:///svc", weir.WithResolvers(r),
		weir.WithContextDialer(func(context.Context, string) (net.Conn, error) { return nil, errors.New("nobody is there") }))
	first := invoke(t.Context(), c)
	<-asked
	replaced := make(chan struct{})
	go func() {
		defer close(replaced)
		r.UpdateState(weir.SetConfigSelector(state, answers("the second")))
	}()
	for {
		if got := <-invoke(t.Context(), c); strings.Contains(got.err.Error(), "the second") {
			break
		}
	}
	select {
	case <-replaced:
		t.Error("UpdateState returns while the selector is asked")
	default:
	}
	close(answer)
	wantText(t, (<-first).err, codes.Unauthenticated, "the first")
	<-replaced
	r.UpdateState(state)
	wantText(t, (<-invoke(t.Context(), c)).err, codes.Unavailable, "nobody is there")
}

// endsWhileAsked makes a call of a Client, which is closed while the call asks
// the selector that state gives; meanwhile runs then. The resolver has to be
// closed afterwards, and not before, and nobody asks the selector again.
func endsWhileAsked(t *testing.T, target string, closed *atomic.Bool, meanwhile func(), build func(weir.ConfigSelector) resolver.Builder) {
	t.Helper()
	var c *weir.Client
	var times atomic.Int32
	asked := make(chan struct{})
	b := build(selects(func(weir.RPCInfo) (*weir.RPCConfig, error) {
		first := times.Add(1) == 1
		if first {
			close(asked)
		}
		for c.GetState() != connectivity.Shutdown {
			runtime.Gosched()
		}
		for range 1000 {
			runtime.Gosched()
		}
		if first {
			meanwhile()
		}
		for range 1000 {
			runtime.Gosched()
		}
		if closed.Load() {
			return nil, status.Error(codes.Unauthenticated, "the resolver is closed")
		}
		return new(weir.RPCConfig), nil
	}))
	c = newWeirClient(t, target, weir.WithResolvers(b),
		weir.WithContextDialer(func(context.Context, string) (net.Conn, error) { return nil, errors.New("nobody is there") }))
	result := invoke(t.Context(), c)
	<-asked
	c.Close()
	if err := (<-result).err; status.Code(err) != codes.Canceled || !closed.Load() {
		t.Errorf("%v; the resolver is closed: %v", err, closed.Load())
	}
	wantText(t, (<-invoke(t.Context(), c)).err, codes.Canceled, "closed")
	if n := times.Load(); n != 1 {
		t.Errorf("the selector was asked %d times", n)
	}
}

// itSelects is a resolver's state with one address and a selector.
func itSelects(s weir.ConfigSelector) resolver.State {
	return weir.SetConfigSelector(resolver.State{Addresses: []resolver.Address{{Addr: "it"}}}, s)
}

// A resolver is not closed while its selector is asked.
func TestConfigSelector_ResolverEnds(t *testing.T) {
	var closed atomic.Bool
	endsWhileAsked(t, "whatever:///svc", &closed, func() {}, func(s weir.ConfigSelector) resolver.Builder {
		r := manual.NewBuilderWithScheme("whatever")
		r.CloseCallback = func() { closed.Store(true) }
		r.InitialState(itSelects(s))
		return r
	})
}

// slowBuilder builds a resolver that gives its state at once, and is built when
// built is closed.
type slowBuilder struct {
	state  resolver.State
	built  chan struct{}
	closed *atomic.Bool
}

func (b *slowBuilder) Scheme() string { return "slow" }

func (b *slowBuilder) Build(_ resolver.Target, cc resolver.ClientConn, _ resolver.BuildOptions) (resolver.Resolver, error) {
	_ = cc.UpdateState(b.state)
	<-b.built
	return b, nil
}

func (b *slowBuilder) ResolveNow(resolver.ResolveNowOptions) {}
func (b *slowBuilder) Close()                                { b.closed.Store(true) }

// Nor is one that is built when the Client is closed, though it gave its state
// before; and nobody asks its selector afterwards.
func TestConfigSelector_ResolverEndsWhileItIsBuilt(t *testing.T) {
	var closed atomic.Bool
	b := &slowBuilder{built: make(chan struct{}), closed: &closed}
	meanwhile := func() { close(b.built) } // the resolver is out of use by now
	endsWhileAsked(t, "slow:///svc", &closed, meanwhile, func(s weir.ConfigSelector) resolver.Builder {
		b.state = itSelects(s)
		return b
	})
}

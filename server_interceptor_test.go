package weir_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/allocs"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// interceptors are what a server of either kind is told. The chains are given
// in two parts, with the outermost between them.
type interceptors struct {
	unary    grpc.UnaryServerInterceptor
	unaries  [2][]grpc.UnaryServerInterceptor
	stream   grpc.StreamServerInterceptor
	streams  [2][]grpc.StreamServerInterceptor
	fallback grpc.StreamHandler
}

func (is interceptors) weir() anyServer {
	opts := []weir.ServerOption{weir.ChainUnaryInterceptor(is.unaries[0]...), weir.ChainStreamInterceptor(is.streams[0]...)}
	if is.unary != nil {
		opts = append(opts, weir.UnaryInterceptor(is.unary))
	}
	if is.stream != nil {
		opts = append(opts, weir.StreamInterceptor(is.stream))
	}
	if is.fallback != nil {
		opts = append(opts, weir.UnknownServiceHandler(is.fallback))
	}
	return weir.NewServer(append(opts, weir.ChainUnaryInterceptor(is.unaries[1]...), weir.ChainStreamInterceptor(is.streams[1]...))...)
}

func (is interceptors) grpc() anyServer {
	opts := []grpc.ServerOption{grpc.ChainUnaryInterceptor(is.unaries[0]...), grpc.ChainStreamInterceptor(is.streams[0]...)}
	if is.unary != nil {
		opts = append(opts, grpc.UnaryInterceptor(is.unary))
	}
	if is.stream != nil {
		opts = append(opts, grpc.StreamInterceptor(is.stream))
	}
	if is.fallback != nil {
		opts = append(opts, grpc.UnknownServiceHandler(is.fallback))
	}
	return grpc.NewServer(append(opts, grpc.ChainUnaryInterceptor(is.unaries[1]...), grpc.ChainStreamInterceptor(is.streams[1]...))...)
}

// test runs f with both clients on a weir server, and once on grpc-go's: what f
// asks of weir is what grpc-go does.
func (is interceptors) test(t *testing.T, impl testpb.TestServiceServer, f func(ctx context.Context, t *testing.T, c anyClient)) {
	t.Helper()
	for _, tt := range []struct {
		name   string
		server func() anyServer
		dial   func(testing.TB, string) connector
	}{
		{"weir to weir", is.weir, clients["weir"]},
		{"grpc-go to weir", is.weir, clients["grpc-go"]},
		{"grpc-go to grpc-go", is.grpc, clients["grpc-go"]},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv, lis := tt.server(), listen(t)
			testpb.RegisterTestServiceServer(srv, impl)
			background(t, srv, lis)
			f(t.Context(), t, tt.dial(t, lis.Addr().String()))
		})
	}
}

// way is the context key of the interceptors' names, outermost first.
type way struct{}

func pass(ctx context.Context, name string) context.Context {
	names, _ := ctx.Value(way{}).(string)
	return context.WithValue(ctx, way{}, names+name)
}

// wayTeller answers with the names that its context has.
type wayTeller struct{ echo }

func (h *wayTeller) UnaryCall(ctx context.Context, in *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	if _, err := h.echo.UnaryCall(ctx, in); err != nil {
		return nil, err
	}
	names, _ := ctx.Value(way{}).(string)
	return &testpb.SimpleResponse{Username: names, ServerId: fmt.Sprint(in.GetResponseSize())}, nil
}

func (h *wayTeller) FullDuplexCall(s grpc.BidiStreamingServer[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]) error {
	names, _ := s.Context().Value(way{}).(string)
	for {
		in, err := s.Recv()
		if err == io.EOF {
			return status.Error(codes.Aborted, "end")
		}
		if err != nil {
			return err
		}
		body := fmt.Appendf(nil, "%s %s ", names, in.GetPayload().GetBody())
		if err := s.Send(&testpb.StreamingOutputCallResponse{Payload: &testpb.Payload{Body: body}}); err != nil {
			return err
		}
	}
}

func unaryNamed(t *testing.T, name string, impl any) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		if info.FullMethod != testpb.TestService_UnaryCall_FullMethodName || info.Server != impl {
			t.Errorf("%s: info is %+v", name, info)
		}
		if err := grpc.SetHeader(ctx, metadata.Pairs("x-way", name)); err != nil {
			t.Error(err)
		}
		in := req.(*testpb.SimpleRequest)
		in.ResponseSize = in.GetResponseSize()*10 + int32(len(name))
		reply, err := handler(pass(ctx, name), in)
		if err != nil {
			return nil, status.Error(status.Code(err), status.Convert(err).Message()+name)
		}
		out := reply.(*testpb.SimpleResponse)
		out.OauthScope += name
		return out, nil
	}
}

// Unary interceptors run in the order of grpc-go, and each sees and changes
// context, request, reply and error.
func TestUnaryInterceptors(t *testing.T) {
	impl := new(wayTeller)
	named := func(name string) grpc.UnaryServerInterceptor { return unaryNamed(t, name, impl) }
	for _, tt := range []struct {
		name string
		is   interceptors
		in   string
		out  string
		size string
	}{
		{"none", interceptors{}, "", "", "0"},
		{"the outermost alone", interceptors{unary: named("s")}, "s", "s", "1"},
		{"one in a chain", interceptors{unaries: [2][]grpc.UnaryServerInterceptor{1: {named("a")}}}, "a", "a", "1"},
		{"two in a chain", interceptors{unaries: [2][]grpc.UnaryServerInterceptor{{named("a"), named("bb")}}}, "abb", "bba", "12"},
		{"all", interceptors{unary: named("ssss"), unaries: [2][]grpc.UnaryServerInterceptor{{named("a"), named("bb")}, {named("ccc")}}}, "ssssabbccc", "cccbbassss", "4123"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.is.test(t, impl, func(ctx context.Context, t *testing.T, cc anyClient) {
				c := testpb.NewTestServiceClient(cc)
				for range 3 {
					var header metadata.MD
					out, err := c.UnaryCall(ctx, &testpb.SimpleRequest{}, grpc.Header(&header))
					if err != nil || out.GetUsername() != tt.in || out.GetOauthScope() != tt.out || out.GetServerId() != tt.size {
						t.Errorf("in %q, out %q, request %s, %v; want %q, %q, %s", out.GetUsername(), out.GetOauthScope(), out.GetServerId(), err, tt.in, tt.out, tt.size)
					}
					if got := strings.Join(header.Get("x-way"), ""); got != tt.in {
						t.Errorf("the header has %q, want %q", got, tt.in)
					}
					_, err = c.UnaryCall(ctx, &testpb.SimpleRequest{ResponseStatus: &testpb.EchoStatus{Code: 10, Message: "no: "}})
					if status.Code(err) != codes.Aborted || status.Convert(err).Message() != "no: "+tt.out {
						t.Errorf("the error is %v, want ABORTED with %q", err, "no: "+tt.out)
					}
				}
			})
		})
	}
}

// What an interceptor gives in place of the handler is what the client gets.
func TestUnaryInterceptorAnswers(t *testing.T) {
	for _, tt := range []struct {
		name  string
		reply any
		err   error
		code  codes.Code
		text  string
	}{
		{"a reply", &testpb.SimpleResponse{Username: "other"}, nil, codes.OK, ""},
		{"a status", nil, status.Error(codes.PermissionDenied, "stay out"), codes.PermissionDenied, "stay out"},
		{"an error", nil, errors.New("some error"), codes.Unknown, "some error"},
		{"a wrapped status", nil, fmt.Errorf("wrapped: %w", status.Error(codes.NotFound, "gone")), codes.NotFound, "gone"},
		{"a context's error", nil, context.DeadlineExceeded, codes.DeadlineExceeded, "deadline"},
		{"a reply and an error", &testpb.SimpleResponse{Username: "other"}, status.Error(codes.DataLoss, "lost"), codes.DataLoss, "lost"},
		{"neither", nil, nil, codes.OK, ""},
		{"what is no message", 7, nil, codes.Internal, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			is := interceptors{unary: func(context.Context, any, *grpc.UnaryServerInfo, grpc.UnaryHandler) (any, error) {
				return tt.reply, tt.err
			}}
			is.test(t, echo{}, func(ctx context.Context, t *testing.T, cc anyClient) {
				out, err := testpb.NewTestServiceClient(cc).UnaryCall(ctx, &testpb.SimpleRequest{})
				if status.Code(err) != tt.code || !strings.Contains(status.Convert(err).Message(), tt.text) {
					t.Errorf("%v, want %v with %q", err, tt.code, tt.text)
				}
				if err == nil && tt.reply != nil && out.GetUsername() != "other" {
					t.Errorf("the reply is %v", out)
				}
			})
		})
	}
}

// wrapped is a stream as middleware wraps it: the interface embedded, with a
// context of its own, and messages that it changes.
type wrapped struct {
	grpc.ServerStream
	ctx  context.Context
	name string
}

func (s *wrapped) Context() context.Context { return s.ctx }

func (s *wrapped) RecvMsg(m any) error {
	err := s.ServerStream.RecvMsg(m)
	if in, ok := m.(*testpb.StreamingOutputCallRequest); ok && err == nil {
		in.Payload = &testpb.Payload{Body: append(in.GetPayload().GetBody(), s.name...)}
	}
	return err
}

func (s *wrapped) SendMsg(m any) error {
	if out, ok := m.(*testpb.StreamingOutputCallResponse); ok {
		out.Payload.Body = append(out.GetPayload().GetBody(), s.name...)
	}
	return s.ServerStream.SendMsg(m)
}

func streamNamed(t *testing.T, name string, impl any) grpc.StreamServerInterceptor {
	return func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		if *info != (grpc.StreamServerInfo{FullMethod: testpb.TestService_FullDuplexCall_FullMethodName, IsClientStream: true, IsServerStream: true}) || srv != impl {
			t.Errorf("%s: info is %+v, the service %v", name, info, srv)
		}
		if method, ok := grpc.MethodFromServerStream(ss); !ok || method != info.FullMethod {
			t.Errorf("%s: the method is %q", name, method)
		}
		err := handler(srv, &wrapped{ss, pass(ss.Context(), name), name})
		ss.SetTrailer(metadata.Pairs("x-way", name))
		return status.Error(status.Code(err), status.Convert(err).Message()+name)
	}
}

// Stream interceptors run in the order of grpc-go, each may wrap the stream,
// and each sees and changes context, messages and error.
func TestStreamInterceptors(t *testing.T) {
	impl := new(wayTeller)
	named := func(name string) grpc.StreamServerInterceptor { return streamNamed(t, name, impl) }
	for _, tt := range []struct {
		name    string
		is      interceptors
		in, out string
	}{
		{"none", interceptors{}, "", ""},
		{"the outermost alone", interceptors{stream: named("s")}, "s", "s"},
		{"one in a chain", interceptors{streams: [2][]grpc.StreamServerInterceptor{1: {named("a")}}}, "a", "a"},
		{"all", interceptors{stream: named("s"), streams: [2][]grpc.StreamServerInterceptor{{named("a"), named("b")}, {named("c")}}}, "sabc", "cbas"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.is.test(t, impl, func(ctx context.Context, t *testing.T, cc anyClient) {
				c, err := testpb.NewTestServiceClient(cc).FullDuplexCall(ctx)
				if err != nil {
					t.Fatal(err)
				}
				want := fmt.Sprintf("%s >%s %s", tt.in, tt.in, tt.out)
				for range 3 {
					if err := c.Send(&testpb.StreamingOutputCallRequest{Payload: &testpb.Payload{Body: []byte(">")}}); err != nil {
						t.Fatal(err)
					}
					if out, err := c.Recv(); err != nil || string(out.GetPayload().GetBody()) != want {
						t.Errorf("got %q, %v, want %q", out.GetPayload().GetBody(), err, want)
					}
				}
				if err := c.CloseSend(); err != nil {
					t.Fatal(err)
				}
				if _, err := c.Recv(); status.Code(err) != codes.Aborted || status.Convert(err).Message() != "end"+tt.out {
					t.Errorf("the end is %v, want ABORTED with %q", err, "end"+tt.out)
				}
				if got := strings.Join(c.Trailer().Get("x-way"), ""); got != tt.out {
					t.Errorf("the trailer has %q, want %q", got, tt.out)
				}
			})
		})
	}
}

// Every method comes to the interceptors of its kind alone, and is described
// as grpc-go describes it; weir makes the description of a stream once.
func TestInterceptorsByKind(t *testing.T) {
	var (
		mu    sync.Mutex
		seen  []string
		infos = make(map[string][]*grpc.StreamServerInfo)
	)
	is := interceptors{
		unary: func(_ context.Context, _ any, info *grpc.UnaryServerInfo, _ grpc.UnaryHandler) (any, error) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, "unary "+info.FullMethod)
			return nil, status.Error(codes.Aborted, "seen")
		},
		stream: func(_ any, _ grpc.ServerStream, info *grpc.StreamServerInfo, _ grpc.StreamHandler) error {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, fmt.Sprintf("stream %+v", *info))
			infos[info.FullMethod] = append(infos[info.FullMethod], info)
			return status.Error(codes.Aborted, "seen")
		},
	}
	var first []string
	is.test(t, echo{}, func(ctx context.Context, t *testing.T, c anyClient) {
		mu.Lock()
		seen = nil
		clear(infos)
		mu.Unlock()
		for range 2 {
			desc := testpb.TestService_ServiceDesc
			for _, m := range desc.Methods {
				if err := c.Invoke(ctx, "/"+desc.ServiceName+"/"+m.MethodName, &testpb.Empty{}, &testpb.Empty{}); status.Code(err) != codes.Aborted {
					t.Errorf("%s: %v", m.MethodName, err)
				}
			}
			for i := range desc.Streams {
				s, err := c.NewStream(ctx, &desc.Streams[i], "/"+desc.ServiceName+"/"+desc.Streams[i].StreamName)
				if err != nil {
					t.Fatal(err)
				}
				if err := s.RecvMsg(&testpb.Empty{}); status.Code(err) != codes.Aborted {
					t.Errorf("%s: %v", desc.Streams[i].StreamName, err)
				}
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if first == nil {
			first = seen
			for method, is := range infos {
				if len(is) != 2 || is[0] != is[1] {
					t.Errorf("%s has the descriptions %p", method, is)
				}
			}
		}
		if len(seen) != 2*(len(testpb.TestService_ServiceDesc.Methods)+len(testpb.TestService_ServiceDesc.Streams)) || !slices.Equal(seen, first) {
			t.Errorf("the interceptors saw\n%q, before\n%q", seen, first)
		}
	})
}

// A second outermost interceptor is a mistake of the program, as in grpc-go.
func TestOutermostInterceptorTwice(t *testing.T) {
	unary := func(context.Context, any, *grpc.UnaryServerInfo, grpc.UnaryHandler) (any, error) { return nil, nil }
	stream := func(any, grpc.ServerStream, *grpc.StreamServerInfo, grpc.StreamHandler) error { return nil }
	for name, server := range map[string]func(){
		"weir, unary":     func() { weir.NewServer(weir.UnaryInterceptor(unary), weir.UnaryInterceptor(unary)) },
		"weir, stream":    func() { weir.NewServer(weir.StreamInterceptor(stream), weir.StreamInterceptor(stream)) },
		"grpc-go, unary":  func() { grpc.NewServer(grpc.UnaryInterceptor(unary), grpc.UnaryInterceptor(unary)) },
		"grpc-go, stream": func() { grpc.NewServer(grpc.StreamInterceptor(stream), grpc.StreamInterceptor(stream)) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if got := recover(); got == nil || !strings.Contains(fmt.Sprint(got), "set") {
					t.Errorf("the panic is %v", got)
				}
			}()
			server()
		})
	}
}

// A panic in an interceptor ends the process, as one in a handler does.
func TestInterceptorPanicEndsTheProcess(t *testing.T) {
	const variable = "WEIR_TEST_PANIC"
	kind := os.Getenv(variable)
	if kind == "" {
		program, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		for _, kind := range []string{"unary", "streaming"} {
			t.Run(kind, func(t *testing.T) {
				cmd := exec.CommandContext(t.Context(), program, "-test.run=^TestInterceptorPanicEndsTheProcess$")
				cmd.Env = append(os.Environ(), variable+"="+kind)
				out, err := cmd.CombinedOutput()
				if err == nil || !strings.Contains(string(out), "panic: in an interceptor, "+kind) || strings.Contains(string(out), "the call ended") {
					t.Errorf("the process ended with %v\n%s", err, out)
				}
			})
		}
		return
	}
	is := interceptors{
		unary: func(context.Context, any, *grpc.UnaryServerInfo, grpc.UnaryHandler) (any, error) {
			panic("in an interceptor, unary")
		},
		stream: func(any, grpc.ServerStream, *grpc.StreamServerInfo, grpc.StreamHandler) error {
			panic("in an interceptor, streaming")
		},
	}
	srv, lis := is.weir(), listen(t)
	testpb.RegisterTestServiceServer(srv, echo{})
	background(t, srv, lis)
	c := testpb.NewTestServiceClient(newWeirClient(t, "passthrough:///"+lis.Addr().String()))
	if kind == "unary" {
		_, err := c.EmptyCall(t.Context(), &testpb.Empty{})
		t.Fatalf("the call ended: %v", err)
	}
	s, err := c.FullDuplexCall(t.Context())
	if err == nil {
		_, err = s.Recv()
	}
	t.Fatalf("the call ended: %v", err)
}

// Interceptors cost a call no more allocations than grpc-go's do.
func TestInterceptorAllocations(t *testing.T) {
	if !allocs.Alone(t) {
		return
	}
	unary := func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		return handler(ctx, req)
	}
	cost := func(server func(interceptors) anyServer) (costs []float64) {
		for n := range 6 {
			srv, lis := server(interceptors{unaries: [2][]grpc.UnaryServerInterceptor{slices.Repeat([]grpc.UnaryServerInterceptor{unary}, n)}}), listen(t)
			testpb.RegisterTestServiceServer(srv, echo{})
			background(t, srv, lis)
			c, in := testpb.NewTestServiceClient(newWeirClient(t, "passthrough:///"+lis.Addr().String())), new(testpb.Empty)
			costs = append(costs, allocs.PerCall(t, 500, func() error {
				_, err := c.EmptyCall(t.Context(), in)
				return err
			}))
		}
		for n := range costs[1:] {
			costs[n+1] -= costs[0]
		}
		return costs[1:]
	}
	ours, theirs := cost(interceptors.weir), cost(interceptors.grpc)
	t.Logf("1 to 5 interceptors cost %.1f, grpc-go's %.1f", ours, theirs)
	for n := range ours {
		if ours[n] > theirs[n]+0.5 {
			t.Errorf("%d interceptors cost %.1f allocations, grpc-go's %.1f", n+1, ours[n], theirs[n])
		}
	}
}

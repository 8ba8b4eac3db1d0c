package weir_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
)

func TestRegisterServicePanics(t *testing.T) {
	for _, tt := range []struct {
		name     string
		register func(*weir.Server)
		words    []string
	}{
		{"does not implement", func(s *weir.Server) { s.RegisterService(&testpb.TestService_ServiceDesc, 5) }, []string{"grpc.testing.TestService", "int does not implement", "TestServiceServer"}},
		{"twice", func(s *weir.Server) {
			testpb.RegisterTestServiceServer(s, echo{})
			testpb.RegisterTestServiceServer(s, echo{})
		}, []string{"grpc.testing.TestService", "registered already"}},
		{"after Serve", func(s *weir.Server) {
			lis := listen(t)
			served := background(t, s, lis)
			// A connection that ends shows that Serve has begun.
			lis2 := bufconn.Listen(1)
			lis2.Close()
			if err := s.Serve(lis2); err == nil {
				t.Error("Serve of a closed listener gives no error")
			}
			select {
			case err := <-served:
				t.Errorf("Serve: %v", err)
			default:
			}
			testpb.RegisterTestServiceServer(s, echo{})
		}, []string{"grpc.testing.TestService", "after Serve"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			defer func() {
				text := fmt.Sprint(recover())
				for _, word := range append(tt.words, "weir: RegisterService") {
					if !strings.Contains(text, word) {
						t.Errorf("the panic %q does not say %q", text, word)
					}
				}
			}()
			tt.register(weir.NewServer())
		})
	}
}

// GetServiceInfo tells what grpc-go's tells, which reflection builds upon.
func TestGetServiceInfo(t *testing.T) {
	ours, theirs := weir.NewServer(), grpc.NewServer()
	infos := make([]map[string]grpc.ServiceInfo, 0, 2)
	for _, s := range []reflection.GRPCServer{ours, theirs} {
		testpb.RegisterTestServiceServer(s, echo{})
		healthpb.RegisterHealthServer(s, health.NewServer())
		info := s.GetServiceInfo()
		for _, i := range info {
			slices.SortFunc(i.Methods, func(a, b grpc.MethodInfo) int { return strings.Compare(a.Name, b.Name) })
		}
		infos = append(infos, info)
	}
	if !reflect.DeepEqual(infos[0], infos[1]) {
		t.Errorf("got\n%v, grpc-go's is\n%v", infos[0], infos[1])
	}
	infos[0]["grpc.testing.TestService"].Methods[0].Name = "changed"
	delete(infos[0], "grpc.testing.TestService")
	service, ok := ours.GetServiceInfo()["grpc.testing.TestService"]
	if !ok || slices.ContainsFunc(service.Methods, func(m grpc.MethodInfo) bool { return m.Name == "changed" }) {
		t.Error("what GetServiceInfo gives is the server's own")
	}
}

// drained starts a server with an open call, and GracefulStop. The client knows
// that the server drains.
func drained(t *testing.T, dial func(testing.TB, string) connector, md ...string) (srv *weir.Server, c connector, open grpc.BidiStreamingClient[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse], served <-chan error, over chan struct{}) {
	t.Helper()
	srv = weir.NewServer()
	testpb.RegisterTestServiceServer(srv, newStreamer())
	lis := listen(t)
	served = background(t, srv, lis)
	c = dial(t, lis.Addr().String())
	open, err := testpb.NewTestServiceClient(c).FullDuplexCall(metadata.AppendToOutgoingContext(t.Context(), md...))
	if err != nil {
		t.Fatal(err)
	}
	if len(md) > 0 {
		if _, err := open.Header(); err != nil {
			t.Fatal(err)
		}
	} else {
		exchange(t, open)
	}
	over = make(chan struct{})
	go func() {
		defer close(over)
		srv.GracefulStop()
	}()
	until(t, c, connectivity.Idle)
	return srv, c, open, served, over
}

// exchange sends a message and gets one.
func exchange(t *testing.T, s grpc.BidiStreamingClient[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]) {
	t.Helper()
	if err := s.Send(&testpb.StreamingOutputCallRequest{ResponseParameters: []*testpb.ResponseParameters{{Size: 7}}}); err != nil {
		t.Fatal(err)
	}
	if out, err := s.Recv(); err != nil || len(out.GetPayload().GetBody()) != 7 {
		t.Fatalf("got %v, %v", out, err)
	}
}

// GracefulStop waits for an open call, which goes on until it is finished. New
// calls find no server.
func TestGracefulStopWaits(t *testing.T) {
	for name, dial := range clients {
		t.Run(name, func(t *testing.T) {
			_, c, open, served, over := drained(t, dial)
			if _, err := testpb.NewTestServiceClient(c).EmptyCall(t.Context(), &testpb.Empty{}); status.Code(err) != codes.Unavailable {
				t.Errorf("a new call: %v, want UNAVAILABLE", err)
			}
			for range 3 {
				exchange(t, open)
			}
			select {
			case <-over:
				t.Error("GracefulStop returned while a call was open")
			default:
			}
			if err := open.CloseSend(); err != nil {
				t.Fatal(err)
			}
			if _, err := open.Recv(); err != io.EOF {
				t.Errorf("the call ended with %v, want io.EOF", err)
			}
			<-over
			if err := <-served; err != nil {
				t.Errorf("Serve gives %v after GracefulStop", err)
			}
		})
	}
}

// Serve returns when GracefulStop has ended and not when it begins, as in
// grpc-go: a main function that ends with Serve would end the open calls.
func TestServeWaitsForGracefulStop(t *testing.T) {
	for name, dial := range clients {
		t.Run(name, func(t *testing.T) {
			_, _, open, served, over := drained(t, dial)
			exchange(t, open)
			select {
			case err := <-served:
				t.Errorf("Serve returned %v while GracefulStop waits for a call", err)
			default:
			}
			if err := open.CloseSend(); err != nil {
				t.Fatal(err)
			}
			<-over
		})
	}
}

// Stop ends a call for which GracefulStop waits, and with it the wait.
func TestStopEndsGracefulStop(t *testing.T) {
	for name, dial := range clients {
		t.Run(name, func(t *testing.T) {
			srv, _, open, served, over := drained(t, dial, "x-wait", "1")
			srv.Stop()
			<-over
			if _, err := open.Recv(); status.Code(err) != codes.Unavailable {
				t.Errorf("the call ended with %v, want UNAVAILABLE", err)
			}
			if err := <-served; err != nil {
				t.Errorf("Serve gives %v after Stop", err)
			}
		})
	}
}

// Stop ends open calls, and the contexts of their handlers.
func TestStopEndsCalls(t *testing.T) {
	for name, dial := range clients {
		t.Run(name, func(t *testing.T) {
			srv, h, lis := weir.NewServer(), newStreamer(), listen(t)
			testpb.RegisterTestServiceServer(srv, h)
			served := background(t, srv, lis)
			open, err := testpb.NewTestServiceClient(dial(t, lis.Addr().String())).FullDuplexCall(metadata.AppendToOutgoingContext(t.Context(), "x-wait", "1"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := open.Header(); err != nil {
				t.Fatal(err)
			}
			srv.Stop()
			if _, err := open.Recv(); status.Code(err) != codes.Unavailable {
				t.Errorf("the call ended with %v, want UNAVAILABLE", err)
			}
			if cause := <-h.ended; cause == nil {
				t.Error("the handler's context ended without a cause")
			}
			if err := <-served; err != nil {
				t.Errorf("Serve gives %v after Stop", err)
			}
		})
	}
}

// A server that has stopped, however often and whether or not it has served,
// serves no more.
func TestServeAfterStop(t *testing.T) {
	for name, stop := range map[string]func(*weir.Server){
		"Stop":             (*weir.Server).Stop,
		"GracefulStop":     (*weir.Server).GracefulStop,
		"Stop twice":       func(s *weir.Server) { s.Stop(); s.Stop() },
		"Stop, then again": func(s *weir.Server) { s.Stop(); s.GracefulStop() },
		"graceful twice":   func(s *weir.Server) { s.GracefulStop(); s.GracefulStop(); s.Stop() },
		"after Serve": func(s *weir.Server) {
			served := background(t, s, listen(t))
			s.Stop()
			if err := <-served; err != nil && !errors.Is(err, weir.ErrServerStopped) { // it may not have begun
				t.Errorf("Serve: %v", err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			srv := weir.NewServer()
			stop(srv)
			lis := listen(t)
			if err := srv.Serve(lis); !errors.Is(err, weir.ErrServerStopped) || !errors.Is(err, grpc.ErrServerStopped) {
				t.Errorf("Serve gives %v, want ErrServerStopped", err)
			}
			if nc, err := lis.Accept(); err == nil {
				nc.Close()
				t.Error("Serve has not closed the listener")
			}
		})
	}
}

// One server serves listeners of different kinds, and Stop ends all.
func TestTwoListeners(t *testing.T) {
	srv, tcp, pipe := weir.NewServer(), listen(t), bufconn.Listen(64<<10)
	testpb.RegisterTestServiceServer(srv, echo{})
	first, second := background(t, srv, tcp), background(t, srv, pipe)
	byPipe := func(ctx context.Context, _ string) (net.Conn, error) { return pipe.DialContext(ctx) }
	for name, c := range map[string]connector{
		"tcp, weir":        newWeirClient(t, tcp.Addr().String()),
		"tcp, grpc-go":     newGRPCClient(t, tcp.Addr().String()),
		"bufconn, weir":    newWeirClient(t, "passthrough:///bufnet", weir.WithContextDialer(byPipe)),
		"bufconn, grpc-go": newGRPCClient(t, "passthrough:///bufnet", grpc.WithContextDialer(byPipe)),
	} {
		out, err := testpb.NewTestServiceClient(c).UnaryCall(t.Context(), &testpb.SimpleRequest{ResponseSize: 300_000})
		if err != nil || len(out.GetPayload().GetBody()) != 300_000 {
			t.Errorf("%s: %d octets, %v", name, len(out.GetPayload().GetBody()), err)
		}
	}
	srv.Stop()
	for _, served := range []<-chan error{first, second} {
		if err := <-served; err != nil {
			t.Errorf("Serve gives %v after Stop", err)
		}
	}
}

// flaky is a listener that fails with each of its errors in turn.
type flaky struct {
	net.Listener
	errs []error
}

func (l *flaky) Accept() (net.Conn, error) {
	if len(l.errs) > 0 {
		err := l.errs[0]
		l.errs = l.errs[1:]
		return nil, err
	}
	return l.Listener.Accept()
}

type passing struct{ error }

func (passing) Temporary() bool { return true }

// A failure to accept that passes is waited out; another ends Serve, and not
// the connections that there are.
func TestAcceptFails(t *testing.T) {
	srv := weir.NewServer()
	testpb.RegisterTestServiceServer(srv, echo{})
	lis := listen(t)
	many := passing{errors.New("too many open files")}
	served := background(t, srv, &flaky{lis, []error{many, many, many}})
	c := testpb.NewTestServiceClient(newWeirClient(t, lis.Addr().String()))
	if _, err := c.EmptyCall(t.Context(), &testpb.Empty{}); err != nil {
		t.Errorf("after failures that pass: %v", err)
	}
	broken := errors.New("the listener is broken")
	if err := srv.Serve(&flaky{listen(t), []error{many, broken}}); !errors.Is(err, broken) {
		t.Errorf("Serve gives %v, want %v", err, broken)
	}
	lis.Close()
	if err := <-served; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve gives %v, want %v", err, net.ErrClosed)
	}
	if _, err := c.EmptyCall(t.Context(), &testpb.Empty{}); err != nil {
		t.Errorf("after Serve: %v", err)
	}
}

// panics has handlers that panic.
type panics struct{ echo }

func (panics) EmptyCall(context.Context, *testpb.Empty) (*testpb.Empty, error) {
	panic("in a unary handler")
}

func (panics) FullDuplexCall(grpc.BidiStreamingServer[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]) error {
	panic("in a streaming handler")
}

// A handler that panics ends the process, as in grpc-go: nobody knows what
// state it has left. The test runs itself to see that.
func TestHandlerPanicEndsTheProcess(t *testing.T) {
	const variable = "WEIR_TEST_PANIC"
	kind := os.Getenv(variable)
	if kind == "" {
		program, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		for _, kind := range []string{"unary", "streaming"} {
			t.Run(kind, func(t *testing.T) {
				cmd := exec.CommandContext(t.Context(), program, "-test.run=^TestHandlerPanicEndsTheProcess$")
				cmd.Env = append(os.Environ(), variable+"="+kind)
				out, err := cmd.CombinedOutput()
				if err == nil || !strings.Contains(string(out), "panic: in a "+kind+" handler") || strings.Contains(string(out), "the call ended") {
					t.Errorf("the process ended with %v\n%s", err, out)
				}
			})
		}
		return
	}
	c, _ := pairings[0].start(t, panics{})
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

func TestUnknownServiceAndMethod(t *testing.T) {
	for name, dial := range clients {
		t.Run(name, func(t *testing.T) {
			lis, _ := serveAt(t, "tcp", "127.0.0.1:0")
			c := dial(t, lis.Addr().String())
			for _, tt := range []struct {
				method string
				words  []string
			}{
				{"/no.Service/EmptyCall", []string{`"no.Service"`, "no service"}},
				{"/grpc.testing.TestService/Nope", []string{`Nope"`, `"grpc.testing.TestService"`}},
				{"/grpc.testing.TestService/", []string{"grpc.testing.TestService"}},
				{"/grpc.testing.TestService", nil},
				{"/", nil},
				{"//", nil},
			} {
				wantUnimplemented := func(kind string, err error) {
					if status.Code(err) != codes.Unimplemented {
						t.Errorf("%s %q: %v, want UNIMPLEMENTED", kind, tt.method, err)
						return
					}
					wantWords(t, err, tt.words)
				}
				wantUnimplemented("unary", c.Invoke(t.Context(), tt.method, &testpb.Empty{}, &testpb.Empty{}))
				s, err := c.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, tt.method)
				if err == nil {
					err = s.RecvMsg(&testpb.Empty{})
				}
				wantUnimplemented("stream", err)
			}
			if err := c.Invoke(t.Context(), "/grpc.testing.TestService/EmptyCall", &testpb.Empty{}, &testpb.Empty{}); err != nil {
				t.Errorf("the connection is harmed: %v", err)
			}
		})
	}
}

// The services that grpc-go brings run on a weir server as they are.
func TestHealthAndReflection(t *testing.T) {
	srv, hs, lis := weir.NewServer(), health.NewServer(), listen(t)
	testpb.RegisterTestServiceServer(srv, echo{})
	healthpb.RegisterHealthServer(srv, hs)
	reflection.Register(srv)
	background(t, srv, lis)
	for name, dial := range clients {
		t.Run(name+", health", func(t *testing.T) {
			c := healthpb.NewHealthClient(dial(t, lis.Addr().String()))
			if out, err := c.Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil || out.GetStatus() != healthpb.HealthCheckResponse_SERVING {
				t.Errorf("Check gives %v, %v", out, err)
			}
			if _, err := c.Check(t.Context(), &healthpb.HealthCheckRequest{Service: "no.Service"}); status.Code(err) != codes.NotFound {
				t.Errorf("Check of an unknown service: %v, want NOT_FOUND", err)
			}
			service := "weir." + name
			s, err := c.Watch(t.Context(), &healthpb.HealthCheckRequest{Service: service})
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []healthpb.HealthCheckResponse_ServingStatus{healthpb.HealthCheckResponse_SERVICE_UNKNOWN, healthpb.HealthCheckResponse_SERVING, healthpb.HealthCheckResponse_NOT_SERVING} {
				if want != healthpb.HealthCheckResponse_SERVICE_UNKNOWN {
					hs.SetServingStatus(service, want)
				}
				if out, err := s.Recv(); err != nil || out.GetStatus() != want {
					t.Fatalf("Watch gives %v, %v, want %v", out, err, want)
				}
			}
		})
		t.Run(name+", reflection", func(t *testing.T) {
			s, err := reflectionpb.NewServerReflectionClient(dial(t, lis.Addr().String())).ServerReflectionInfo(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			ask := func(in *reflectionpb.ServerReflectionRequest) *reflectionpb.ServerReflectionResponse {
				t.Helper()
				if err := s.Send(in); err != nil {
					t.Fatal(err)
				}
				out, err := s.Recv()
				if err != nil {
					t.Fatal(err)
				}
				return out
			}
			list := ask(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}})
			var names []string
			for _, s := range list.GetListServicesResponse().GetService() {
				names = append(names, s.GetName())
			}
			for _, want := range []string{"grpc.testing.TestService", "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"} {
				if !slices.Contains(names, want) {
					t.Errorf("%q is not among %q", want, names)
				}
			}
			file := ask(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: "grpc.testing.TestService.EmptyCall"}})
			if len(file.GetFileDescriptorResponse().GetFileDescriptorProto()) == 0 {
				t.Errorf("no file for a method: %v", file)
			}
			if err := s.CloseSend(); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Recv(); err != io.EOF {
				t.Errorf("the end is %v", err)
			}
		})
	}
}

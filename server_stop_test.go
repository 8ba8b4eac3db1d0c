package weir_test

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/simnet"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// stubborn has handlers that run until they are released, whatever becomes of
// their calls.
type stubborn struct {
	echo
	began   chan struct{}
	release chan struct{}
	exit    bool // by runtime.Goexit
}

func newStubborn() *stubborn {
	return &stubborn{began: make(chan struct{}, 16), release: make(chan struct{})}
}

func (h *stubborn) UnaryCall(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	h.wait()
	return &testpb.SimpleResponse{}, nil
}

func (h *stubborn) FullDuplexCall(grpc.BidiStreamingServer[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]) error {
	h.wait()
	return nil
}

func (h *stubborn) wait() {
	h.began <- struct{}{}
	<-h.release
	if h.exit {
		runtime.Goexit()
	}
}

// simulated is a weir server on a network in a synctest bubble.
type simulated struct {
	*weir.Server
	net    simnet.Network
	served chan error
}

// simulate serves impl at "svc:80".
func simulate(t *testing.T, impl testpb.TestServiceServer, opts ...weir.ServerOption) *simulated {
	t.Helper()
	s := &simulated{Server: weir.NewServer(opts...), served: make(chan error, 1)}
	testpb.RegisterTestServiceServer(s, impl)
	lis, err := s.net.Listen("svc:80")
	if err != nil {
		t.Fatal(err)
	}
	go func() { s.served <- s.Serve(lis) }()
	synctest.Wait()
	return s
}

// client gives a client, which the bubble's test closes.
func (s *simulated) client(t *testing.T) testpb.TestServiceClient {
	t.Helper()
	return testpb.NewTestServiceClient(newWeirClient(t, "passthrough:///svc:80", weir.WithContextDialer(s.net.Dial)))
}

func (s *simulated) dial(t *testing.T) net.Conn {
	t.Helper()
	nc, err := s.net.Dial(t.Context(), "svc:80")
	if err != nil {
		t.Fatal(err)
	}
	return nc
}

// during runs f while stop runs, and tells how long stop took.
func during(stop func(), f func()) time.Duration {
	start, took := time.Now(), make(chan time.Duration)
	go func() {
		stop()
		took <- time.Since(start)
	}()
	f()
	return <-took
}

// Shutdown gives nil when all calls have finished, and an error that says whom
// it has waited for if its context ends before.
func TestShutdownNamesWhoHeldIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newStubborn()
		s := simulate(t, h)
		first, second := s.client(t), s.client(t)
		var calls sync.WaitGroup
		for _, c := range []testpb.TestServiceClient{first, first, second} {
			calls.Go(func() {
				if _, err := c.UnaryCall(t.Context(), &testpb.SimpleRequest{}); status.Code(err) != codes.Unavailable {
					t.Errorf("a call that is cut off: %v, want UNAVAILABLE", err)
				}
			})
			<-h.began
			simnet.Advance(time.Second)
		}
		if _, err := first.FullDuplexCall(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-h.began
		silent := s.dial(t)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		err := s.Shutdown(ctx)
		if d := time.Since(start); d != 3*time.Second {
			t.Errorf("Shutdown took %v, its context 3 s", d)
		}
		const want = "weir: Shutdown: context deadline exceeded before all calls had finished: 4 handlers running, 3 connections open; " +
			"client:1 has 3, the oldest for 6s: /grpc.testing.TestService/UnaryCall (2) /grpc.testing.TestService/FullDuplexCall (1); " +
			"client:2 has 1, the oldest for 4s: /grpc.testing.TestService/UnaryCall (1); " +
			"client:3 is in its handshakes"
		if !errors.Is(err, context.DeadlineExceeded) || err.Error() != want {
			t.Errorf("Shutdown gives\n%v, want\n%v", err, want)
		}
		calls.Wait()
		if err := <-s.served; err != nil {
			t.Errorf("Serve gives %v", err)
		}
		if _, err := io.ReadAll(silent); err != nil {
			t.Errorf("the silent connection ended with %v", err)
		}
		silent.Close()
		close(h.release)
	})
}

// What becomes of Shutdown when nothing holds it, when calls finish in time,
// and when others stop the server meanwhile.
func TestShutdown(t *testing.T) {
	broken := errors.New("the machine is on fire")
	for _, tt := range []struct {
		name  string
		calls bool
		run   func(t *testing.T, s *simulated, h *stubborn) error
		want  []error // nil: Shutdown gives nil
	}{
		{"without calls", false, func(t *testing.T, s *simulated, _ *stubborn) error { return s.Shutdown(t.Context()) }, nil},
		{"when it has shut down", true, func(t *testing.T, s *simulated, h *stubborn) error {
			close(h.release)
			return errors.Join(s.Shutdown(t.Context()), s.Shutdown(t.Context()))
		}, nil},
		{"when it has stopped", false, func(t *testing.T, s *simulated, _ *stubborn) error {
			s.Stop()
			return s.Shutdown(t.Context())
		}, nil},
		{"with calls that finish", true, func(t *testing.T, s *simulated, h *stubborn) error {
			time.AfterFunc(time.Hour, func() { close(h.release) })
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour+time.Second)
			defer cancel()
			return s.Shutdown(ctx)
		}, nil},
		{"twice at a time", true, func(t *testing.T, s *simulated, h *stubborn) error {
			time.AfterFunc(time.Hour, func() { close(h.release) })
			go s.GracefulStop()
			return s.Shutdown(t.Context())
		}, nil},
		{"cancelled for a cause", true, func(t *testing.T, s *simulated, h *stubborn) error {
			defer close(h.release)
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { cancel(broken) })
			return s.Shutdown(ctx)
		}, []error{context.Canceled, broken}},
		{"after its context", true, func(t *testing.T, s *simulated, h *stubborn) error {
			defer close(h.release)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			return s.Shutdown(ctx)
		}, []error{context.Canceled}},
		{"ended by Stop", true, func(t *testing.T, s *simulated, h *stubborn) error {
			defer close(h.release)
			time.AfterFunc(time.Second, s.Stop)
			return s.Shutdown(t.Context())
		}, []error{weir.ErrServerStopped}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newStubborn()
				s := simulate(t, h)
				var call sync.WaitGroup
				if tt.calls {
					c := s.client(t)
					call.Go(func() {
						if _, err := c.UnaryCall(t.Context(), &testpb.SimpleRequest{}); (err == nil) != (tt.want == nil) {
							t.Errorf("the call: %v", err)
						}
					})
					<-h.began
				}
				err := tt.run(t, s, h)
				if tt.want == nil && err != nil {
					t.Errorf("got %v", err)
				}
				for _, want := range tt.want {
					if !errors.Is(err, want) {
						t.Errorf("got %v, want one that wraps %v", err, want)
					}
				}
				call.Wait()
				if err := <-s.served; err != nil {
					t.Errorf("Serve gives %v", err)
				}
			})
		})
	}
}

// GracefulStop waits for a handler whose client has gone, as in grpc-go, and
// not for one that has ended its goroutine. Stop waits for neither.
func TestGracefulStopWaitsForHandlers(t *testing.T) {
	for _, exit := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			h := newStubborn()
			h.exit = exit
			s := simulate(t, h)
			ctx, cancel := context.WithCancel(t.Context())
			if _, err := s.client(t).FullDuplexCall(ctx); err != nil {
				t.Fatal(err)
			}
			<-h.began
			cancel()
			synctest.Wait()
			d := during(s.GracefulStop, func() {
				simnet.Advance(time.Hour)
				select {
				case err := <-s.served: // a main function may end with it
					t.Errorf("Serve gives %v before GracefulStop has ended", err)
				default:
				}
				close(h.release)
			})
			if d != time.Hour {
				t.Errorf("GracefulStop took %v, the handler an hour", d)
			}
			<-s.served
		})
		synctest.Test(t, func(t *testing.T) {
			h := newStubborn()
			s := simulate(t, h)
			ctx, cancel := context.WithCancel(t.Context())
			if _, err := s.client(t).FullDuplexCall(ctx); err != nil {
				t.Fatal(err)
			}
			<-h.began
			cancel()
			d := during(s.GracefulStop, func() {
				simnet.Advance(time.Minute)
				s.Stop()
			})
			if d != time.Minute {
				t.Errorf("GracefulStop took %v, Stop came after a minute", d)
			}
			<-s.served
			close(h.release)
		})
	}
}

// The registered health service says NOT_SERVING while open calls finish, and
// before the client hears of the end otherwise.
func TestHealthIsToldFirst(t *testing.T) {
	for name, stop := range map[string]func(*weir.Server) error{
		"GracefulStop": func(s *weir.Server) error { s.GracefulStop(); return nil },
		"Shutdown":     func(s *weir.Server) error { return s.Shutdown(context.Background()) },
	} {
		for client, dial := range clients {
			t.Run(name+", "+client, func(t *testing.T) {
				srv, hs, lis := weir.NewServer(), health.NewServer(), listen(t)
				testpb.RegisterTestServiceServer(srv, newStreamer())
				healthpb.RegisterHealthServer(srv, hs)
				background(t, srv, lis)
				c := dial(t, lis.Addr().String())
				open, err := testpb.NewTestServiceClient(c).FullDuplexCall(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				exchange(t, open)
				ctx, cancel := context.WithCancel(t.Context())
				watch, err := healthpb.NewHealthClient(c).Watch(ctx, &healthpb.HealthCheckRequest{})
				if err != nil {
					t.Fatal(err)
				}
				var over sync.WaitGroup
				for _, want := range []healthpb.HealthCheckResponse_ServingStatus{healthpb.HealthCheckResponse_SERVING, healthpb.HealthCheckResponse_NOT_SERVING} {
					if out, err := watch.Recv(); err != nil || out.GetStatus() != want {
						t.Fatalf("Watch gives %v, %v, want %v", out, err, want)
					}
					if want == healthpb.HealthCheckResponse_SERVING {
						over.Go(func() {
							if err := stop(srv); err != nil {
								t.Error(err)
							}
						})
					}
				}
				if out, err := hs.Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil || out.GetStatus() != healthpb.HealthCheckResponse_NOT_SERVING {
					t.Errorf("Check gives %v, %v", out, err)
				}
				exchange(t, open)
				cancel()
				if err := open.CloseSend(); err != nil {
					t.Fatal(err)
				}
				if _, err := open.Recv(); err != io.EOF {
					t.Errorf("the open call ended with %v", err)
				}
				over.Wait()
			})
		}
	}
}

// toldHealth tells when it is told, and serves nothing.
type toldHealth struct {
	healthpb.UnimplementedHealthServer
	told func()
}

func (h *toldHealth) Shutdown() { h.told() }

// The health service is told while the server still takes connections: a load
// balancer can hear of the end before it fails to connect. Other services with
// a Shutdown are not told, and Stop tells nobody.
func TestHealthIsToldWhileServing(t *testing.T) {
	srv, lis := weir.NewServer(), listen(t)
	told := 0
	h := &toldHealth{told: func() {
		told++
		c := testpb.NewTestServiceClient(newWeirClient(t, "passthrough:///"+lis.Addr().String()))
		if _, err := c.EmptyCall(t.Context(), &testpb.Empty{}); err != nil {
			t.Errorf("while health is told: %v", err)
		}
	}}
	healthpb.RegisterHealthServer(srv, h)
	testpb.RegisterTestServiceServer(srv, shutEcho{t: t})
	served := background(t, srv, lis)
	srv.GracefulStop()
	if err := <-served; err != nil || told != 1 {
		t.Errorf("Serve gives %v, health was told %d times", err, told)
	}
	srv = weir.NewServer()
	healthpb.RegisterHealthServer(srv, h)
	srv.Stop()
	if told != 1 {
		t.Error("Stop tells health")
	}
}

type shutEcho struct {
	echo
	t *testing.T
}

func (h shutEcho) Shutdown() { h.t.Error("a service that is not health is told") }

// One server serves tcp and a unix socket at a time, and GracefulStop drains
// both.
func TestTCPAndUnixSocket(t *testing.T) {
	srv, tcp := weir.NewServer(), listen(t)
	unix, err := net.Listen("unix", simnet.SocketPath(t))
	if err != nil {
		t.Fatal(err)
	}
	testpb.RegisterTestServiceServer(srv, newStreamer())
	first, second := background(t, srv, tcp), background(t, srv, unix)
	var open []grpc.BidiStreamingClient[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]
	var conns []connector
	for _, c := range []connector{
		newWeirClient(t, "passthrough:///"+tcp.Addr().String()),
		newWeirClient(t, "unix:"+unix.Addr().String()),
		newGRPCClient(t, "passthrough:///"+tcp.Addr().String()),
		newGRPCClient(t, "unix:"+unix.Addr().String()),
	} {
		s, err := testpb.NewTestServiceClient(c).FullDuplexCall(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		exchange(t, s)
		open, conns = append(open, s), append(conns, c)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cut := make(chan error, 1)
	go func() { cut <- srv.Shutdown(ctx) }()
	for _, c := range conns {
		until(t, c, connectivity.Idle)
	}
	for _, s := range open[1:] {
		exchange(t, s)
		if err := s.CloseSend(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Recv(); err != io.EOF {
			t.Errorf("an open call ended with %v", err)
		}
	}
	select {
	case err := <-cut:
		t.Errorf("Shutdown gives %v with an open call", err)
	default:
	}
	_ = open[0].CloseSend()
	if _, err := open[0].Recv(); err != io.EOF {
		t.Errorf("the last call ended with %v", err)
	}
	if err := errors.Join(<-cut, <-first, <-second); err != nil {
		t.Errorf("Shutdown and Serve give %v", err)
	}
	cancel()
}

// Among clients of a unix socket Shutdown tells the kind, as they have no
// address.
func TestShutdownOfUnixSocket(t *testing.T) {
	srv := weir.NewServer()
	lis, err := net.Listen("unix", simnet.SocketPath(t))
	if err != nil {
		t.Fatal(err)
	}
	h := newStreamer()
	testpb.RegisterTestServiceServer(srv, h)
	background(t, srv, lis)
	open, err := testpb.NewTestServiceClient(newGRPCClient(t, "unix:"+lis.Addr().String())).FullDuplexCall(metadata.AppendToOutgoingContext(t.Context(), "x-wait", "1"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open.Header(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := srv.Shutdown(ctx); err == nil || !strings.Contains(err.Error(), "a client by unix has 1, the oldest for ") {
		t.Errorf("Shutdown gives %v", err)
	}
	<-h.ended
}

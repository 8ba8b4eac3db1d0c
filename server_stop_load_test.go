package weir_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// counting counts the calls that its handlers begin, and those that they run.
type counting struct {
	streamer
	begun, running atomic.Int64
}

func (h *counting) UnaryCall(ctx context.Context, in *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	h.begun.Add(1)
	h.running.Add(1)
	defer h.running.Add(-1)
	return h.echo.UnaryCall(ctx, in)
}

func (h *counting) FullDuplexCall(s grpc.BidiStreamingServer[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]) error {
	h.begun.Add(1)
	h.running.Add(1)
	defer h.running.Add(-1)
	return h.streamer.FullDuplexCall(s)
}

// generations are servers of which each takes the place of the one before.
type generations struct {
	impl testpb.TestServiceServer
	at   atomic.Pointer[string] // where the newest listens
}

func (g *generations) dial(ctx context.Context, _ string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", *g.at.Load())
}

// next starts a server.
func (g *generations) next(t *testing.T) (srv *weir.Server, served <-chan error) {
	t.Helper()
	srv = weir.NewServer()
	testpb.RegisterTestServiceServer(srv, g.impl)
	lis, result := listen(t), make(chan error, 1)
	go func() { result <- srv.Serve(lis) }()
	at := lis.Addr().String()
	g.at.Store(&at)
	return srv, result
}

// dialers give a client of the generations.
var dialers = map[string]func(*testing.T, *generations) connector{
	"weir": func(t *testing.T, g *generations) connector {
		return newWeirClient(t, "passthrough:///newest", weir.WithContextDialer(g.dial))
	},
	"grpc-go": func(t *testing.T, g *generations) connector {
		return newGRPCClient(t, "passthrough:///newest", grpc.WithContextDialer(g.dial))
	},
}

// load makes calls until it is told to stop. It counts those that are answered,
// and tells every error but those that fine allows.
type load struct {
	c        testpb.TestServiceClient
	opts     []grpc.CallOption
	fine     func(error) bool
	answered atomic.Int64
	attempts atomic.Int64

	wg   sync.WaitGroup
	quit chan struct{}
	news chan struct{} // has room for one: a call was answered
}

func (l *load) start(t *testing.T) {
	l.quit, l.news = make(chan struct{}), make(chan struct{}, 1)
	for g := range 4 {
		l.wg.Go(func() {
			for n := g; ; n++ {
				select {
				case <-l.quit:
					return
				default:
				}
				l.attempts.Add(1)
				var err error
				if n%3 == 0 {
					err = l.stream(t, n)
				} else {
					err = l.unary(t, n)
				}
				if err == nil {
					l.answered.Add(1)
					select {
					case l.news <- struct{}{}:
					default:
					}
				} else if !l.fine(err) {
					t.Errorf("a call: %v", err)
				}
			}
		})
	}
}

func (l *load) stop() {
	close(l.quit)
	l.wg.Wait()
}

func (l *load) unary(t *testing.T, n int) error {
	size, fill := n*37%5000, byte(n%250+1)
	out, err := l.c.UnaryCall(t.Context(), &testpb.SimpleRequest{ResponseSize: int32(size), Payload: &testpb.Payload{Body: []byte{fill}}}, l.opts...)
	if err == nil && !bytes.Equal(out.GetPayload().GetBody(), bytes.Repeat([]byte{fill}, size)) {
		t.Errorf("the answer is not that of the call")
	}
	return err
}

func (l *load) stream(t *testing.T, n int) error {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s, err := l.c.FullDuplexCall(ctx, l.opts...)
	if err != nil {
		return err
	}
	for i := range 3 {
		size := (n + i) * 41 % 3000
		err := s.Send(&testpb.StreamingOutputCallRequest{ResponseParameters: []*testpb.ResponseParameters{{Size: int32(size)}}})
		if err != nil && err != io.EOF {
			return err
		}
		out, err := s.Recv()
		if err == io.EOF && i > 0 {
			return status.Errorf(codes.DataLoss, "the stream ended as if it were complete, after %d of 3 messages", i)
		}
		if err != nil {
			return err
		}
		if len(out.GetPayload().GetBody()) != size {
			t.Errorf("got %d octets, want %d", len(out.GetPayload().GetBody()), size)
		}
	}
	if err := s.CloseSend(); err != nil {
		return err
	}
	if _, err := s.Recv(); err != io.EOF {
		return err
	}
	return nil
}

// iterations is how often the tests of this file stop a server.
func iterations() int {
	if testing.Short() {
		return 20
	}
	return 200
}

// await waits until n more calls are answered.
func (l *load) await(n int64) {
	for n += l.answered.Load(); l.answered.Load() < n; {
		<-l.news
	}
}

// A server that stops gracefully under load lets no call fail: those that it
// has accepted are answered, once, and the others go to its successor.
func TestGracefulStopUnderLoad(t *testing.T) {
	for name, dial := range dialers {
		for _, way := range []struct {
			name string
			stop func(*weir.Server) error
		}{
			{"GracefulStop", func(s *weir.Server) error { s.GracefulStop(); return nil }},
			{"Shutdown", func(s *weir.Server) error { return s.Shutdown(context.Background()) }},
		} {
			t.Run(way.name+", "+name, func(t *testing.T) {
				h := new(counting)
				g := &generations{impl: h}
				srv, served := g.next(t)
				l := &load{c: testpb.NewTestServiceClient(dial(t, g)), opts: []grpc.CallOption{grpc.WaitForReady(true)}, fine: func(error) bool { return false }}
				l.start(t)
				for range iterations() {
					l.await(10)
					old, ended := srv, served
					srv, served = g.next(t)
					if err := way.stop(old); err != nil {
						t.Error(err)
					}
					if err := <-ended; err != nil {
						t.Errorf("Serve gives %v", err)
					}
				}
				l.stop()
				srv.GracefulStop()
				<-served
				if n := h.running.Load(); n != 0 {
					t.Errorf("%d handlers run after GracefulStop", n)
				}
				if begun, answered := h.begun.Load(), l.answered.Load(); begun != answered {
					t.Errorf("%d calls were begun, %d answered", begun, answered)
				}
				t.Logf("%d calls", l.answered.Load())
			})
		}
	}
}

// A server that stops at once under load ends what it has accepted, one way or
// the other: a call is answered rightly, or fails with UNAVAILABLE or CANCELED.
func TestStopUnderLoad(t *testing.T) {
	for name, dial := range dialers {
		t.Run(name, func(t *testing.T) {
			h := new(counting)
			g := &generations{impl: h}
			srv, served := g.next(t)
			l := &load{c: testpb.NewTestServiceClient(dial(t, g)), fine: func(err error) bool {
				if err == io.EOF {
					// grpc-go v1.85.0 makes a call again that GOAWAY has left out, and tells
					// io.EOF in place of a status if that connection is lost as well.
					return name == "grpc-go"
				}
				return status.Code(err) == codes.Unavailable || status.Code(err) == codes.Canceled
			}}
			l.start(t)
			for range iterations() {
				l.await(10)
				old, ended := srv, served
				srv, served = g.next(t)
				old.Stop()
				if err := <-ended; err != nil {
					t.Errorf("Serve gives %v", err)
				}
			}
			l.stop()
			srv.GracefulStop()
			<-served
			if begun, answered, attempts := h.begun.Load(), l.answered.Load(), l.attempts.Load(); answered > begun || begun > attempts {
				t.Errorf("%d calls were made, %d begun, %d answered", attempts, begun, answered)
			}
			for h.running.Load() > 0 { // their contexts have ended
				runtime.Gosched()
			}
			t.Logf("%d calls, %d answered", l.attempts.Load(), l.answered.Load())
		})
	}
}

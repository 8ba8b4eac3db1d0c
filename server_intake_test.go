package weir_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/simnet"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// Feature: WaitForHandlers (Stop waits)
//
// Stop waits for handlers that do not heed the end of their contexts if
// WaitForHandlers asks for it, and Shutdown does, once its time is over.
func TestWaitForHandlers(t *testing.T) {
	for _, tt := range []struct {
		wait bool
		want time.Duration
	}{{false, 0}, {true, 5 * time.Second}} {
		for name, stop := range map[string]func(s *weir.Server){
			"Stop": func(s *weir.Server) { s.Stop() },
			"Shutdown": func(s *weir.Server) {
				ended, cancel := context.WithCancel(context.Background())
				cancel()
				if err := s.Shutdown(ended); err == nil {
					t.Error("Shutdown with a handler that runs gives no error")
				}
			},
		} {
			t.Run(fmt.Sprint(name, " ", tt.wait), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h := newStubborn()
					s := simulate(t, h, weir.WaitForHandlers(tt.wait))
					c := s.client(t)
					var calls sync.WaitGroup
					calls.Go(func() { _, _ = c.UnaryCall(t.Context(), &testpb.SimpleRequest{}) })
					calls.Go(func() {
						if st, err := c.FullDuplexCall(t.Context()); err == nil {
							_, _ = st.Recv()
						}
					})
					<-h.began
					<-h.began
					took := during(func() { stop(s.Server) }, func() {
						simnet.Advance(5 * time.Second)
						close(h.release)
					})
					if took != tt.want {
						t.Errorf("took %v, want %v", took, tt.want)
					}
					calls.Wait()
				})
			})
		}
	}
}

type tapKey struct{}

// Feature: Tap handle
//
// A tap sees method and metadata, its context is the handler's, and its error
// ends the call, for grpc-go as for weir. What it changes in the metadata stays
// with it.
func TestInTapHandle(t *testing.T) {
	handle := func(ctx context.Context, info *tap.Info) (context.Context, error) {
		switch {
		case len(info.Header.Get("x-deny")) > 0:
			return nil, errors.New("not you")
		case len(info.Header.Get("x-limit")) > 0:
			return nil, status.Error(codes.ResourceExhausted, "not now")
		}
		return context.WithValue(ctx, tapKey{}, info.FullMethodName), nil
	}
	h := tapTeller{}
	for _, tt := range []struct {
		name string
		srv  anyServer
	}{
		{"weir", weir.NewServer(weir.InTapHandle(handle))},
		{"weir with stats", weir.NewServer(weir.InTapHandle(handle), weir.StatsHandler(statsNothing{}))},
		{"grpc-go", grpc.NewServer(grpc.InTapHandle(handle))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lis := listen(t)
			testpb.RegisterTestServiceServer(tt.srv, h)
			background(t, tt.srv, lis)
			c := testpb.NewTestServiceClient(clients["weir"](t, lis.Addr().String()))
			for _, call := range []struct {
				key  string
				code codes.Code
				text string
			}{
				{"x-other", codes.OK, ""},
				{"x-deny", codes.PermissionDenied, "not you"},
				{"x-limit", codes.ResourceExhausted, "not now"},
			} {
				ctx := metadata.AppendToOutgoingContext(t.Context(), call.key, "yes")
				out, err := c.UnaryCall(ctx, &testpb.SimpleRequest{})
				if st := status.Convert(err); st.Code() != call.code || st.Message() != call.text {
					t.Errorf("unary, %s: %v", call.key, err)
				}
				if want := "/grpc.testing.TestService/UnaryCall"; err == nil && out.GetUsername() != want {
					t.Errorf("the handler's context has %q, want %q", out.GetUsername(), want)
				}
				s, err := c.FullDuplexCall(ctx)
				if err != nil {
					t.Fatal(err)
				}
				_, err = s.Recv()
				if st := status.Convert(err); call.code != codes.OK && st.Code() != call.code || call.code == codes.OK && st.Message() != "/grpc.testing.TestService/FullDuplexCall" {
					t.Errorf("stream, %s: %v", call.key, err)
				}
			}
		})
	}
}

// tapTeller tells what the tap has put into its context.
type tapTeller struct{ echo }

func (tapTeller) UnaryCall(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	text, _ := ctx.Value(tapKey{}).(string)
	return &testpb.SimpleResponse{Username: text}, nil
}

func (tapTeller) FullDuplexCall(s grpc.BidiStreamingServer[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]) error {
	text, _ := s.Context().Value(tapKey{}).(string)
	return status.Error(codes.Aborted, text)
}

type statsNothing struct{}

func (statsNothing) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (statsNothing) HandleRPC(context.Context, stats.RPCStats)                         {}
func (statsNothing) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (statsNothing) HandleConn(context.Context, stats.ConnStats)                       {}

// Row A21: a tap that does not return holds up nobody but its own call, on the
// same connection too.
func TestInTapHandle_Slow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := simulate(t, newStreamer(), weir.InTapHandle(func(ctx context.Context, info *tap.Info) (context.Context, error) {
			if len(info.Header.Get("x-slow")) > 0 {
				<-ctx.Done()
			}
			return ctx, ctx.Err()
		}))
		c := s.client(t)
		slow, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(t.Context(), "x-slow", "yes"), time.Minute)
		defer cancel()
		var calls sync.WaitGroup
		for range 20 {
			calls.Go(func() {
				if _, err := c.UnaryCall(slow, &testpb.SimpleRequest{}); status.Code(err) != codes.DeadlineExceeded {
					t.Errorf("a call that the tap holds: %v", err)
				}
			})
			if _, err := c.FullDuplexCall(slow); err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		for range 10 {
			start := time.Now()
			if _, err := c.UnaryCall(t.Context(), &testpb.SimpleRequest{}); err != nil || time.Since(start) != 0 {
				t.Errorf("a call beside them: %v, after %v", err, time.Since(start))
			}
		}
		calls.Wait()
		s.Stop()
	})
}

// Feature: Admission control on queue age
//
// A unary request that waits for too long is answered without its handler; one
// that waits no longer than that is not, however long it took to arrive, and
// streams wait as long as they have to.
func TestMaxQueueAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &runCounter{}
		s := simulate(t, h, weir.MaxQueueAge(2*time.Second), weir.InTapHandle(func(ctx context.Context, info *tap.Info) (context.Context, error) {
			for _, v := range info.Header.Get("x-tap") {
				d, err := time.ParseDuration(v)
				if err != nil {
					return nil, err
				}
				<-time.After(d)
			}
			return ctx, nil
		}))
		c := s.client(t)
		for _, tt := range []struct {
			wait string
			want codes.Code
			runs int64
		}{{"1.9s", codes.OK, 1}, {"2s", codes.OK, 2}, {"2.1s", codes.ResourceExhausted, 2}} {
			ctx := metadata.AppendToOutgoingContext(t.Context(), "x-tap", tt.wait)
			_, err := c.UnaryCall(ctx, &testpb.SimpleRequest{})
			if status.Code(err) != tt.want || h.runs.Load() != tt.runs {
				t.Errorf("a request that waits for %s: %v, and the handler ran %d times, want %d", tt.wait, err, h.runs.Load(), tt.runs)
			}
			st, err := c.FullDuplexCall(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if err := st.CloseSend(); err != nil {
				t.Fatal(err)
			}
			if _, err := st.Recv(); err != io.EOF {
				t.Errorf("a stream that waits for %s: %v", tt.wait, err)
			}
		}
		conn := newWeirClient(t, "passthrough:///svc:80", weir.WithContextDialer(s.net.Dial))
		slow, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true}, testpb.TestService_UnaryCall_FullMethodName)
		if err != nil {
			t.Fatal(err)
		}
		simnet.Advance(time.Minute)
		if err := slow.SendMsg(&testpb.SimpleRequest{}); err != nil {
			t.Fatal(err)
		}
		_ = slow.CloseSend()
		if err := slow.RecvMsg(new(testpb.SimpleResponse)); err != nil {
			t.Errorf("a request that took a minute to arrive: %v", err)
		}
		s.Stop()
	})
}

// runCounter counts the calls of its handler.
type runCounter struct {
	streamer
	runs atomic.Int64
}

func (h *runCounter) UnaryCall(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	h.runs.Add(1)
	return &testpb.SimpleResponse{}, nil
}

package servehttp_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// ended is how a handler's context ended.
type ended struct {
	err, cause error
	recv, send error
}

// watch is a handler that waits for the end of its context. It says when it has
// sent: who is cut off within a Send leaves the client no status.
func watch(sent chan<- struct{}, result chan<- ended) func(s duplex) error {
	return func(s duplex) error {
		_ = s.Send(new(testpb.StreamingOutputCallResponse))
		close(sent)
		_, recv := s.Recv()
		<-s.Context().Done()
		result <- ended{s.Context().Err(), context.Cause(s.Context()), recv, s.Send(new(testpb.StreamingOutputCallResponse))}
		return s.Context().Err()
	}
}

// The end of a call reaches its handler, whoever ends it and however.
func TestEndReachesTheHandler(t *testing.T) {
	for _, tt := range []struct {
		name         string
		timeout      time.Duration
		end          func(p *port, cancel func())
		err          error
		code, client codes.Code
		by           transport.By
	}{
		{"the client cancels", time.Minute, func(_ *port, cancel func()) { cancel() }, context.Canceled, codes.Canceled, codes.Canceled, transport.ByPeer},
		{"deadline", time.Second, func(*port, func()) {}, nil, codes.OK, codes.DeadlineExceeded, 0},
		{"Stop", time.Minute, func(p *port, _ func()) { p.srv.Stop() }, context.Canceled, codes.Unavailable, codes.Unavailable, transport.ByLocal},
	} {
		t.Run(tt.name, func(t *testing.T) {
			onPort(t, func(t *testing.T, p *port) {
				for name, c := range p.clients {
					if tt.name == "Stop" && name == "grpc-go" {
						continue // a Server stops once
					}
					var sent chan struct{}
					var result chan ended
					var s grpc.BidiStreamingClient[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]
					var cancel context.CancelFunc
					for timeout := tt.timeout; ; timeout *= 2 { // on a busy machine the first deadlines are too early
						sent, result = make(chan struct{}), make(chan ended, 1)
						p.service.streamIs(watch(sent, result))
						var ctx context.Context
						ctx, cancel = context.WithTimeout(t.Context(), timeout)
						var err error
						if s, err = c.FullDuplexCall(ctx); err == nil {
							_, err = s.Recv()
						}
						if err == nil {
							break
						}
						cancel()
						if status.Code(err) != codes.DeadlineExceeded || timeout >= time.Minute {
							t.Fatal(err)
						}
					}
					<-sent
					tt.end(p, cancel)
					if _, err := s.Recv(); status.Code(err) != tt.client {
						t.Errorf("%s: the client got %v, want %v", name, err, tt.client)
					}
					got := <-result
					if got.recv == nil || got.send == nil {
						t.Errorf("%s: received %v, sent %v after the end", name, got.recv, got.send)
					}
					e, ok := errors.AsType[*transport.StreamError](got.cause)
					if !ok {
						t.Errorf("%s: the cause is %v", name, got.cause)
					} else if tt.err != nil && (got.err != tt.err || e.Status.Code() != tt.code || e.By != tt.by) {
						t.Errorf("%s: ended with %v, %v by %v", name, got.err, e.Status, e.By)
					}
					cancel()
				}
			})
		})
	}
}

// A client that does not receive holds the handler up, and lets it go with its
// end.
func TestBackPressure(t *testing.T) {
	onPort(t, func(t *testing.T, p *port) {
		for name, c := range p.clients {
			sent, result := make(chan int), make(chan error, 1)
			p.service.streamIs(func(s duplex) error {
				for n := 1; ; n++ {
					if err := s.Send(&testpb.StreamingOutputCallResponse{Payload: payload(10_000)}); err != nil {
						result <- err
						return err
					}
					select {
					case sent <- n:
					case <-s.Context().Done():
					}
				}
			})
			if _, err := c.UnaryCall(t.Context(), new(testpb.SimpleRequest)); err != nil { // it is connected
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			if _, err := c.FullDuplexCall(ctx); err != nil {
				t.Fatal(err)
			}
			<-sent
			for over := false; !over; {
				select {
				case n := <-sent:
					if n == 5001 { // 16 MiB are the largest windows, and then there are buffers
						t.Errorf("%s: %d messages of 10,000 octets were sent, and nobody received one", name, n)
						cancel()
					}
				case <-time.After(500 * time.Millisecond): // it is held up, or the machine is busy
					cancel()
				case err := <-result:
					if code := status.Code(err); code != codes.DeadlineExceeded && code != codes.Canceled {
						t.Errorf("%s: the handler got %v", name, err)
					}
					over = true
				}
			}
			cancel()
		}
	})
}

// GracefulStop waits for the calls, and later ones are refused.
func TestGracefulStop(t *testing.T) {
	onPort(t, func(t *testing.T, p *port) {
		s, err := p.clients["weir"].FullDuplexCall(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		exchange := func() {
			t.Helper()
			if err := s.Send(new(testpb.StreamingOutputCallRequest)); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Recv(); err != nil {
				t.Fatal(err)
			}
		}
		exchange()
		over := make(chan struct{})
		go func() { defer close(over); p.srv.GracefulStop() }()
		for {
			if _, err = p.clients["grpc-go"].UnaryCall(t.Context(), new(testpb.SimpleRequest)); err != nil {
				break
			}
		}
		if status.Code(err) != codes.Unavailable {
			t.Errorf("a later call: %v", err)
		}
		exchange()
		select {
		case <-over:
			t.Error("GracefulStop did not wait")
		default:
		}
		_ = s.CloseSend()
		if _, err := s.Recv(); err == nil {
			t.Error("a message after the end")
		}
		<-over
	})
}

// Messages over the Server's limit are refused, at once.
func TestMessageLimit(t *testing.T) {
	onPort(t, func(t *testing.T, p *port) {
		for name, c := range p.clients {
			if _, err := c.UnaryCall(t.Context(), &testpb.SimpleRequest{Payload: payload(2000)}); status.Code(err) != codes.ResourceExhausted {
				t.Errorf("%s: %v", name, err)
			}
		}
	}, weir.MaxRecvMsgSize(1000))
}

// What a handler leaves behind gets errors, and harms nobody.
func TestUseAfterReturn(t *testing.T) {
	onPort(t, func(t *testing.T, p *port) {
		for name, c := range p.clients {
			var left sync.WaitGroup
			p.service.streamIs(func(s duplex) error {
				begun := make(chan struct{})
				left.Go(func() {
					close(begun)
					for {
						if _, err := s.Recv(); err != nil {
							break
						}
					}
					for range 1000 {
						if s.Send(new(testpb.StreamingOutputCallResponse)) != nil {
							break
						}
					}
					if err := s.SendHeader(nil); err == nil {
						t.Errorf("%s: headers are sent after the status", name)
					}
					s.SetTrailer(metadata.Pairs("k", "v"))
					<-s.Context().Done()
				})
				<-begun
				return status.Error(codes.Aborted, "done")
			})
			for range 20 {
				s, err := c.FullDuplexCall(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				_ = s.Send(new(testpb.StreamingOutputCallRequest))
				for err == nil {
					_, err = s.Recv()
				}
				if status.Code(err) != codes.Aborted {
					t.Errorf("%s: %v", name, err)
				}
			}
			left.Wait()
		}
	})
}

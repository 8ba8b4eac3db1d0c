package inproc

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// deadlineText checks that a call ended by its deadline, and for what it is said
// to have waited.
func deadlineText(t *testing.T, s *status.Status, want string) {
	t.Helper()
	if want != "" {
		want = ": " + want
	}
	if got := s.Message(); s.Code() != codes.DeadlineExceeded || got != context.DeadlineExceeded.Error()+want {
		t.Errorf("the call ended with %v %q, want %q", s.Code(), got, want)
	}
}

// What a call waited for when its deadline passed stands in its error: whose
// turn it was, and what did not move.
//
// Feature: a passed deadline says what the call waited for.
func TestDeadline_SaysWhatWasAwaited(t *testing.T) {
	const window = 1000
	send := func(t *testing.T, send func(transport.Buffer) error, sizes ...int) {
		t.Helper()
		for _, n := range sizes {
			if err := send(message(n)); err != nil {
				t.Error(err)
			}
		}
	}
	for name, tt := range map[string]struct {
		do   func(t *testing.T, cs transport.ClientStream, h handler)
		want string
	}{
		"no answer": {func(t *testing.T, cs transport.ClientStream, _ handler) {
			send(t, cs.Send, 1)
		}, "the server in this process has not answered"},
		"headers only": {func(t *testing.T, _ transport.ClientStream, h handler) {
			if err := h.SendHeader(nil); err != nil {
				t.Error(err)
			}
		}, "the server in this process has begun to answer and has not ended the call"},
		"a message that is received": {func(t *testing.T, cs transport.ClientStream, h handler) {
			send(t, h.Send, 1)
			m, err := cs.Recv()
			if err != nil {
				t.Error(err)
			}
			m.Free()
		}, "the server in this process has begun to answer and has not ended the call"},
		"a message that nobody takes": {func(t *testing.T, _ transport.ClientStream, h handler) {
			send(t, h.Send, 1)
		}, "messages of the server in this process wait to be received here"},
		"a message that nobody takes, and the end": {func(t *testing.T, _ transport.ClientStream, h handler) {
			send(t, h.Send, 1)
			h.WriteStatus(nil)
		}, "messages of the server in this process wait to be received here"},
		"room": {func(t *testing.T, cs transport.ClientStream, _ handler) {
			send(t, cs.Send, window)
			go func() { _ = cs.Send(message(1)) }()
		}, "messages wait for room: the server in this process does not read this stream"},
		"room, of a server that has answered": {func(t *testing.T, cs transport.ClientStream, h handler) {
			send(t, h.Send, 1)
			send(t, cs.Send, window)
		}, "messages wait for room: the server in this process does not read this stream"},
		"room both ways": {func(t *testing.T, cs transport.ClientStream, h handler) {
			send(t, h.Send, window)
			send(t, cs.Send, window)
		}, "messages of the server in this process wait to be received here"},
	} {
		t.Run(name, func(t *testing.T) {
			var cc transport.ClientConfig
			var sc transport.ServerConfig
			cc.InitialWindowSize, sc.InitialWindowSize = window, window
			inPipe(t, cc, sc, func(t *testing.T, c transport.ClientTransport, _ transport.ServerTransport, handlers chan handler) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				cs := opened(ctx, t, c)
				h := <-handlers
				tt.do(t, cs, h)
				<-ctx.Done()
				synctest.Wait()
				deadlineText(t, cs.Status(), tt.want)
				_, err := cs.Recv()
				deadlineText(t, status.Convert(err), tt.want)
				close(h.over)
			})
		})
	}
}

// Who only hears of the deadline by receiving reads the same, also if the watch
// is somebody else's.
func TestDeadline_Watched_SaysWhatWasAwaited(t *testing.T) {
	inPipe(t, transport.ClientConfig{}, transport.ServerConfig{}, func(t *testing.T, c transport.ClientTransport, _ transport.ServerTransport, handlers chan handler) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cs, err := c.NewStream(ctx, &transport.Call{Method: "/s/m", Watched: true})
		if err != nil {
			t.Fatal(err)
		}
		h := <-handlers
		<-ctx.Done()
		cs.Cancel(context.DeadlineExceeded)
		_, err = cs.Recv()
		deadlineText(t, status.Convert(err), "the server in this process has not answered")
		close(h.over)
	})
}

// A unary call receives nothing before it has ended: its message does not wait
// for the caller.
func TestDeadline_RoundTrip_SaysWhatWasAwaited(t *testing.T) {
	for name, tt := range map[string]struct {
		size int // of the request
		do   func(h handler) error
		want string
	}{
		"no answer": {1, func(handler) error { return nil }, "the server in this process has not answered"},
		"headers":   {1, func(h handler) error { return h.SendHeader(nil) }, "the server in this process has begun to answer and has not ended the call"},
		"a message": {1, func(h handler) error { return h.Send(message(1)) }, "the server in this process has begun to answer and has not ended the call"},
		"a request that nobody takes": {transport.DefaultStreamWindow, func(handler) error { return nil },
			"messages wait for room: the server in this process does not read this stream"},
	} {
		t.Run(name, func(t *testing.T) {
			inPipe(t, transport.ClientConfig{}, transport.ServerConfig{}, func(t *testing.T, c transport.ClientTransport, _ transport.ServerTransport, handlers chan handler) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				got := make(chan error, 1)
				go func() {
					got <- c.RoundTrip(ctx, &transport.Call{Method: "/s/m"}, message(tt.size), new(transport.Reply))
				}()
				h := <-handlers
				if err := tt.do(h); err != nil {
					t.Error(err)
				}
				deadlineText(t, status.Convert(<-got), tt.want)
				close(h.over)
			})
		})
	}
}

// A call whose caller gives up by itself is not said to have waited.
func TestDeadline_OfACancelledCall_IsNotAwaited(t *testing.T) {
	inPipe(t, transport.ClientConfig{}, transport.ServerConfig{}, func(t *testing.T, c transport.ClientTransport, _ transport.ServerTransport, handlers chan handler) {
		ctx, cancel := context.WithCancel(t.Context())
		cs := opened(ctx, t, c)
		h := <-handlers
		cancel()
		synctest.Wait()
		if s := cs.Status(); s.Code() != codes.Canceled || s.Message() != context.Canceled.Error() {
			t.Errorf("the call ended with %v", s)
		}
		close(h.over)
	})
}

// A call that found no handlers, and one that found no slot, say so.
func TestDeadline_BeforeAHandler_SaysWhatWasAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := Pipe(transport.ClientConfig{}, transport.ServerConfig{MaxConcurrentStreams: 1})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cs := opened(ctx, t, c)
		_, err := c.NewStream(ctx, &transport.Call{Method: "/s/m"})
		if got := status.Convert(err); got.Code() != codes.DeadlineExceeded || !strings.Contains(got.Message(), "while it waited for a stream slot: the server in this process allows 1 streams at a time") {
			t.Errorf("the call without a slot ended with %v", got)
		}
		synctest.Wait()
		deadlineText(t, cs.Status(), "the server in this process has not begun to serve")
		c.Close("the test is over")
		<-s.Done()
	})
}

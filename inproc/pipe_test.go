package inproc

import (
	"context"
	"errors"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// inPipe runs f with both ends of a pipe, in a bubble. Each handler is handed
// to f.
func inPipe(t *testing.T, cc transport.ClientConfig, sc transport.ServerConfig, f func(t *testing.T, c transport.ClientTransport, s transport.ServerTransport, handlers chan handler)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c, s := Pipe(cc, sc)
		handlers := make(chan handler, 100)
		ended := make(chan struct{})
		s.StartStreams(t.Context(), func(st transport.ServerStream) {
			h := handler{st, make(chan struct{})}
			handlers <- h
			<-h.over
		}, func() { close(ended) })
		f(t, c, s, handlers)
		c.Close("the test is over")
		<-ended
		for {
			select {
			case h := <-handlers:
				close(h.over)
				continue
			default:
			}
			break
		}
	})
}

// handler is one that runs until over is closed.
type handler struct {
	transport.ServerStream
	over chan struct{}
}

func (h handler) ends(s *status.Status) {
	h.WriteStatus(s)
	close(h.over)
}

func opened(ctx context.Context, t *testing.T, c transport.ClientTransport) transport.ClientStream {
	t.Helper()
	cs, err := c.NewStream(ctx, &transport.Call{Method: "/s/m"})
	if err != nil {
		t.Fatal(err)
	}
	return cs
}

func message(n int) transport.Buffer { return transport.NewBuffer(n) }

// A sender waits when a window of octets is not received yet, in either
// direction, and goes on when it is.
//
// Feature: in-process flow control.
func TestWindow(t *testing.T) {
	const size, window = 1000, 10 * 1005
	cc, sc := transport.ClientConfig{}, transport.ServerConfig{}
	cc.InitialWindowSize, sc.InitialWindowSize = window, window
	for _, up := range []bool{true, false} {
		inPipe(t, cc, sc, func(t *testing.T, c transport.ClientTransport, _ transport.ServerTransport, handlers chan handler) {
			cs := opened(t.Context(), t, c)
			h := <-handlers
			send, recv := cs.Send, h.Recv
			if !up {
				send, recv = h.Send, cs.Recv
			}
			sent := 0
			done := make(chan struct{})
			go func() {
				defer close(done)
				for range 25 {
					if err := send(message(size)); err != nil {
						t.Errorf("message %d: %v", sent, err)
						return
					}
					sent++
				}
			}()
			for received := range 25 {
				synctest.Wait()
				if want := min(received+10, 25); sent != want {
					t.Fatalf("up %t: %d sent with %d received, want %d", up, sent, received, want)
				}
				m, err := recv()
				if err != nil {
					t.Fatal(err)
				}
				m.Free()
			}
			<-done
			h.ends(nil)
		})
	}
}

// A sender that waits hears of the end of the stream.
func TestWindowAndTheEnd(t *testing.T) {
	for name, tt := range map[string]struct {
		up  bool
		end func(c transport.ClientTransport, cs transport.ClientStream, h handler)
		is  func(error) bool
	}{
		"client sends, server ends": {true, func(_ transport.ClientTransport, _ transport.ClientStream, h handler) { h.WriteStatus(nil) }, func(err error) bool { return err == io.EOF }},
		"client sends, it cancels":  {true, func(_ transport.ClientTransport, cs transport.ClientStream, _ handler) { cs.Cancel(io.EOF) }, func(err error) bool { return err == io.EOF }},
		"client sends, close":       {true, func(c transport.ClientTransport, _ transport.ClientStream, _ handler) { c.Close("x") }, func(err error) bool { return err == io.EOF }},
		"server sends, cancel":      {false, func(_ transport.ClientTransport, cs transport.ClientStream, _ handler) { cs.Cancel(io.EOF) }, func(err error) bool { return status.Code(err) == codes.Canceled }},
		"server sends, close":       {false, func(c transport.ClientTransport, _ transport.ClientStream, _ handler) { c.Close("x") }, func(err error) bool { return status.Code(err) == codes.Unavailable }},
	} {
		t.Run(name, func(t *testing.T) {
			inPipe(t, transport.ClientConfig{}, transport.ServerConfig{}, func(t *testing.T, c transport.ClientTransport, _ transport.ServerTransport, handlers chan handler) {
				cs := opened(t.Context(), t, c)
				h := <-handlers
				send := cs.Send
				if !tt.up {
					send = h.Send
				}
				got := make(chan error, 1)
				go func() {
					var err error
					for err == nil {
						err = send(message(1 << 10))
					}
					got <- err
				}()
				synctest.Wait()
				tt.end(c, cs, h)
				if err := <-got; !tt.is(err) {
					t.Errorf("the sender got %v", err)
				}
				close(h.over)
			})
		})
	}
}

// A stream holds its place until it has ended and its handler has returned or
// sent the status. Those who wait for one get it in their order.
func TestMaxConcurrentStreams(t *testing.T) {
	inPipe(t, transport.ClientConfig{}, transport.ServerConfig{MaxConcurrentStreams: 2}, func(t *testing.T, c transport.ClientTransport, _ transport.ServerTransport, handlers chan handler) {
		first := opened(t.Context(), t, c)
		one := <-handlers
		opened(t.Context(), t, c)
		two := <-handlers

		timed, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.NewStream(timed, &transport.Call{Method: "/s/m"})
		var se *transport.StreamError
		if !errors.As(err, &se) || se.Status.Code() != codes.DeadlineExceeded || !se.Unprocessed || !se.Unsent {
			t.Fatalf("without a place: %v", err)
		}

		begun := make(chan int, 3)
		for i := range 3 {
			go func() { // the third is turned away at the end
				if _, err := c.NewStream(t.Context(), &transport.Call{Method: "/s/m"}); err == nil {
					begun <- i
				}
			}()
			synctest.Wait()
		}
		first.Cancel(io.EOF)
		synctest.Wait()
		if len(begun) != 0 {
			t.Error("a client that cancels frees the place of a handler that runs")
		}
		close(one.over)
		synctest.Wait()
		if len(begun) != 1 || <-begun != 0 {
			t.Error("the end of the handler does not free its place for the first in line")
		}
		two.WriteStatus(nil)
		synctest.Wait()
		if len(begun) != 1 || <-begun != 1 {
			t.Error("the status does not free the place")
		}
		close(two.over)
	})
}

// Draining, from either end: the streams that are open go on, others are
// refused, and with the last the pipe ends.
func TestDrain(t *testing.T) {
	for name, drain := range map[string]func(transport.ClientTransport, transport.ServerTransport){
		"GracefulClose": func(c transport.ClientTransport, _ transport.ServerTransport) { c.GracefulClose() },
		"Drain":         func(_ transport.ClientTransport, s transport.ServerTransport) { s.Drain("maintenance") },
	} {
		t.Run(name, func(t *testing.T) {
			inPipe(t, transport.ClientConfig{}, transport.ServerConfig{MaxConcurrentStreams: 1}, func(t *testing.T, c transport.ClientTransport, s transport.ServerTransport, handlers chan handler) {
				told := make(chan struct{})
				c.AfterDraining(func() { close(told) })
				cs := opened(t.Context(), t, c)
				h := <-handlers
				waits := make(chan error, 1)
				go func() {
					_, err := c.NewStream(t.Context(), &transport.Call{Method: "/s/m"})
					waits <- err
				}()
				synctest.Wait()
				drain(c, s)
				<-c.Draining()
				<-told
				_, later := c.NewStream(t.Context(), &transport.Call{Method: "/s/m"})
				for _, err := range []error{<-waits, later} {
					var se *transport.StreamError
					if !errors.As(err, &se) || se.Status.Code() != codes.Unavailable || !se.Unprocessed || !se.Unsent {
						t.Errorf("a new stream: %v", err)
					}
				}
				if err := c.Err(); err != nil {
					t.Errorf("ended before its stream: %v", err)
				}
				if err := h.Send(message(5)); err != nil {
					t.Error(err)
				}
				h.ends(status.New(codes.Aborted, "late"))
				<-c.Done()
				<-s.Done()
				if m, err := cs.Recv(); err != nil || len(m.Data) != 5 {
					t.Errorf("what was sent before the end: %v", err)
				} else {
					m.Free()
				}
				if _, err := cs.Recv(); err != io.EOF || cs.Status().Code() != codes.Aborted {
					t.Errorf("then %v, %v", err, cs.Status())
				}
				var mine, theirs *transport.ConnError
				if !errors.As(c.Err(), &mine) || !errors.As(s.Err(), &theirs) || mine.By == theirs.By {
					t.Errorf("ended with %v here, %v there", c.Err(), s.Err())
				}
			})
		})
	}
}

// Close, by either end, ends the streams of both with its reason.
func TestClose(t *testing.T) {
	for name, closing := range map[string]func(transport.ClientTransport, transport.ServerTransport){
		"client": func(c transport.ClientTransport, _ transport.ServerTransport) { c.Close("because") },
		"server": func(_ transport.ClientTransport, s transport.ServerTransport) { s.Close("because") },
	} {
		t.Run(name, func(t *testing.T) {
			inPipe(t, transport.ClientConfig{}, transport.ServerConfig{}, func(t *testing.T, c transport.ClientTransport, s transport.ServerTransport, handlers chan handler) {
				cs := opened(t.Context(), t, c)
				h := <-handlers
				closing(c, s)
				closing(c, s)
				_, err := cs.Recv()
				_, theirs := h.Recv()
				for _, err := range []error{err, theirs, context.Cause(h.Context())} {
					var se *transport.StreamError
					var ce *transport.ConnError
					if !errors.As(err, &se) || se.Status.Code() != codes.Unavailable || se.Unprocessed || !errors.As(err, &ce) || ce.Reason != "because" {
						t.Errorf("got %v", err)
					}
				}
				if err := h.SetHeader(metadata.Pairs("a", "b")); err != nil {
					t.Error(err)
				}
				if err := h.SendHeader(nil); status.Code(err) != codes.Unavailable {
					t.Errorf("SendHeader: %v", err)
				}
				if c.Ping(t.Context()) == nil {
					t.Error("Ping after the end")
				}
				reply := new(transport.Reply)
				err = c.RoundTrip(t.Context(), &transport.Call{Method: "/s/m"}, message(1), reply)
				reply.Free()
				var se *transport.StreamError
				if !errors.As(err, &se) || !se.Unsent {
					t.Errorf("a call after the end: %v", err)
				}
				close(h.over)
			})
		})
	}
}

// Streams that come before the server has a handler wait for it. If the pipe
// ends before, no handler sees them, and the client knows that.
func TestBeforeHandleStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := Pipe(transport.ClientConfig{}, transport.ServerConfig{})
		opened(t.Context(), t, c)
		cancelled, cancel := context.WithCancel(t.Context())
		opened(cancelled, t, c)
		cancel()
		synctest.Wait()
		handled := make(chan transport.ServerStream, 3)
		result := make(chan error)
		go func() { result <- s.HandleStreams(t.Context(), func(st transport.ServerStream) { handled <- st }) }()
		synctest.Wait()
		if len(handled) != 1 {
			t.Errorf("%d handlers ran, want one", len(handled))
		}
		s.Close("done")
		if err := <-result; err == nil || err != s.Err() {
			t.Errorf("HandleStreams gives %v, Err %v", err, s.Err())
		}

		c, s = Pipe(transport.ClientConfig{}, transport.ServerConfig{})
		cs := opened(t.Context(), t, c)
		s.Close("never served")
		if refused := cs.Refused(); refused == nil || !refused.Unprocessed {
			t.Errorf("a call that no handler saw: %v", refused)
		}
		if err := s.HandleStreams(t.Context(), func(transport.ServerStream) { t.Error("a handler runs") }); err == nil {
			t.Error("HandleStreams after Close gives no error")
		}
	})
}

// The octets that one end sends are those that the other receives, in the same
// place.
func TestMessagesAreHandedOver(t *testing.T) {
	inPipe(t, transport.ClientConfig{}, transport.ServerConfig{}, func(t *testing.T, c transport.ClientTransport, _ transport.ServerTransport, handlers chan handler) {
		b := message(3)
		copy(b.Bytes(), "abc")
		at := &b.Bytes()[0]
		reply := new(transport.Reply)
		done := make(chan error)
		go func() { done <- c.RoundTrip(t.Context(), &transport.Call{Method: "/s/m"}, b, reply) }()
		h := <-handlers
		m, err := h.Request()
		if err != nil || string(m.Data) != "abc" || &m.Data[0] != at {
			t.Errorf("got %q, %v", m.Data, err)
		}
		m.Free()
		answer := message(2)
		at = &answer.Bytes()[0]
		h.Reply(answer)
		if err := <-done; err != nil || &reply.Message.Data[0] != at {
			t.Errorf("%v, or a copy", err)
		}
		reply.Free()
		close(h.over)
	})
}

// Nothing runs while no call does.
func TestNoGoroutineWhenIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bubbled := func() int { // no other test is in this bubble
			buf := make([]byte, 1<<20)
			return strings.Count(string(buf[:runtime.Stack(buf, true)]), ", synctest bubble ")
		}
		before := bubbled()
		c, s := Pipe(transport.ClientConfig{}, transport.ServerConfig{MaxConcurrentStreams: math.MaxUint32})
		s.StartStreams(t.Context(), func(st transport.ServerStream) { st.WriteStatus(nil) }, nil)
		cs := opened(t.Context(), t, c)
		if _, err := cs.Recv(); err != io.EOF {
			t.Error(err)
		}
		synctest.Wait()
		if n := bubbled(); n != before {
			t.Errorf("%d goroutines more", n-before)
		}
		c.Close("")
	})
}

// Who is at the other end may be told secrets, unless the configuration says
// something else.
func TestPeer(t *testing.T) {
	c, s := Pipe(transport.ClientConfig{}, transport.ServerConfig{})
	for _, p := range []credentials.AuthInfo{c.Peer().AuthInfo, s.Peer().AuthInfo} {
		if err := credentials.CheckSecurityLevel(p, credentials.PrivacyAndIntegrity); err != nil {
			t.Error(err)
		}
	}
	if c.Peer().Addr.Network() != "inproc" || s.Peer().Addr.String() != "inproc" || c.Peer().AuthInfo.AuthType() != "inproc" {
		t.Errorf("got %v", c.Peer())
	}
	var cfg transport.ClientConfig
	cfg.AuthInfo = credentials.TLSInfo{}
	c, _ = Pipe(cfg, transport.ServerConfig{})
	if c.Peer().AuthInfo.AuthType() != "tls" {
		t.Errorf("got %v", c.Peer().AuthInfo)
	}
	select {
	case <-c.Ready():
	default:
		t.Error("not ready")
	}
	if err := c.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

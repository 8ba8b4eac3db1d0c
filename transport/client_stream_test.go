package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/internal/h2peer"
	"github.com/weir-rpc/weir/internal/simnet"
	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// pair runs f with a client and a server on a link, whose handlers do handle.
func pair(t *testing.T, link simnet.Link, cc ClientConfig, sc ServerConfig, handle func(ServerStream), f func(t *testing.T, ct ClientTransport, sv ServerTransport)) {
	t.Helper()
	inBubble(t, func(t *testing.T) {
		a, b := simnet.Pipe(link)
		server := make(chan ServerTransport, 1)
		result := async(func() error {
			sv, err := NewServerTransport(b, sc)
			if err != nil {
				close(server)
				return err
			}
			server <- sv
			return sv.HandleStreams(t.Context(), handle)
		})
		ct, err := NewHTTP2Client(t.Context(), a, cc)
		if err != nil {
			t.Fatal(err)
		}
		f(t, ct, <-server)
		ct.Close("the test is over")
		<-result
	})
}

func unaryMethods(m string) bool { return strings.HasPrefix(m, "/u/") }

// mixed answers as its request asks: an echo, an error, no message, two, none
// at all.
func mixed(st ServerStream) {
	m, err := st.Recv()
	if err != nil {
		st.WriteStatus(status.Convert(err))
		return
	}
	msg := string(m.Data)
	m.Free()
	switch {
	case strings.HasPrefix(msg, "error"):
		st.WriteStatus(status.New(codes.NotFound, msg))
	case strings.HasPrefix(msg, "none"):
		st.WriteStatus(nil)
	case strings.HasPrefix(msg, "two"):
		_ = st.Send(text(msg))
		_ = st.Send(text(msg))
		st.WriteStatus(nil)
	case strings.HasPrefix(msg, "late"):
		<-st.Context().Done()
		st.WriteStatus(status.FromContextError(st.Context().Err()))
	default:
		st.Reply(text(msg))
	}
}

// Streams of unary calls serve again: whatever became of the one before,
// answers are never mixed up and no state is left.
func TestRoundTrip_ManyInterleaved_AnswersAreNotMixedUp(t *testing.T) {
	for _, link := range []simnet.Link{{}, {RTT: time.Millisecond, Rate: 10 * simnet.Mbps}} {
		pair(t, link, ClientConfig{}, ServerConfig{Unary: unaryMethods}, mixed, func(t *testing.T, ct ClientTransport, _ ServerTransport) {
			var wg sync.WaitGroup
			for w := range 20 {
				wg.Go(func() {
					rng := rand.New(rand.NewPCG(uint64(w), 9))
					for i := range 40 {
						kinds := []string{"echo", "echo", "echo", "big" + strings.Repeat(".", 3000), "error", "none", "two", "late"}
						kind := kinds[rng.IntN(len(kinds))]
						msg := fmt.Sprintf("%s %d.%d", kind, w, i)
						ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, nil)
						if kind == "late" {
							cancel()
							ctx, cancel = context.WithTimeout(t.Context(), time.Duration(1+rng.IntN(20))*time.Millisecond)
						}
						var reply Reply
						err := ct.RoundTrip(ctx, &Call{Method: "/u/Echo"}, text(msg), &reply)
						got := string(reply.Message.Data)
						want := map[string]codes.Code{"error": codes.NotFound, "none": codes.Unimplemented, "two": codes.Unimplemented, "late": codes.DeadlineExceeded}[kind]
						switch {
						case status.Code(err) != want:
							t.Errorf("%.20q ended with %v, want %v", msg, err, want)
						case want == codes.NotFound && status.Convert(err).Message() != msg:
							t.Errorf("%.20q got the error of another call: %v", msg, err)
						case want == codes.OK && got != msg:
							t.Errorf("%.20q got the answer of another call: %.20q", msg, got)
						}
						reply.Free()
						cancel()
					}
				})
			}
			wg.Wait()
			wantNobodyWoken(t, ct)
		})
	}
}

// A stream carries messages both ways at once, in their order, with small
// windows and a slow link.
// Row A6: what sends on a stream is a method of the stream.
func TestStream_BothWays_KeepsOrder(t *testing.T) {
	echo := func(st ServerStream) {
		for {
			m, err := st.Recv()
			if err != nil {
				st.WriteStatus(nil)
				return
			}
			b := text(string(m.Data))
			m.Free()
			if err := st.Send(b); err != nil {
				return
			}
		}
	}
	cfg := ConnConfig{InitialWindowSize: 1000, InitialConnWindowSize: 3000}
	pair(t, simnet.Link{RTT: 3 * time.Millisecond}, ClientConfig{ConnConfig: cfg}, ServerConfig{ConnConfig: cfg}, echo, func(t *testing.T, ct ClientTransport, _ ServerTransport) {
		var wg sync.WaitGroup
		for w := range 4 {
			cs, err := ct.NewStream(t.Context(), &Call{Method: "/s/Stream"})
			if err != nil {
				t.Fatal(err)
			}
			message := func(i int) string { return fmt.Sprint(w, i, strings.Repeat("x", i*37%5000)) }
			wg.Go(func() {
				for i := range 100 {
					if err := cs.Send(text(message(i))); err != nil {
						t.Errorf("Send: %v", err)
					}
				}
				cs.CloseSend()
			})
			wg.Go(func() {
				for i := range 100 {
					m, err := cs.Recv()
					if err != nil || string(m.Data) != message(i) {
						t.Errorf("message %d is %.20q, %v", i, m.Data, err)
						cs.Cancel(errors.New("the test failed"))
						return
					}
					m.Free()
				}
				if _, err := cs.Recv(); cs.Status().Code() != codes.OK {
					t.Errorf("the stream ended with %v", err)
				}
			})
		}
		wg.Wait()
	})
}

// Rows A85, A97: connections that end at any moment, by either side, let every call
// end once, and leave nothing behind: no message's memory either, see TestMain.
func TestCalls_ConnectionEndsAnyTime_EndOnce(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 5))
		pair(t, simnet.Link{RTT: time.Millisecond}, ClientConfig{}, ServerConfig{Unary: unaryMethods}, mixed, func(t *testing.T, ct ClientTransport, sv ServerTransport) {
			var wg sync.WaitGroup
			for w := range 8 {
				kind := []string{"echo", "late", "error", "two"}[w%4]
				wg.Go(func() {
					for {
						var reply Reply
						err := ct.RoundTrip(t.Context(), &Call{Method: "/u/Echo"}, text(kind), &reply)
						reply.Free()
						if status.Code(err) == codes.Unavailable {
							return
						}
					}
				})
			}
			simnet.Advance(time.Duration(rng.IntN(5000)) * time.Microsecond)
			switch seed % 4 {
			case 0:
				ct.Close("client")
			case 1:
				sv.Close("server")
			case 2:
				sv.Drain("server")
				simnet.Advance(time.Second)
				ct.Close("client")
			default:
				ct.GracefulClose()
				sv.Close("server")
			}
			wg.Wait()
			<-ct.Done()
			wantNobodyWoken(t, ct)
			if ct.Err() == nil {
				t.Error("the connection ended without an error")
			}
		})
	}
}

// unwatched is a context that never tells who watches it.
type unwatched struct{ context.Context }

func (unwatched) AfterFunc(func()) (stop func() bool) { return func() bool { return true } }

// Who cancels and goes on finds the stream cancelled at once, however late the
// watch on its context is: the server sees no end of the request, the caller no
// answer.
func TestClientStream_CancelledThenUsed_IsCancelled(t *testing.T) {
	for name, use := range map[string]func(cs ClientStream) error{
		"CloseSend": func(cs ClientStream) error { cs.CloseSend(); return io.EOF },
		"Send":      func(cs ClientStream) error { return cs.Send(text("too late")) },
		"SendLast":  func(cs ClientStream) error { return cs.SendLast(text("too late")) },
		"Recv":      func(ClientStream) error { return io.EOF },
	} {
		t.Run(name, func(t *testing.T) {
			inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
				ctx, cancel := context.WithCancel(t.Context())
				cs := openStream(unwatched{ctx}, t, ct, p, 1)
				p.WriteResponse(1, []byte("an answer"))
				synctest.Wait()
				cancel()
				if err := use(cs); !errors.Is(err, io.EOF) {
					t.Errorf("the error is %v, want io.EOF", err)
				}
				if _, err := cs.Recv(); status.Code(err) != codes.Canceled {
					t.Errorf("Recv gave %v, want CANCELLED", err)
				}
				p.WantReset("and the server hears of it", 1, http2.ErrCodeCancel)
			})
		})
	}
}

// Header waits no longer than the stream lives, whatever ends it.
func TestClientStream_Ends_HeaderReturns(t *testing.T) {
	ends := map[string]func(cs ClientStream, p *h2peer.Peer, cancel func()){
		"Cancel":              func(cs ClientStream, _ *h2peer.Peer, _ func()) { cs.Cancel(errors.New("enough")) },
		"its context":         func(_ ClientStream, _ *h2peer.Peer, cancel func()) { cancel() },
		"RST_STREAM":          func(_ ClientStream, p *h2peer.Peer, _ func()) { p.WriteReset(1, http2.ErrCodeInternal) },
		"trailers only":       func(_ ClientStream, p *h2peer.Peer, _ func()) { p.WriteTrailersOnly(1, codes.OK, "") },
		"DATA before it":      func(_ ClientStream, p *h2peer.Peer, _ func()) { p.WriteMessage(1, true, nil) },
		"a list too large":    func(_ ClientStream, p *h2peer.Peer, _ func()) { tooLarge(p, false) },
		"the same and an end": func(_ ClientStream, p *h2peer.Peer, _ func()) { tooLarge(p, true) },
		"the connection":      func(_ ClientStream, p *h2peer.Peer, _ func()) { p.Close() },
		// Who took it from the table has yet to tell.
		"Cancel, when it has left the table": func(cs ClientStream, _ *h2peer.Peer, _ func()) {
			cs.(*http2ClientStream).t.mu.Lock()
			cs.(*http2ClientStream).t.removeLocked(&cs.(*http2ClientStream).stream)
			cs.(*http2ClientStream).t.mu.Unlock()
			cs.Cancel(errors.New("enough"))
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			inClient(t, ClientConfig{ConnConfig: ConnConfig{MaxHeaderListSize: 500}}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
				p.AnyOrder()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				cs := openStream(ctx, t, ct, p, 1)
				header := async(func() int { return len(cs.Header()) })
				wantPending(t, "Header", header)
				end(cs, p, cancel)
				synctest.Wait()
				select {
				case n := <-header:
					if n != 0 {
						t.Errorf("Header gave %d fields", n)
					}
				default:
					t.Error("Header waits for ever")
					cs.(*http2ClientStream).tellHeader()
				}
			})
		})
	}
}

func tooLarge(p *h2peer.Peer, end bool) {
	p.WriteHeaders(1, end, ":status", "200", "content-type", "application/grpc", "x", strings.Repeat("x", 600))
}

// Cancel of a stream that has ended drops what was not received, and says so;
// the end stays what it was if nothing is lost or it was a failure.
func TestCancel_AfterTheEnd_DoesNotChangeIt(t *testing.T) {
	for name, tt := range map[string]struct {
		unread int
		status codes.Code // zero: OK
		reset  bool
		want   codes.Code
	}{
		"OK":                         {},
		"OK and messages":            {unread: 2, want: codes.Aborted},
		"an error":                   {status: codes.NotFound, want: codes.NotFound},
		"an error and messages":      {unread: 2, status: codes.NotFound, want: codes.NotFound},
		"RST_STREAM and messages":    {unread: 2, reset: true, want: codes.Internal},
		"RST_STREAM and no messages": {reset: true, want: codes.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
				p.AnyOrder()
				cs := openStream(t.Context(), t, ct, p, 1)
				p.WriteResponse(1, []byte("one"))
				for range tt.unread {
					p.WriteMessage(1, false, []byte("unread"))
				}
				if tt.reset {
					p.WriteReset(1, http2.ErrCodeInternal)
				} else {
					p.WriteTrailers(1, tt.status, "")
				}
				synctest.Wait()
				wantMessage(t, cs, "one")
				for range 2 {
					cs.Cancel(status.Error(codes.Aborted, "gone"))
				}
				_, err := cs.Recv()
				if got := cs.Status().Code(); got != tt.want || err == nil {
					t.Errorf("Recv gave %v, the status is %v, want %v", err, got, tt.want)
				}
				if err == io.EOF && tt.want == codes.Aborted {
					t.Error("Recv gave io.EOF though messages are lost")
				}
			})
		})
	}
}

// Cancel ends an open stream with the status of its error, or CANCELLED.
func TestCancel_Status(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want codes.Code
	}{
		{errors.New("enough"), codes.Canceled},
		{nil, codes.Canceled},
		{status.Error(codes.ResourceExhausted, "too much"), codes.ResourceExhausted},
		{fmt.Errorf("in the end: %w", status.Error(codes.DataLoss, "lost")), codes.DataLoss},
	} {
		inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
			cs := openStream(t.Context(), t, ct, p, 1)
			cs.Cancel(tt.err)
			_, err := cs.Recv()
			if se := wantStreamError(t, err, CodeCancel, ByLocal); se.Status.Code() != tt.want || se.Cause != tt.err || cs.Status() != se.Status {
				t.Errorf("after Cancel(%v) Recv gave %v", tt.err, err)
			}
			p.WantReset("and the server hears of it", 1, http2.ErrCodeCancel)
		})
	}
}

// A stream is refused, and may be tried elsewhere, only if the server has not
// answered: whatever it says, it has acted on the call then.
func TestRefused_OnlyBeforeAnAnswer(t *testing.T) {
	goAway := func(p *h2peer.Peer) { p.WriteGoAway(0, http2.ErrCodeNo, "") }
	reset := func(p *h2peer.Peer) { p.WriteReset(1, http2.ErrCodeRefusedStream) }
	cancelled := func(p *h2peer.Peer) { p.WriteReset(1, http2.ErrCodeCancel) }
	for name, tt := range map[string]struct {
		answered bool
		end      func(p *h2peer.Peer)
		want     bool
	}{
		"GOAWAY":                      {false, goAway, true},
		"GOAWAY after headers":        {true, goAway, false},
		"RST_STREAM":                  {false, reset, true},
		"RST_STREAM after headers":    {true, reset, false},
		"RST_STREAM for other causes": {false, cancelled, false},
	} {
		t.Run(name, func(t *testing.T) {
			inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
				p.AnyOrder()
				cs := openStream(t.Context(), t, ct, p, 1)
				if tt.answered {
					p.WriteResponse(1, nil)
				}
				refused := async(func() *StreamError { return cs.Refused() })
				if !tt.answered {
					wantPending(t, "Refused", refused)
				}
				tt.end(p)
				synctest.Wait()
				if got := cs.Refused(); (got != nil) != tt.want || (<-refused != nil) != tt.want {
					t.Errorf("Refused gives %v", got)
				}
				_, err := cs.Recv()
				var se *StreamError
				if !errors.As(err, &se) || se.Unprocessed != tt.want || se.Unsent || !strings.Contains(err.Error(), actedText(tt.want)) {
					t.Errorf("Recv gives %#v", err)
				}
			})
		})
	}
}

// A stream that its opener watches is left to him when its context ends, and
// ends as any other then.
func TestClientStream_Watched(t *testing.T) {
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		for i, watched := range []bool{false, true} {
			id := uint32(1 + 2*i)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			cs, err := ct.NewStream(ctx, &Call{Method: "/s/Stream", Authority: "sim", Watched: watched})
			if err != nil {
				t.Fatal(err)
			}
			p.WantHeaders("the client opens a stream", id)
			simnet.Advance(2 * time.Second)
			if watched {
				p.WantIdle("nobody has cancelled it yet")
				cs.Cancel(errors.New("the opener"))
			}
			p.WantReset("its context has ended", id, http2.ErrCodeCancel)
			_, err = cs.Recv()
			wantStreamError(t, err, CodeCancel, ByLocal)
			if code := status.Code(err); code != codes.DeadlineExceeded {
				t.Errorf("watched %v: it ended with %v", watched, code)
			}
		}
	})
}

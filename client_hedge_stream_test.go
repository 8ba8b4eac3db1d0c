package weir_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/h2peer"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// hedgedStream runs a test with a stream that is hedged and the server of its
// attempts.
func hedgedStream(t *testing.T, f func(t *testing.T, s duplex, p *h2peer.Peer), opts ...grpc.CallOption) {
	t.Helper()
	configured(t, methodConfig(hedgingPolicy), func(t *testing.T, c *weir.Client, accept func() *h2peer.Peer) {
		c.Connect()
		p := accept()
		p.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
		p.WantSettingsAck("for the windows")
		p.WriteWindowUpdate(0, 1<<24)
		s, err := testpb.NewTestServiceClient(c).FullDuplexCall(t.Context(), opts...)
		if err != nil {
			t.Fatal(err)
		}
		f(t, s, p)
	})
}

func sends(t *testing.T, s duplex, sizes ...int) {
	t.Helper()
	for _, n := range sizes {
		if err := s.Send(request(n)); err != nil {
			t.Fatalf("Send gives %v", err)
		}
	}
}

// Each attempt of a stream gets what was sent before it began, and what is sent
// then, until one is answered: what follows goes to that one.
func TestHedging_Stream(t *testing.T) {
	for name, ended := range map[string]bool{"it goes on": false, "its end was sent": true} {
		t.Run(name, func(t *testing.T) {
			hedgedStream(t, func(t *testing.T, s duplex, p *h2peer.Peer) {
				sends(t, s, 0, 1, 1000)
				p.WantHeaders("the first attempt", 1)
				wantSent(t, p, 1, 0, 1, 1000)
				p.WantHeaders("the second attempt", 3)
				wantSent(t, p, 3, 0, 1, 1000)
				sends(t, s, 5)
				wantSent(t, p, 1, 5)
				wantSent(t, p, 3, 5)
				if ended {
					_ = s.CloseSend()
					p.WantEndStream("the end, too", 1)
					p.WantEndStream("the end, too", 3)
				}
				p.WriteResponse(3, []byte{}, "x-from", "the second")
				if md, err := s.Header(); err != nil || !slices.Equal(md["x-from"], []string{"the second"}) {
					t.Errorf("the headers are %v, %v", md, err)
				}
				p.WantReset("the first is cancelled", 1, http2.ErrCodeCancel)
				if _, err := s.Recv(); err != nil {
					t.Fatal(err)
				}
				if !ended {
					sends(t, s, 7)
					wantSent(t, p, 3, 7)
					_ = s.CloseSend()
					p.WantEndStream("and the end", 3)
				}
				p.WriteTrailers(3, codes.OK, "", "x-end", "the second")
				if _, err := s.Recv(); err != io.EOF {
					t.Errorf("the stream ends with %v", err)
				}
				if md := s.Trailer(); !slices.Equal(md["x-end"], []string{"the second"}) {
					t.Errorf("the trailers are %v", md)
				}
				if s.Context().Err() == nil {
					t.Error("the stream's context goes on")
				}
				p.WantIdle("and that is all")
			})
		})
	}
}

// An attempt that is refused gets another stream, and that all that was sent,
// also while there are other attempts.
func TestHedging_Refused(t *testing.T) {
	hedgedStream(t, func(t *testing.T, s duplex, p *h2peer.Peer) {
		sends(t, s, 1, 2)
		wantAs := func(stream uint32, number string) {
			t.Helper()
			if h := p.WantHeaders("an attempt comes", stream); h.Get("grpc-previous-rpc-attempts") != number {
				t.Errorf("stream %d is attempt %q, want %q", stream, h.Get("grpc-previous-rpc-attempts"), number)
			}
			wantSent(t, p, stream, 1, 2)
		}
		wantAs(1, "")
		wantAs(3, "1")
		p.WriteReset(3, http2.ErrCodeRefusedStream)
		wantAs(5, "1")
		sends(t, s, 3)
		wantSent(t, p, 1, 3)
		wantSent(t, p, 5, 3)
		p.WriteReset(5, http2.ErrCodeRefusedStream) // the second time is a failure
		if h := p.WantHeaders("the next attempt", 7); h.Get("grpc-previous-rpc-attempts") != "2" {
			t.Errorf("it has the headers %v", h.Fields)
		}
		wantSent(t, p, 7, 1, 2, 3)
		_ = s.CloseSend()
		p.WantEndStream("and the end", 7)
		p.WriteResponse(7, []byte{})
		p.WriteTrailers(7, codes.OK, "")
		if _, err := s.Recv(); err != nil {
			t.Error(err)
		}
		if _, err := s.Recv(); err != io.EOF {
			t.Error(err)
		}
	})
}

// A stream that sends more than is kept goes on with the attempt that has sent
// the most.
func TestHedging_Committed(t *testing.T) {
	hedgedStream(t, func(t *testing.T, s duplex, p *h2peer.Peer) {
		sends(t, s, 100)
		p.WantHeaders("the first attempt", 1)
		wantSent(t, p, 1, 100)
		p.WantHeaders("the second attempt", 3)
		wantSent(t, p, 3, 100)
		p.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}) // neither can send much
		p.WantSettingsAck("for the windows")
		p.WriteWindowUpdate(3, 1<<20) // and then the second can
		sends(t, s, 100<<10, 100<<10)
		wantSent(t, p, 3, 100<<10, 100<<10)
		sends(t, s, 70<<10) // more than 256 KiB
		p.WantReset("the first is cancelled", 1, http2.ErrCodeCancel)
		wantSent(t, p, 3, 70<<10)
		sends(t, s, 300<<10)
		wantSent(t, p, 3, 300<<10)
		fails(p, 3, codes.Unavailable)
		if _, err := s.Recv(); status.Code(err) != codes.Unavailable {
			t.Errorf("the stream gives %v", err)
		}
		if err := s.Send(request(1)); err != io.EOF {
			t.Errorf("Send gives %v, want io.EOF", err)
		}
	})
}

// A send that does not wait sends what can be kept, commits the call if it is
// too much, and reports that it would have to wait.
func TestHedging_TrySend(t *testing.T) {
	hedgedStream(t, func(t *testing.T, s duplex, p *h2peer.Peer) {
		try := func(n int, want bool) {
			t.Helper()
			if sent, err := weir.TrySend(s, request(n)); sent != want || err != nil {
				t.Errorf("TrySend of %d octets gives %v, %v, want %v", n, sent, err, want)
			}
		}
		p.WantHeaders("the first attempt", 1)
		try(100, true)
		wantSent(t, p, 1, 100)
		p.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		p.WantSettingsAck("for the windows")
		p.WriteWindowUpdate(0, 1<<20)
		try(100<<10, true)
		try(100<<10, true)
		try(100<<10, false)
		ctx, cancel := context.WithTimeout(t.Context(), 10*sec)
		defer cancel()
		if err := weir.SendMsgContext(ctx, s, request(100<<10)); !errors.Is(err, weir.ErrNotSent) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("SendMsgContext gives %v", err)
		}
		p.WriteWindowUpdate(1, 1<<20)
		wantSent(t, p, 1, 100<<10, 100<<10)
		synctest.Wait()
		try(7, true)
		wantSent(t, p, 1, 7)
		p.WantIdle("there was no other attempt, for the call is committed")
	})
}

// What is larger than the buffer is sent on the only attempt.
func TestHedging_NothingKept(t *testing.T) {
	hedgedStream(t, func(t *testing.T, s duplex, p *h2peer.Peer) {
		sends(t, s, 10)
		p.WantHeaders("the attempt", 1)
		wantSent(t, p, 1, 10)
		sends(t, s, 11)
		wantSent(t, p, 1, 11)
		_ = s.CloseSend()
		p.WantEndStream("the end", 1)
		p.WriteResponse(1, []byte{})
		p.WriteTrailers(1, codes.OK, "")
		if _, err := s.Recv(); err != nil {
			t.Error(err)
		}
		if _, err := s.Recv(); err != io.EOF {
			t.Error(err)
		}
	}, grpc.MaxRetryRPCBufferSize(20))
}

// A stream that has ended takes no more messages, whoever has noticed.
func TestHedging_SendAfterEnd(t *testing.T) {
	for name, received := range map[string]bool{"received": true, "not received": false} {
		t.Run(name, func(t *testing.T) {
			hedgedStream(t, func(t *testing.T, s duplex, p *h2peer.Peer) {
				sends(t, s, 1)
				p.WantHeaders("an attempt", 1)
				fails(p, 1, codes.Internal)
				if received {
					if _, err := s.Recv(); status.Code(err) != codes.Internal {
						t.Errorf("the stream gives %v", err)
					}
				}
				synctest.Wait()
				if err := s.Send(request(1)); err != io.EOF {
					t.Errorf("Send gives %v, want io.EOF", err)
				}
				if err := s.Send(request(300 << 10)); err != io.EOF {
					t.Errorf("a large Send gives %v, want io.EOF", err)
				}
				if _, err := s.Recv(); status.Code(err) != codes.Internal {
					t.Errorf("the stream gives %v", err)
				}
			})
		})
	}
	t.Run("after CloseSend", func(t *testing.T) {
		hedgedStream(t, func(t *testing.T, s duplex, p *h2peer.Peer) {
			p.WantHeaders("an attempt", 1)
			_ = s.CloseSend()
			p.WantEndStream("ends", 1)
			wantText(t, s.Send(request(1)), codes.Internal, "SendMsg after CloseSend")
			_, err := s.Recv()
			wantText(t, err, codes.Internal, "SendMsg after CloseSend")
			p.WantReset("the attempt is cancelled", 1, http2.ErrCodeCancel)
		})
	})
	t.Run("a second message", func(t *testing.T) {
		for _, kept := range []int{0, 1000} {
			configured(t, methodConfig(hedgingPolicy), func(t *testing.T, c *weir.Client, accept func() *h2peer.Peer) {
				c.Connect()
				p := accept()
				s, err := c.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, "/s/M", grpc.MaxRetryRPCBufferSize(kept))
				if err == nil {
					err = s.SendMsg(request(5))
				}
				if err != nil {
					t.Fatal(err)
				}
				p.WantHeaders("an attempt", 1)
				wantSent(t, p, 1, 5)
				p.WantEndStream("and its end", 1)
				wantText(t, s.SendMsg(request(5)), codes.Internal, "a second message where the method takes one")
				p.WantReset("the attempt is cancelled", 1, http2.ErrCodeCancel)
			})
		}
	})
	t.Run("what cannot be encoded", func(t *testing.T) {
		hedgedStream(t, func(t *testing.T, s duplex, p *h2peer.Peer) {
			p.WantHeaders("an attempt", 1)
			wantText(t, s.SendMsg("no message"), codes.Internal, "string")
			_, err := s.Recv()
			wantText(t, err, codes.Internal, "string")
			p.WantReset("the attempt is cancelled", 1, http2.ErrCodeCancel)
		})
	})
}

// A message is encoded once for all attempts; the call is told of the one that
// was answered, and a stats handler of each.
func TestHedging_OnceAndEach(t *testing.T) {
	for kind, call := range kindsOfCalls {
		t.Run(kind, func(t *testing.T) {
			seen := new(attemptsSeen)
			configured(t, methodConfig(hedgingPolicy), func(t *testing.T, c *weir.Client, accept func() *h2peer.Peer) {
				seen.mu = make(chan struct{}, 1)
				var (
					n        atomic.Int32
					md       metadata.MD
					finished []error
				)
				ctx := metadata.AppendToOutgoingContext(t.Context(), "x-mine", "v")
				result := call(ctx, c, grpc.ForceCodec(countingCodec{&n}), grpc.Trailer(&md), grpc.OnFinish(func(err error) { finished = append(finished, err) }))
				p := accept()
				for i := range 3 {
					if h := p.WantHeaders("an attempt comes", id(i)); h.Get("x-mine") != "v" || h.Get("content-type") != "application/grpc+counting" {
						t.Errorf("attempt %d has the headers %v", i, h.Fields)
					}
					p.WantMessage("with its request", id(i))
					p.WantEndStream("and its end", id(i))
					synctest.Wait()
					if i == 0 {
						fails(p, id(i), codes.Unavailable, "x-n", "0")
					}
				}
				msg, err := proto.Marshal(&testpb.SimpleResponse{Username: "good"})
				if err != nil {
					t.Fatal(err)
				}
				p.WriteResponse(id(2), msg)
				p.WriteTrailers(id(2), codes.OK, "", "x-n", "2")
				if o := <-result; o.err != nil || o.username != "good" {
					t.Errorf("the call gives %+v", o)
				}
				if n.Load() != 1 {
					t.Errorf("the message was encoded %d times", n.Load())
				}
				if !slices.Equal(md["x-n"], []string{"2"}) || !slices.Equal(finished, []error{nil}) {
					t.Errorf("the call was told the trailers %v, and that it ended with %v", md, finished)
				}
				p.WantReset("the second is cancelled", id(1), http2.ErrCodeCancel)
				synctest.Wait()
				want := []string{
					fmt.Sprintf("Begin(false) Out(%d) Trailer End(Unavailable)", 9),
					fmt.Sprintf("Begin(false) Out(%d) End(Canceled)", 9),
					fmt.Sprintf("Begin(false) Out(%d) In Trailer End(OK)", 9),
				}
				if !slices.Equal(seen.lines, want) {
					t.Errorf("the handler heard\n%q, want\n%q", seen.lines, want)
				}
			}, weir.WithStatsHandler(seen))
		})
	}
}

// Tokens that a failure has cost come back with answers, one for each call and
// none for attempts that are cancelled.
func TestHedging_Tokens(t *testing.T) {
	config := `{"retryThrottling": {"maxTokens": 4, "tokenRatio": 0.5}, ` + methodConfig(hedgingPolicy)[1:]
	configured(t, config, func(t *testing.T, c *weir.Client, accept func() *h2peer.Peer) {
		c.Connect()
		p := accept()
		n := 0
		call := func(hedged bool) {
			t.Helper()
			result := invoke(t.Context(), c)
			wantAttempt(t, p, id(n), 0)
			delay := 3 * sec
			if n++; hedged {
				delay = half
				wantAttempt(t, p, id(n), 1)
				n++
			}
			time.AfterFunc(delay, func() { answering(t, p, id(n-1)) })
			if o := <-result; o.err != nil {
				t.Error(o.err)
			}
			if hedged {
				p.WantReset("the other is cancelled", id(n-2), http2.ErrCodeCancel)
			}
			synctest.Wait()
		}
		for range 2 { // each failure costs one of four, and the answers nothing
			result := invoke(t.Context(), c)
			wantAttempt(t, p, id(n), 0)
			fails(p, id(n), codes.Unavailable, pushback("-1")...)
			wantText(t, (<-result).err, codes.Unavailable)
			n++
		}
		call(false) // half of them are too few
		call(true)
		p.WantIdle("and that is all")
	})
}

// Tokens that are gone when it is time for the next attempt, and none is under
// way, end the call as the latest attempt did. Fatal codes cost none, and what
// nobody wants again costs one, whoever asks.
func TestHedging_TokensAreGone(t *testing.T) {
	config := `{"retryThrottling": {"maxTokens": 4, "tokenRatio": 0.5}, ` + methodConfig(hedgingPolicy)[1:]
	configured(t, config, func(t *testing.T, c *weir.Client, accept func() *h2peer.Peer) {
		c.Connect()
		p := accept()
		start := time.Now()
		waits := invoke(t.Context(), c)
		wantAttempt(t, p, id(0), 0)
		fails(p, id(0), codes.Aborted, pushback("2000")...) // three of four are left
		fatal := invoke(t.Context(), c)
		wantAttempt(t, p, id(1), 0)
		fails(p, id(1), codes.Internal)
		wantText(t, (<-fatal).err, codes.Internal)
		other := invoke(t.Context(), c)
		wantAttempt(t, p, id(2), 0)
		wantAttempt(t, p, id(3), 1) // so three were enough
		fails(p, id(3), codes.Unavailable, pushback("-1")...)
		wantText(t, (<-waits).err, codes.Aborted)
		if d := time.Since(start); d != 2*sec {
			t.Errorf("the call ends after %v, want 2 s", d)
		}
		answering(t, p, id(2))
		wantText(t, (<-other).err, codes.OK)
		p.WantIdle("and that is all")
	})
}

// An attempt that was answered, and has no credit for what it still has to
// send, may end: who waits to send hears of it.
func TestHedging_EndsWithoutCredit(t *testing.T) {
	hedgedStream(t, func(t *testing.T, s duplex, p *h2peer.Peer) {
		p.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		p.WantSettingsAck("for the windows")
		sends(t, s, 100<<10, 100<<10)
		p.WantHeaders("an attempt", 1)
		p.WriteResponse(1, nil)
		if _, err := s.Header(); err != nil {
			t.Error(err)
		}
		sent := make(chan error, 1)
		go func() { sent <- s.Send(request(1)) }()
		synctest.Wait()
		select {
		case err := <-sent:
			t.Errorf("Send does not wait: %v", err)
		default:
		}
		p.WriteTrailers(1, codes.Unavailable, "no")
		if err := <-sent; err != io.EOF {
			t.Errorf("Send gives %v, want io.EOF", err)
		}
		if _, err := s.Recv(); status.Code(err) != codes.Unavailable {
			t.Errorf("the stream gives %v", err)
		}
	})
}

// Attempts that end in all moments leave one answer, with all that was sent.
func TestHedging_InAnyMoment(t *testing.T) {
	config := `"hedgingPolicy": {"maxAttempts": 4, "hedgingDelay": "0.001s", "nonFatalStatusCodes": [14]}`
	const messages = 12
	for round := range 40 {
		configured(t, methodConfig(config), func(t *testing.T, c *weir.Client, accept func() *h2peer.Peer) {
			c.Connect()
			p := accept()
			p.Ignore(http2.FrameRSTStream)
			s, err := testpb.NewTestServiceClient(c).FullDuplexCall(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			errs := make(chan error, 3)
			go func() {
				for n := range messages {
					if err := s.Send(request(n)); err != nil {
						errs <- err
						return
					}
				}
				errs <- s.CloseSend()
			}()
			go func() { _, err := s.Header(); errs <- err }()
			go func() { _, err := s.Recv(); errs <- err }()
			for i := range 3 {
				p.WantHeaders("an attempt comes", id(i))
				for n := range (round * (i + 1)) % (messages + 1) {
					wantSent(t, p, id(i), n)
				}
				if (round>>i)&1 == 0 {
					fails(p, id(i), codes.Unavailable)
				}
			}
			p.WantHeaders("the last attempt", id(3))
			p.WriteResponse(id(3), []byte{})
			for n := range messages {
				wantSent(t, p, id(3), n)
			}
			p.WantEndStream("with its end", id(3))
			p.WriteTrailers(id(3), codes.OK, "")
			for range cap(errs) {
				if err := <-errs; err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

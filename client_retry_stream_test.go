package weir_test

import (
	"context"
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

// A stream that is tried again sends all that it has sent, on each attempt, and
// then goes on, whichever call finds out.
func TestRetry_Replay(t *testing.T) {
	for name, find := range map[string]func(s duplex) error{
		"Recv":   func(s duplex) error { _, err := s.Recv(); return err },
		"Header": func(s duplex) error { _, err := s.Header(); return err },
		"Send": func(s duplex) error {
			synctest.Wait() // the failure has come
			if err := s.Send(request(3)); err != nil {
				return err
			}
			_, err := s.Recv()
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			configured(t, methodConfig(retryPolicy), func(t *testing.T, c *weir.Client, accept func() *h2peer.Peer) {
				c.Connect()
				p := accept()
				s, err := testpb.NewTestServiceClient(c).FullDuplexCall(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				sizes := []int{0, 1, 1000}
				for _, n := range sizes {
					if err := s.Send(request(n)); err != nil {
						t.Fatal(err)
					}
				}
				p.WantHeaders("the first attempt", 1)
				wantSent(t, p, 1, sizes...)
				fails(p, 1, codes.Unavailable)
				result := make(chan error, 1)
				go func() { result <- find(s) }()
				if name == "Send" {
					sizes = append(sizes, 3)
				}
				p.WantHeaders("the second attempt", 3)
				wantSent(t, p, 3, sizes...)
				fails(p, 3, codes.Aborted)
				p.WantHeaders("the third attempt", 5)
				wantSent(t, p, 5, sizes...)
				p.WriteResponse(5, []byte{})
				if err := <-result; err != nil {
					t.Errorf("the stream gives %v", err)
				}
				if err := s.Send(request(7)); err != nil {
					t.Error(err)
				}
				wantSent(t, p, 5, 7)
				_ = s.CloseSend()
				p.WantEndStream("the end", 5)
				p.WriteTrailers(5, codes.OK, "")
			})
		})
	}
}

// A stream is committed when a message has come, when more was sent than is
// kept, and when its context was asked for: then it ends with its attempt.
func TestRetry_Committed(t *testing.T) {
	for name, f := range map[string]func(t *testing.T, s duplex, p *h2peer.Peer){
		"a message came": func(t *testing.T, s duplex, p *h2peer.Peer) {
			p.WriteResponse(1, []byte{})
			if _, err := s.Recv(); err != nil {
				t.Error(err)
			}
			p.WriteTrailers(1, codes.Unavailable, "no")
		},
		"more than is kept": func(t *testing.T, s duplex, p *h2peer.Peer) {
			p.WriteWindowUpdate(0, 1<<20)
			p.WriteWindowUpdate(1, 1<<20)
			sizes := []int{100 << 10, 100 << 10, 100 << 10}
			for _, n := range sizes {
				if err := s.Send(request(n)); err != nil {
					t.Error(err)
				}
			}
			wantSent(t, p, 1, sizes...)
			fails(p, 1, codes.Unavailable)
		},
		"its context was asked for": func(_ *testing.T, s duplex, p *h2peer.Peer) {
			_ = s.Context()
			fails(p, 1, codes.Unavailable)
		},
		"status OK": func(t *testing.T, s duplex, p *h2peer.Peer) {
			fails(p, 1, codes.OK)
			if _, err := s.Recv(); err != io.EOF {
				t.Errorf("an empty stream gives %v", err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			configured(t, methodConfig(retryPolicy), func(t *testing.T, c *weir.Client, accept func() *h2peer.Peer) {
				c.Connect()
				p := accept()
				s, err := testpb.NewTestServiceClient(c).FullDuplexCall(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				p.WantHeaders("an attempt", 1)
				p.Ignore(http2.FrameRSTStream) // of what it has not sent
				f(t, s, p)
				if _, err := s.Recv(); err != io.EOF && status.Code(err) != codes.Unavailable {
					t.Errorf("Recv gives %v", err)
				}
				if err := s.Send(request(1)); err != io.EOF {
					t.Errorf("Send gives %v, want io.EOF", err)
				}
				p.WantIdle("and nothing comes after it")
			})
		})
	}
}

// Feature: Retry throttling
//
// A stream whose context is asked for while it waits for its next attempt is
// committed to that.
func TestRetry_CommittedWhileItWaits(t *testing.T) {
	configured(t, methodConfig(retryPolicy), func(t *testing.T, c *weir.Client, accept func() *h2peer.Peer) {
		c.Connect()
		p := accept()
		s, err := testpb.NewTestServiceClient(c).FullDuplexCall(t.Context())
		if err == nil {
			err = s.Send(request(5))
		}
		if err != nil {
			t.Fatal(err)
		}
		p.Ignore(http2.FrameRSTStream)
		p.WantHeaders("an attempt", 1)
		wantSent(t, p, 1, 5)
		fails(p, 1, codes.Unavailable)
		result := make(chan error, 1)
		go func() {
			_, err := s.Recv()
			result <- err
		}()
		synctest.Wait()
		if s.Context().Err() != nil {
			t.Error("the context has ended")
		}
		p.WantHeaders("the next attempt", 3)
		wantSent(t, p, 3, 5)
		fails(p, 3, codes.Unavailable)
		wantText(t, <-result, codes.Unavailable)
		p.WantIdle("and nothing comes after it")
	})
}

// Throttling counts the failures and successes of all methods, and lets single
// attempts through.
func TestRetry_Throttling(t *testing.T) {
	config := `{"retryThrottling": {"maxTokens": 4, "tokenRatio": 0.5}, ` + methodConfig(retryPolicy)[1:]
	for name, tt := range map[string]struct {
		before []codes.Code // of calls that are attempted once
		pushed bool         // these want no more attempts
		again  bool         // then a call that fails is attempted again
	}{
		"at first":                         {again: true},
		"after one failure":                {before: []codes.Code{codes.Unavailable}, pushed: true},
		"one and a success":                {before: []codes.Code{codes.Unavailable, codes.OK}, pushed: true, again: true},
		"after others that do not count":   {before: []codes.Code{codes.Internal, codes.NotFound, codes.DeadlineExceeded}, again: true},
		"the server wants no more of them": {before: []codes.Code{codes.Internal}, pushed: true},
		"two and a success":                {before: []codes.Code{codes.Unavailable, codes.Aborted, codes.OK}, pushed: true},
		"two and three":                    {before: []codes.Code{codes.Unavailable, codes.Aborted, codes.OK, codes.OK, codes.OK}, pushed: true, again: true},
	} {
		for kind, call := range kindsOfCalls {
			play := func(t *testing.T, c connector, accept func() *h2peer.Peer) {
				t.Helper()
				c.Connect()
				p := accept()
				id := uint32(1)
				once := func(code codes.Code) {
					result := call(t.Context(), c)
					wantAttempt(t, p, id, 0)
					switch {
					case code == codes.OK:
						answering(t, p, id)
					case tt.pushed:
						fails(p, id, code, pushback("-1")...)
					default:
						fails(p, id, code)
					}
					if o := <-result; status.Code(o.err) != code {
						t.Errorf("a call gives %v, want %v", o.err, code)
					}
					id += 2
				}
				for _, code := range tt.before {
					once(code)
				}
				result := call(t.Context(), c)
				wantAttempt(t, p, id, 0)
				fails(p, id, codes.Unavailable)
				if tt.again {
					wantAttempt(t, p, id+2, 1)
					answering(t, p, id+2)
				}
				if o := <-result; (o.err == nil) != tt.again {
					t.Errorf("the call gives %v", o.err)
				}
				p.WantIdle("and that is all")
			}
			t.Run(name+"/"+kind, func(t *testing.T) {
				configured(t, config, func(t *testing.T, c *weir.Client, accept func() *h2peer.Peer) { play(t, c, accept) })
			})
			t.Run(name+"/"+kind+"/grpc-go", func(t *testing.T) {
				configuredGRPC(t, config, func(t *testing.T, c *grpc.ClientConn, accept func() *h2peer.Peer) { play(t, c, accept) })
			})
		}
	}
}

// Throttling is asked again before each attempt.
func TestRetry_ThrottledHalfway(t *testing.T) {
	config := `{"retryThrottling": {"maxTokens": 6, "tokenRatio": 1}, ` + methodConfig(retryPolicy)[1:]
	configured(t, config, func(t *testing.T, c *weir.Client, accept func() *h2peer.Peer) {
		result := invoke(t.Context(), c)
		p := accept()
		for i := range 3 { // which leave three of six
			wantAttempt(t, p, uint32(1+2*i), i)
			fails(p, uint32(1+2*i), codes.Unavailable)
		}
		wantText(t, (<-result).err, codes.Unavailable)
		p.WantIdle("and that is all")
	})
}

// A failure costs one token, though both who sends and who receives ask what
// becomes of it.
func TestRetry_CountedOnce(t *testing.T) {
	config := `{"retryThrottling": {"maxTokens": 6, "tokenRatio": 0.5}, ` + methodConfig(retryPolicy)[1:]
	configured(t, config, func(t *testing.T, c *weir.Client, accept func() *h2peer.Peer) {
		c.Connect()
		p := accept()
		p.Ignore(http2.FrameRSTStream)
		s, err := testpb.NewTestServiceClient(c).FullDuplexCall(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p.WantHeaders("an attempt", 1)
		fails(p, 1, codes.Unavailable, pushback("-1")...)
		synctest.Wait()
		if err := s.Send(request(1)); err != io.EOF {
			t.Errorf("Send gives %v, want io.EOF", err)
		}
		if _, err := s.Recv(); status.Code(err) != codes.Unavailable {
			t.Errorf("Recv gives %v", err)
		}
		result := invoke(t.Context(), c)
		wantAttempt(t, p, 3, 0)
		p.WriteResponse(3, nil)
		p.WriteTrailers(3, codes.Unavailable, "no") // committed: it costs none
		wantText(t, (<-result).err, codes.Unavailable)
		result = invoke(t.Context(), c)
		wantAttempt(t, p, 5, 0)
		fails(p, 5, codes.Aborted) // four are left, more than half
		wantAttempt(t, p, 7, 1)
		answering(t, p, 7)
		wantText(t, (<-result).err, codes.OK)
	})
}

// countingCodec is a codec that counts what it encodes.
type countingCodec struct{ n *atomic.Int32 }

func (c countingCodec) Marshal(v any) ([]byte, error) {
	c.n.Add(1)
	return proto.Marshal(v.(proto.Message))
}
func (c countingCodec) Unmarshal(data []byte, v any) error {
	return proto.Unmarshal(data, v.(proto.Message))
}
func (countingCodec) Name() string { return "counting" }

// A message is encoded once, and compressed once, whatever the number of
// attempts. Metadata and what the call is told are those of each attempt.
func TestRetry_OnceAndEach(t *testing.T) {
	for kind, call := range kindsOfCalls {
		t.Run(kind, func(t *testing.T) {
			configured(t, methodConfig(retryPolicy), func(t *testing.T, c *weir.Client, accept func() *h2peer.Peer) {
				var (
					n        atomic.Int32
					trailer  metadata.MD
					finished int
				)
				ctx := metadata.AppendToOutgoingContext(t.Context(), "x-mine", "v")
				result := call(ctx, c, grpc.ForceCodec(countingCodec{&n}), grpc.Trailer(&trailer), grpc.OnFinish(func(error) { finished++ }))
				p := accept()
				for i := range 3 {
					h := p.WantHeaders("an attempt comes", uint32(1+2*i))
					if h.Get("x-mine") != "v" || h.Get("content-type") != "application/grpc+counting" {
						t.Errorf("attempt %d has the headers %v", i, h.Fields)
					}
					p.WantMessage("with its request", uint32(1+2*i))
					p.WantEndStream("and its end", uint32(1+2*i))
					if i < 2 {
						fails(p, uint32(1+2*i), codes.Unavailable, "x-n", fmt.Sprint(i))
					}
				}
				fails(p, 5, codes.NotFound, "x-n", "2")
				wantText(t, (<-result).err, codes.NotFound)
				if n.Load() != 1 {
					t.Errorf("the message was encoded %d times", n.Load())
				}
				if !slices.Equal(trailer["x-n"], []string{"2"}) || finished != 1 {
					t.Errorf("the call was told the trailers %v, and %d times that it ended", trailer, finished)
				}
				if md, _ := metadata.FromOutgoingContext(ctx); len(md) != 1 {
					t.Errorf("the caller's metadata has become %v", md)
				}
			})
		})
	}
}

// While an attempt has no credit for what is sent again, what the server says
// is received all the same, and the next attempt gets all of it again.
func TestRetry_WhileItSends(t *testing.T) {
	configured(t, methodConfig(retryPolicy), func(t *testing.T, c *weir.Client, accept func() *h2peer.Peer) {
		c.Connect()
		p := accept()
		s, err := testpb.NewTestServiceClient(c).FullDuplexCall(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p.WriteWindowUpdate(0, 1<<20)
		p.WriteWindowUpdate(1, 1<<20)
		p.WantHeaders("the first attempt", 1)
		sizes := []int{60 << 10, 60 << 10, 60 << 10, 60 << 10} // more than a stream's window and Send take
		for _, n := range sizes {
			if err := s.Send(request(n)); err != nil {
				t.Fatal(err)
			}
		}
		wantSent(t, p, 1, sizes...)
		fails(p, 1, codes.Unavailable)
		result := make(chan error, 1)
		go func() {
			_, err := s.Recv()
			result <- err
		}()
		p.WantHeaders("the second attempt", 3)
		fails(p, 3, codes.Unavailable)
		p.WantHeaders("the third attempt", 5)
		p.WriteWindowUpdate(5, 1<<20)
		wantSent(t, p, 5, sizes...)
		p.WriteResponse(5, []byte{})
		if err := <-result; err != nil {
			t.Errorf("the stream gives %v", err)
		}
		if err := s.Send(request(3)); err != nil {
			t.Error(err)
		}
		wantSent(t, p, 5, 3)
	})
}

// Whoever finds out, and in whatever moment: each attempt gets the messages
// that were sent, each once and in order.
func TestRetry_InAnyMoment(t *testing.T) {
	const messages = 20
	config := `"retryPolicy": {"maxAttempts": 5, "initialBackoff": "0.001s", "maxBackoff": "0.001s", "backoffMultiplier": 1, "retryableStatusCodes": [14]}`
	for round := range 40 {
		configured(t, methodConfig(config), func(t *testing.T, c *weir.Client, accept func() *h2peer.Peer) {
			c.Connect()
			p := accept()
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
			for i := range 4 {
				id := uint32(1 + 2*i)
				p.WantHeaders("an attempt comes", id)
				for n := range (round * (i + 1)) % (messages + 1) {
					wantSent(t, p, id, n)
				}
				fails(p, id, codes.Unavailable)
			}
			p.WantHeaders("the last attempt", 9)
			for n := range messages {
				wantSent(t, p, 9, n)
			}
			p.WantEndStream("with its end", 9)
			p.WriteResponse(9, []byte{})
			p.WriteTrailers(9, codes.OK, "")
			for range cap(errs) {
				if err := <-errs; err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// A method without a policy is not tried again, beside one that is.
func TestRetry_OtherMethods(t *testing.T) {
	config := `{"methodConfig": [{"name": [{"service": "grpc.testing.TestService", "method": "UnaryCall"}], ` + retryPolicy + `}]}`
	configured(t, config, func(t *testing.T, c *weir.Client, accept func() *h2peer.Peer) {
		start := time.Now()
		result := kindsOfCalls["bidi"](t.Context(), c)
		p := accept()
		wantAttempt(t, p, 1, 0)
		fails(p, 1, codes.Unavailable)
		wantText(t, (<-result).err, codes.Unavailable)
		if d := time.Since(start); d != 0 {
			t.Errorf("the stream took %v", d)
		}
		result = invoke(t.Context(), c)
		wantAttempt(t, p, 3, 0)
		fails(p, 3, codes.Unavailable)
		wantAttempt(t, p, 5, 1)
		answering(t, p, 5)
		wantText(t, (<-result).err, codes.OK)
	})
}

// A call whose deadline passes is not attempted again, though the policy has
// that code.
func TestRetry_DeadlineExceeded(t *testing.T) {
	for kind, call := range kindsOfCalls {
		t.Run(kind, func(t *testing.T) {
			config := `"retryPolicy": {"maxAttempts": 5, "initialBackoff": "1s", "maxBackoff": "1s", "backoffMultiplier": 1, "retryableStatusCodes": ["DEADLINE_EXCEEDED", "CANCELLED"]}`
			configured(t, methodConfig(config), func(t *testing.T, c *weir.Client, accept func() *h2peer.Peer) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				start := time.Now()
				result := call(ctx, c)
				p := accept()
				wantAttempt(t, p, 1, 0)
				wantText(t, (<-result).err, codes.DeadlineExceeded)
				if d := time.Since(start); d != time.Second {
					t.Errorf("the call took %v", d)
				}
				p.WantReset("the attempt is cancelled", 1, http2.ErrCodeCancel)
				p.WantIdle("and there is no other")
			})
		})
	}
}

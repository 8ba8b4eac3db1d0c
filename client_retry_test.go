package weir_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/h2peer"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// retryPolicy is a service config that retries UNAVAILABLE and ABORTED after
// one second, two and four, four times at most, 0.2 s each less or more.
const retryPolicy = `"retryPolicy": {"maxAttempts": 5, "initialBackoff": "1s", "maxBackoff": "4s", "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE", "ABORTED"]}`

// callKind makes one call of a kind, with "hello" in its only request, and tells
// what became of it.
type callKind func(ctx context.Context, c grpc.ClientConnInterface, opts ...grpc.CallOption) <-chan outcome

var (
	inBackground = func(f func() outcome) <-chan outcome {
		result := make(chan outcome, 1)
		go func() { result <- f() }()
		return result
	}
	hello = &testpb.Payload{Body: []byte("hello")}

	kindsOfCalls = map[string]callKind{
		"unary": invoke,
		"server streaming": func(ctx context.Context, c grpc.ClientConnInterface, opts ...grpc.CallOption) <-chan outcome {
			return inBackground(func() outcome {
				s, err := testpb.NewTestServiceClient(c).StreamingOutputCall(ctx, &testpb.StreamingOutputCallRequest{Payload: hello}, opts...)
				return received(s, err)
			})
		},
		"client streaming": func(ctx context.Context, c grpc.ClientConnInterface, opts ...grpc.CallOption) <-chan outcome {
			return inBackground(func() outcome {
				s, err := testpb.NewTestServiceClient(c).StreamingInputCall(ctx, opts...)
				if err != nil {
					return outcome{err: err}
				}
				_ = s.Send(&testpb.StreamingInputCallRequest{Payload: hello})
				var out testpb.SimpleResponse
				_ = s.CloseSend()
				err = s.RecvMsg(&out)
				return outcome{out.GetUsername(), err}
			})
		},
		"bidi": func(ctx context.Context, c grpc.ClientConnInterface, opts ...grpc.CallOption) <-chan outcome {
			return inBackground(func() outcome {
				s, err := testpb.NewTestServiceClient(c).FullDuplexCall(ctx, opts...)
				if err == nil {
					_ = s.Send(&testpb.StreamingOutputCallRequest{Payload: hello})
					_ = s.CloseSend()
				}
				return received(s, err)
			})
		},
	}
)

// received takes what comes on a stream, to its end.
func received(s grpc.ClientStream, err error) outcome {
	var out testpb.SimpleResponse
	for err == nil {
		err = s.RecvMsg(&out)
	}
	if err == io.EOF {
		err = nil
	}
	return outcome{out.GetUsername(), err}
}

// wantAttempt wants an attempt that says how many came before it, and its
// request.
func wantAttempt(t *testing.T, p *h2peer.Peer, id uint32, previous int) {
	t.Helper()
	h := p.WantHeaders("an attempt comes", id)
	want := ""
	if previous > 0 {
		want = strconv.Itoa(previous)
	}
	if got := h.Get("grpc-previous-rpc-attempts"); got != want {
		t.Errorf("the attempt on stream %d has grpc-previous-rpc-attempts %q, want %q", id, got, want)
	}
	if m := p.WantMessage("with its request", id); !bytes.Contains(m, hello.Body) {
		t.Errorf("the request is %q", m)
	}
	p.WantEndStream("and its end", id)
}

// fails ends an attempt with a status and nothing else.
func fails(p *h2peer.Peer, id uint32, code codes.Code, extra ...string) {
	p.WriteTrailersOnly(id, code, "no", extra...)
}

// A step is what the server does with an attempt.
type step struct {
	after  time.Duration // since the last one, a fifth less or more; if exact, neither
	exact  bool
	number int // of attempts that the client says came before it
	do     func(t *testing.T, p *h2peer.Peer, id uint32)
}

func failing(code codes.Code, extra ...string) func(*testing.T, *h2peer.Peer, uint32) {
	return func(_ *testing.T, p *h2peer.Peer, id uint32) { fails(p, id, code, extra...) }
}

func resetting(code http2.ErrCode) func(*testing.T, *h2peer.Peer, uint32) {
	return func(_ *testing.T, p *h2peer.Peer, id uint32) { p.WriteReset(id, code) }
}

func answering(t *testing.T, p *h2peer.Peer, id uint32) { answer(t, p, id, "good") }

func pushback(v string) []string { return []string{"grpc-retry-pushback-ms", v} }

// within reports whether a delay is about what is wanted.
func (s step) within(d time.Duration) bool {
	if s.exact || s.after == 0 {
		return d == s.after
	}
	return d >= s.after*8/10 && d <= s.after*12/10
}

// Feature: Retries of gRFC A6
//
// A call of any kind is attempted as the policy says, and what comes of it is
// that of the last attempt.
func TestRetry(t *testing.T) {
	sec := time.Second
	headers := func(_ *testing.T, p *h2peer.Peer, id uint32) {
		p.WriteResponse(id, nil)
		p.WriteTrailers(id, codes.Unavailable, "no")
	}
	for name, tt := range map[string]struct {
		steps []step
		want  codes.Code
		most  int  // WithMaxCallAttempts, unless 0
		off   bool // WithDisableRetry
		call  []grpc.CallOption
		other string // what grpc-go does instead
	}{
		"the first is good":             {steps: []step{{do: answering}}},
		"the second is good":            {steps: []step{{do: failing(codes.Unavailable)}, {after: sec, number: 1, do: answering}}},
		"another code, and the third":   {steps: []step{{do: failing(codes.Aborted)}, {after: sec, number: 1, do: failing(codes.Unavailable)}, {after: 2 * sec, number: 2, do: answering}}},
		"all fail":                      {want: codes.Aborted, steps: []step{{do: failing(codes.Unavailable)}, {after: sec, number: 1, do: failing(codes.Unavailable)}, {after: 2 * sec, number: 2, do: failing(codes.Unavailable)}, {after: 4 * sec, number: 3, do: failing(codes.Unavailable)}, {after: 4 * sec, number: 4, do: failing(codes.Aborted)}}},
		"a code that is not to be":      {want: codes.Internal, steps: []step{{do: failing(codes.Internal)}}},
		"such a code as second":         {want: codes.NotFound, steps: []step{{do: failing(codes.Unavailable)}, {after: sec, number: 1, do: failing(codes.NotFound)}}},
		"headers came":                  {want: codes.Unavailable, steps: []step{{do: headers}}},
		"headers came to the second":    {want: codes.Unavailable, steps: []step{{do: failing(codes.Unavailable)}, {after: sec, number: 1, do: headers}}},
		"the server says when":          {steps: []step{{do: failing(codes.Unavailable, pushback("1234")...)}, {after: 1234 * time.Millisecond, exact: true, number: 1, do: answering}}},
		"the server says at once":       {steps: []step{{do: failing(codes.Unavailable, pushback("0")...)}, {number: 1, do: answering}}},
		"what it says starts anew":      {steps: []step{{do: failing(codes.Unavailable)}, {after: sec, number: 1, do: failing(codes.Unavailable)}, {after: 2 * sec, number: 2, do: failing(codes.Unavailable, pushback("50")...)}, {after: 50 * time.Millisecond, exact: true, number: 3, do: failing(codes.Unavailable)}, {after: sec, number: 4, do: answering}}},
		"the server wants no more":      {want: codes.Unavailable, steps: []step{{do: failing(codes.Unavailable, pushback("-1")...)}}},
		"it says no number":             {want: codes.Unavailable, steps: []step{{do: failing(codes.Unavailable, pushback("soon")...)}}},
		"it says nothing":               {want: codes.Unavailable, steps: []step{{do: failing(codes.Unavailable, pushback("")...)}}},
		"it says a fraction":            {want: codes.Unavailable, steps: []step{{do: failing(codes.Unavailable, pushback("1.5")...)}}},
		"it says too much":              {other: "it waits for 25 days", want: codes.Unavailable, steps: []step{{do: failing(codes.Unavailable, pushback("2147483648")...)}}},
		"it says it twice":              {want: codes.Unavailable, steps: []step{{do: failing(codes.Unavailable, append(pushback("1"), pushback("1")...)...)}}},
		"it says it with another code":  {want: codes.Internal, steps: []step{{do: failing(codes.Internal, pushback("1")...)}}},
		"it says it after the last":     {want: codes.Unavailable, most: 2, steps: []step{{do: failing(codes.Unavailable)}, {after: sec, number: 1, do: failing(codes.Unavailable, pushback("1")...)}}},
		"refused, and nobody counts it": {steps: []step{{do: resetting(http2.ErrCodeRefusedStream)}, {do: failing(codes.Unavailable)}, {after: sec, number: 1, do: answering}}},
		"refused twice, by the policy":  {steps: []step{{do: resetting(http2.ErrCodeRefusedStream)}, {do: resetting(http2.ErrCodeRefusedStream)}, {after: sec, number: 1, do: answering}}},
		"refused late":                  {other: "only the first attempt is made again at once", steps: []step{{do: failing(codes.Unavailable)}, {after: sec, number: 1, do: resetting(http2.ErrCodeRefusedStream)}, {number: 1, do: answering}}},
		"a reset that maps to no code":  {want: codes.Internal, steps: []step{{do: resetting(http2.ErrCodeProtocol)}}},
		"two at most":                   {want: codes.Unavailable, most: 2, steps: []step{{do: failing(codes.Unavailable)}, {after: sec, number: 1, do: failing(codes.Unavailable)}}},
		"retries are off":               {want: codes.Unavailable, off: true, steps: []step{{do: resetting(http2.ErrCodeRefusedStream)}, {do: failing(codes.Unavailable)}}},
		"nothing may be kept":           {want: codes.Unavailable, call: []grpc.CallOption{grpc.MaxRetryRPCBufferSize(5 + 8)}, steps: []step{{do: failing(codes.Unavailable)}}},
		"just enough may be kept":       {call: []grpc.CallOption{grpc.MaxRetryRPCBufferSize(5 + 9)}, steps: []step{{do: failing(codes.Unavailable)}, {after: sec, number: 1, do: answering}}},
	} {
		play := func(t *testing.T, call callKind, c grpc.ClientConnInterface, accept func() *h2peer.Peer) {
			t.Helper()
			result := call(t.Context(), c, tt.call...)
			p := accept()
			last := time.Now()
			for i, s := range tt.steps {
				id := uint32(1 + 2*i)
				wantAttempt(t, p, id, s.number)
				if d := time.Since(last); !s.within(d) {
					t.Errorf("attempt %d comes after %v, want %v", i+1, d, s.after)
				}
				last = time.Now()
				s.do(t, p, id)
			}
			o := <-result
			if status.Code(o.err) != tt.want || tt.want == codes.OK && o.username != "good" {
				t.Errorf("the call gives %+v, want %v", o, tt.want)
			}
			if d := time.Since(last); d != 0 {
				t.Errorf("the call ends %v after the last attempt", d)
			}
			p.WantIdle("nothing is left of it")
		}
		for kind, call := range kindsOfCalls {
			t.Run(name+"/"+kind, func(t *testing.T) {
				opts := []weir.DialOption{weir.WithMaxCallAttempts(tt.most)}
				if tt.off {
					opts = append(opts, weir.WithDisableRetry())
				}
				configured(t, methodConfig(retryPolicy), func(t *testing.T, c *weir.Client, accept func() *h2peer.Peer) {
					play(t, call, c, accept)
				}, opts...)
			})
			if tt.other != "" {
				continue
			}
			t.Run(name+"/"+kind+"/grpc-go", func(t *testing.T) {
				opts := []grpc.DialOption{grpc.WithMaxCallAttempts(tt.most)}
				if tt.off {
					opts = append(opts, grpc.WithDisableRetry())
				}
				configuredGRPC(t, methodConfig(retryPolicy), func(t *testing.T, c *grpc.ClientConn, accept func() *h2peer.Peer) {
					play(t, call, c, accept)
				}, opts...)
			})
		}
	}
}

// The end of the call's time, or of the Client, is the end of the wait for the
// next attempt.
func TestRetry_Wait(t *testing.T) {
	for name, tt := range map[string]struct {
		end  func(cancel func(), c *weir.Client)
		want codes.Code
		text string
	}{
		"the call is cancelled": {func(cancel func(), _ *weir.Client) { cancel() }, codes.Canceled, ""},
		"the Client is closed":  {func(_ func(), c *weir.Client) { _ = c.Close() }, codes.Canceled, ""},
		"the deadline":          {func(func(), *weir.Client) {}, codes.DeadlineExceeded, ""},
	} {
		for kind, call := range kindsOfCalls {
			t.Run(name+"/"+kind, func(t *testing.T) {
				configured(t, methodConfig(retryPolicy), func(t *testing.T, c *weir.Client, accept func() *h2peer.Peer) {
					ctx, cancel := context.WithTimeout(t.Context(), 600*time.Millisecond)
					defer cancel()
					start := time.Now()
					result := call(ctx, c)
					p := accept()
					wantAttempt(t, p, 1, 0)
					fails(p, 1, codes.Unavailable)
					synctest.Wait() // it waits
					tt.end(cancel, c)
					o := <-result
					want := time.Duration(0)
					if tt.want == codes.DeadlineExceeded {
						want = 600 * time.Millisecond
					}
					if d := time.Since(start); status.Code(o.err) != tt.want || d != want {
						t.Errorf("the call gives %v after %v, want %v after %v", o.err, d, tt.want, want)
					}
				})
			})
		}
	}
}

// The timeout of the service config is for all attempts together, and each one
// is told what is left.
func TestRetry_Timeout(t *testing.T) {
	configured(t, methodConfig(`"timeout": "2s", `+retryPolicy), func(t *testing.T, c *weir.Client, accept func() *h2peer.Peer) {
		start := time.Now()
		result := invoke(t.Context(), c)
		p := accept()
		for i := range 2 {
			id := uint32(1 + 2*i)
			h := p.WantHeaders("an attempt comes", id)
			n, err := strconv.Atoi(h.Get("grpc-timeout")[:len(h.Get("grpc-timeout"))-1])
			if err != nil || (n < 2e6-10) != (i == 1) {
				t.Errorf("attempt %d has the timeout %s", i, h.Get("grpc-timeout"))
			}
			p.WantMessage("with its request", id)
			if i == 0 {
				fails(p, id, codes.Unavailable)
			}
		}
		wantText(t, (<-result).err, codes.DeadlineExceeded)
		if d := time.Since(start); d != 2*time.Second {
			t.Errorf("the call took %v", d)
		}
	})
}

// A connection that breaks before the answer, and one that there is not, are
// failures like others.
func TestRetry_NoConnection(t *testing.T) {
	for kind, call := range kindsOfCalls {
		t.Run("it breaks/"+kind, func(t *testing.T) {
			configured(t, methodConfig(retryPolicy), func(t *testing.T, c *weir.Client, accept func() *h2peer.Peer) {
				result := call(t.Context(), c)
				p := accept()
				wantAttempt(t, p, 1, 0)
				p.Close()
				p = accept()
				wantAttempt(t, p, 1, 1)
				answering(t, p, 1)
				if o := <-result; o.err != nil || o.username != "good" {
					t.Errorf("the call gives %+v", o)
				}
			})
		})
		t.Run("there is none/"+kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newWeirClient(t, "passthrough:///svc:80", weir.WithDefaultServiceConfig(methodConfig(retryPolicy)),
					weir.WithContextDialer(func(context.Context, string) (net.Conn, error) { return nil, errors.New("there is nobody") }))
				defer func() { _ = c.Close() }()
				start := time.Now()
				wantText(t, (<-call(t.Context(), c)).err, codes.Unavailable, "there is nobody")
				if d := time.Since(start); d < 8*time.Second || d > 14*time.Second {
					t.Errorf("five attempts take %v, want 11 s or so", d)
				}
			})
		})
	}
}

// A GOAWAY that leaves the call out is not counted.
func TestRetry_GoAway(t *testing.T) {
	for kind, call := range kindsOfCalls {
		t.Run(kind, func(t *testing.T) {
			configured(t, methodConfig(retryPolicy), func(t *testing.T, c *weir.Client, accept func() *h2peer.Peer) {
				result := call(t.Context(), c)
				p := accept()
				wantAttempt(t, p, 1, 0)
				p.WriteGoAway(0, http2.ErrCodeNo, "elsewhere")
				p = accept()
				wantAttempt(t, p, 1, 0)
				fails(p, 1, codes.Unavailable)
				wantAttempt(t, p, 3, 1)
				answering(t, p, 3)
				if o := <-result; o.err != nil || o.username != "good" {
					t.Errorf("the call gives %+v", o)
				}
			})
		})
	}
}

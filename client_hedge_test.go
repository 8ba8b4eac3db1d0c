package weir_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/h2peer"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// hedgingPolicy is a service config that hedges each second, four attempts in
// all.
const hedgingPolicy = `"hedgingPolicy": {"maxAttempts": 4, "hedgingDelay": "1s", "nonFatalStatusCodes": ["UNAVAILABLE", "ABORTED"]}`

// hedging is a call that is hedged, and the server of its attempts.
type hedging struct {
	*h2peer.Peer
	t      *testing.T
	c      *weir.Client
	start  time.Time
	cancel context.CancelFunc // of the call
}

// id gives the stream of an attempt. The first is number 0.
func id(attempt int) uint32 { return uint32(1 + 2*attempt) }

// sent wants an attempt, that long after the call has begun.
func (h *hedging) sent(attempt int, at time.Duration) {
	h.t.Helper()
	wantAttempt(h.t, h.Peer, id(attempt), attempt)
	if d := time.Since(h.start); d != at {
		h.t.Errorf("attempt %d comes after %v, want %v", attempt, d, at)
	}
}

func (h *hedging) answers(attempt int)                { h.t.Helper(); answering(h.t, h.Peer, id(attempt)) }
func (h *hedging) fails(attempt int, code codes.Code) { h.t.Helper(); fails(h.Peer, id(attempt), code) }

func (h *hedging) pushesBack(attempt int, ms string) {
	h.t.Helper()
	fails(h.Peer, id(attempt), codes.Unavailable, pushback(ms)...)
}

func (h *hedging) cancelled(attempts ...int) {
	h.t.Helper()
	for _, n := range attempts {
		h.WantReset("the attempt is cancelled", id(n), http2.ErrCodeCancel)
	}
}

const (
	half = time.Second / 2
	sec  = time.Second
)

// Feature: Hedging of gRFC A6
//
// A call of any kind is hedged as the policy says: the first answer is its own,
// and no attempt is left.
func TestHedging(t *testing.T) {
	throttled := `"retryThrottling": {"maxTokens": 2, "tokenRatio": 1}, `
	for name, tt := range map[string]struct {
		script   func(h *hedging)
		want     codes.Code
		ends     time.Duration
		config   string // instead of the policy
		throttle string
		opts     []weir.DialOption
		call     []grpc.CallOption
	}{
		"the first is in time": {ends: half, script: func(h *hedging) {
			h.sent(0, 0)
			time.AfterFunc(half, func() { h.answers(0) })
		}},
		"the second is faster": {ends: sec, script: func(h *hedging) {
			h.sent(0, 0)
			h.sent(1, sec)
			h.answers(1)
			h.cancelled(0)
		}},
		"the first is faster than the second": {ends: sec, script: func(h *hedging) {
			h.sent(0, 0)
			h.sent(1, sec)
			h.answers(0)
			h.cancelled(1)
		}},
		"one each second, and no more than allowed": {ends: 5 * sec, script: func(h *hedging) {
			for n := range 4 {
				h.sent(n, time.Duration(n)*sec)
			}
			time.AfterFunc(2*sec, func() { h.answers(2) })
			h.cancelled(0, 1, 3)
		}},
		"all at once": {config: `"hedgingPolicy": {"maxAttempts": 3, "nonFatalStatusCodes": [14]}`, script: func(h *hedging) {
			var numbers []string
			for n := range 3 { // in whatever order
				numbers = append(numbers, h.WantHeaders("an attempt comes", id(n)).Get("grpc-previous-rpc-attempts"))
				h.WantMessage("with its request", id(n))
				h.WantEndStream("and its end", id(n))
			}
			if slices.Sort(numbers); !slices.Equal(numbers, []string{"", "1", "2"}) {
				h.t.Errorf("the attempts say that %q came before them", numbers)
			}
			h.answers(1)
			h.cancelled(0, 2)
		}},
		"two at most": {ends: 3 * sec, opts: []weir.DialOption{weir.WithMaxCallAttempts(2)}, script: func(h *hedging) {
			h.sent(0, 0)
			h.sent(1, sec)
			time.AfterFunc(2*sec, func() { h.answers(0) })
			h.cancelled(1)
		}},
		"it is off": {ends: 3 * sec, opts: []weir.DialOption{weir.WithDisableRetry()}, script: func(h *hedging) {
			h.sent(0, 0)
			time.AfterFunc(3*sec, func() { h.answers(0) })
		}},
		"the next comes at once after a failure, and then one each second": {ends: half + sec, script: func(h *hedging) {
			h.sent(0, 0)
			time.AfterFunc(half, func() { h.fails(0, codes.Unavailable) })
			h.sent(1, half)
			h.sent(2, half+sec)
			h.answers(2)
			h.cancelled(1)
		}},
		"one after the other fails": {want: codes.Aborted, script: func(h *hedging) {
			for n := range 3 {
				h.sent(n, 0)
				h.fails(n, codes.Unavailable)
			}
			h.sent(3, 0)
			h.fails(3, codes.Aborted)
		}},
		"all fail, the first as the last": {want: codes.Aborted, ends: 3 * sec, script: func(h *hedging) {
			for n := range 4 {
				h.sent(n, time.Duration(n)*sec)
			}
			for n := range 3 {
				h.fails(3-n, codes.Unavailable)
			}
			synctest.Wait()
			h.fails(0, codes.Aborted)
		}},
		"one fails and another is good": {ends: 3 * sec, script: func(h *hedging) {
			h.sent(0, 0)
			h.sent(1, sec)
			h.fails(1, codes.Unavailable)
			h.sent(2, sec)
			h.sent(3, 2*sec)
			h.fails(3, codes.Unavailable)
			time.AfterFunc(sec, func() { h.answers(2) })
			h.cancelled(0)
		}},
		"a fatal code": {want: codes.Internal, script: func(h *hedging) {
			h.sent(0, 0)
			h.fails(0, codes.Internal)
		}},
		"a fatal code of the second": {want: codes.NotFound, ends: sec, script: func(h *hedging) {
			h.sent(0, 0)
			h.sent(1, sec)
			h.fails(1, codes.NotFound)
			h.cancelled(0)
		}},
		"the server says when": {ends: 3700 * time.Millisecond, script: func(h *hedging) {
			h.sent(0, 0)
			h.pushesBack(0, "2700")
			h.sent(1, 2700*time.Millisecond)
			h.sent(2, 3700*time.Millisecond)
			h.answers(1)
			h.cancelled(2)
		}},
		"the server says sooner": {ends: sec + 100*time.Millisecond, script: func(h *hedging) {
			h.sent(0, 0)
			h.sent(1, sec)
			h.pushesBack(1, "100")
			h.sent(2, sec+100*time.Millisecond)
			h.answers(0)
			h.cancelled(2)
		}},
		"the server says at once": {script: func(h *hedging) {
			h.sent(0, 0)
			h.pushesBack(0, "0")
			h.sent(1, 0)
			h.answers(1)
		}},
		"the server wants no more": {want: codes.Unavailable, script: func(h *hedging) {
			h.sent(0, 0)
			h.pushesBack(0, "-1")
		}},
		"it says no number": {want: codes.Unavailable, script: func(h *hedging) {
			h.sent(0, 0)
			h.pushesBack(0, "later")
		}},
		"it wants no more, and those that are sent go on": {ends: 9 * sec, script: func(h *hedging) {
			h.sent(0, 0)
			h.sent(1, sec)
			h.pushesBack(1, "-1")
			time.AfterFunc(8*sec, func() { h.answers(0) })
		}},
		"it wants no more, and that is the end of the last": {want: codes.Aborted, ends: 9 * sec, script: func(h *hedging) {
			h.sent(0, 0)
			h.sent(1, sec)
			h.pushesBack(0, "-1")
			time.AfterFunc(8*sec, func() { h.fails(1, codes.Aborted) })
		}},
		"a fatal code with a time": {want: codes.Internal, script: func(h *hedging) {
			h.sent(0, 0)
			fails(h.Peer, 1, codes.Internal, pushback("1")...)
		}},
		"there are no tokens after a failure": {want: codes.Unavailable, throttle: throttled, script: func(h *hedging) {
			h.sent(0, 0)
			h.fails(0, codes.Unavailable) // one of two is left
		}},
		"there are none, and those that are sent go on": {ends: 9 * sec, throttle: throttled, script: func(h *hedging) {
			h.sent(0, 0)
			h.sent(1, sec)
			h.fails(0, codes.Unavailable)
			time.AfterFunc(8*sec, func() { h.answers(1) })
		}},
		"fatal codes cost no tokens": {want: codes.Internal, ends: sec, throttle: throttled, script: func(h *hedging) {
			h.sent(0, 0)
			h.sent(1, sec)
			h.fails(1, codes.Internal)
			h.cancelled(0)
		}},
		"refused, and nobody counts it": {ends: sec, script: func(h *hedging) {
			h.sent(0, 0)
			h.WriteReset(1, http2.ErrCodeRefusedStream)
			wantAttempt(h.t, h.Peer, 3, 0)
			wantAttempt(h.t, h.Peer, 5, 1)
			answering(h.t, h.Peer, 5)
			h.cancelled(1)
		}},
		"headers decide": {want: codes.Unavailable, ends: 3 * sec, script: func(h *hedging) {
			h.sent(0, 0)
			h.sent(1, sec)
			h.WriteResponse(id(0), nil)
			h.cancelled(1)
			time.AfterFunc(2*sec, func() { h.WriteTrailers(id(0), codes.Unavailable, "no") })
		}},
		"the deadline": {want: codes.DeadlineExceeded, ends: 10 * sec, script: func(h *hedging) {
			for n := range 4 {
				h.sent(n, time.Duration(n)*sec)
			}
			h.cancelled(0, 1, 2, 3)
		}},
		"the deadline while nothing is sent": {want: codes.DeadlineExceeded, ends: 10 * sec, script: func(h *hedging) {
			h.sent(0, 0)
			h.pushesBack(0, "60000")
		}},
		"the deadline of the service config": {want: codes.DeadlineExceeded, ends: 1500 * time.Millisecond, config: `"timeout": "1.5s", ` + hedgingPolicy, script: func(h *hedging) {
			h.sent(0, 0)
			h.sent(1, sec)
			h.cancelled(0, 1)
		}},
		"it is cancelled": {want: codes.Canceled, ends: sec, script: func(h *hedging) {
			h.sent(0, 0)
			h.sent(1, sec)
			h.cancel()
			h.cancelled(0, 1)
		}},
		"it is cancelled while nothing is sent": {want: codes.Canceled, script: func(h *hedging) {
			h.sent(0, 0)
			h.pushesBack(0, "5000")
			synctest.Wait()
			h.cancel()
		}},
		"the Client is closed while nothing is sent": {want: codes.Canceled, script: func(h *hedging) {
			h.sent(0, 0)
			h.pushesBack(0, "5000")
			synctest.Wait()
			_ = h.c.Close()
		}},
		"the Client is closed": {want: codes.Unavailable, ends: sec, config: `"hedgingPolicy": {"maxAttempts": 4, "hedgingDelay": "1s", "nonFatalStatusCodes": ["ABORTED"]}`, script: func(h *hedging) {
			h.sent(0, 0)
			h.sent(1, sec)
			_ = h.c.Close()
		}},
		"nothing may be kept": {ends: 3 * sec, call: []grpc.CallOption{grpc.MaxRetryRPCBufferSize(0)}, script: func(h *hedging) {
			h.sent(0, 0)
			time.AfterFunc(3*sec, func() { h.answers(0) })
		}},
	} {
		for kind, call := range kindsOfCalls {
			t.Run(name+"/"+kind, func(t *testing.T) {
				config := tt.config
				if config == "" {
					config = hedgingPolicy
				}
				configured(t, "{"+tt.throttle+methodConfig(config)[1:], func(t *testing.T, c *weir.Client, accept func() *h2peer.Peer) {
					ctx, cancel := context.WithTimeout(t.Context(), 10*sec)
					defer cancel()
					c.Connect()
					h := &hedging{Peer: accept(), t: t, c: c, start: time.Now(), cancel: cancel}
					finished := 0
					result := call(ctx, c, append(tt.call, grpc.OnFinish(func(error) { finished++ }))...)
					tt.script(h)
					o := <-result
					if status.Code(o.err) != tt.want || tt.want == codes.OK && o.username != "good" {
						t.Errorf("the call gives %+v, want %v", o, tt.want)
					}
					if d := time.Since(h.start); d != tt.ends {
						t.Errorf("the call ends after %v, want %v", d, tt.ends)
					}
					if finished != 1 {
						t.Errorf("the call is told %d times that it has ended", finished)
					}
					if c.GetState().String() == "READY" {
						h.WantIdle("nothing is left of it")
					}
				}, tt.opts...)
			})
		}
	}
}

// As long as the first attempt waits for a connection there are no others: they
// would all be sent at once.
func TestHedging_NoConnection(t *testing.T) {
	for kind, call := range kindsOfCalls {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conns, up := make(chan net.Conn, 1), time.Now().Add(10*sec)
				c := newWeirClient(t, "passthrough:///svc:80", weir.WithDefaultServiceConfig(methodConfig(`"waitForReady": true, `+hedgingPolicy)),
					weir.WithContextDialer(func(context.Context, string) (net.Conn, error) {
						if time.Now().Before(up) {
							return nil, errors.New("there is nobody")
						}
						ours, theirs := net.Pipe()
						conns <- theirs
						return ours, nil
					}))
				defer func() { _ = c.Close() }()
				result := call(t.Context(), c)
				p := h2peer.NewServer(t, <-conns)
				p.Ignore(http2.FrameWindowUpdate, http2.FrameGoAway)
				p.AnyOrder()
				p.AutoAckPings()
				p.Handshake()
				wantAttempt(t, p, 1, 0)
				synctest.Wait()
				p.WantIdle("there is one attempt")
				answering(t, p, 1)
				if o := <-result; o.err != nil || o.username != "good" {
					t.Errorf("the call gives %+v", o)
				}
				wantText(t, (<-call(t.Context(), newWeirClient(t, "passthrough:///svc:80", weir.WithDefaultServiceConfig(methodConfig(hedgingPolicy)),
					weir.WithContextDialer(func(context.Context, string) (net.Conn, error) { return nil, errors.New("there is nobody") })))).err,
					codes.Unavailable, "there is nobody")
			})
		})
	}
}

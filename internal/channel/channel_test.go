package channel

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/internal/simnet"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
)

// Calls that do not wait for ready wait while the state is IDLE or CONNECTING,
// and fail at once in TRANSIENT_FAILURE, attempts under way or not.
func TestFailFast(t *testing.T) {
	inWorld(t, "passthrough:///a", nil, func(t *testing.T, w *world) {
		w.accept("a", silent)
		for _, want := range []time.Duration{20 * time.Second, 0} {
			elapsed(t, want, func() {
				_, err := w.within(time.Hour, false)
				wantStatus(t, err, codes.Unavailable, "passthrough:///a", "with a", "WaitForReady", "WithConnectParams")
			})
		}
		simnet.Advance(10 * time.Second) // the second attempt hangs now
		elapsed(t, 0, func() {
			_, err := w.within(time.Hour, false)
			wantStatus(t, err, codes.Unavailable, "connect timeout")
		})
	})
}

// A call that waits for ready sees failures through.
func TestWaitForReady(t *testing.T) {
	inWorld(t, "passthrough:///a", nil, func(t *testing.T, w *world) {
		var wg sync.WaitGroup
		start := time.Now()
		for range 20 {
			wg.Go(func() {
				if _, err := w.within(time.Hour, true); err != nil {
					t.Error(err)
				}
				if got := time.Since(start); got != 5160*ms {
					t.Errorf("connected after %v, want the fourth attempt", got)
				}
			})
		}
		simnet.Advance(3 * time.Second)
		w.serve("a")
		wg.Wait()
		w.wantDials("0s a", "1s a", "2.6s a", "5.16s a")
	})
}

// A call whose context ends says for what it waited and what went wrong last.
func TestContextEndsTheWait(t *testing.T) {
	stop := errors.New("the user left")
	tests := []struct {
		name    string
		waiting bool
		listen  bool
		ctx     func() (context.Context, context.CancelFunc)
		code    codes.Code
		words   []string
	}{
		{"deadline after failures", true, false, func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.Background(), 2*time.Second)
		}, codes.DeadlineExceeded, []string{"deadline exceeded", "waited for a connection for passthrough:///a", "TRANSIENT_FAILURE", "WaitForReady", "last error", "refused"}},
		{"deadline while connecting", false, true, func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.Background(), 2*time.Second)
		}, codes.DeadlineExceeded, []string{"waited for a connection", "CONNECTING"}},
		{"cancelled with a cause", true, false, func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(context.Background())
			time.AfterFunc(2*time.Second, func() { cancel(stop) })
			return ctx, func() { cancel(stop) }
		}, codes.Canceled, []string{"the user left", "refused"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, "passthrough:///a", nil, func(t *testing.T, w *world) {
				if tt.listen {
					w.accept("a", silent)
				}
				ctx, cancel := tt.ctx()
				defer cancel()
				elapsed(t, 2*time.Second, func() {
					_, err := w.ch.Pick(ctx, tt.waiting, new(Pick))
					wantStatus(t, err, tt.code, tt.words...)
				})
			})
		})
	}
}

// A call that is over before it begins does not wait.
func TestDeadCall(t *testing.T) {
	inWorld(t, "passthrough:///a", nil, func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		elapsed(t, 0, func() {
			_, err := w.ch.Pick(ctx, true, new(Pick))
			wantStatus(t, err, codes.Canceled, "waited for a connection")
		})
	})
}

// Close ends what connects, what waits and what is connected, at once.
func TestClose(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(w *world)
		cfg     func(w *world, cfg *Config)
	}{
		{"idle", func(*world) {}, nil},
		{"ready", func(w *world) { w.serve("a"); w.mustConnect() }, nil},
		{"dialing", func(w *world) { w.net.Stall() }, nil},
		{"handshaking", func(w *world) { w.accept("a", silent) }, nil},
		{"backing off", func(*world) {}, nil},
		{"resolving", func(*world) {}, func(_ *world, cfg *Config) {
			cfg.Target.Lookup, cfg.Target.Address, cfg.Resolver = true, "a:1", deaf{}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, "passthrough:///a", tt.cfg, func(t *testing.T, w *world) {
				tt.prepare(w)
				var wg sync.WaitGroup
				if tt.name != "idle" && tt.name != "ready" {
					for range 5 {
						wg.Go(func() {
							_, err := w.within(time.Hour, true)
							wantStatus(t, err, codes.Canceled, "closed")
						})
					}
					simnet.Advance(100 * ms)
				}
				elapsed(t, 0, func() {
					if err := w.ch.Close(); err != nil {
						t.Error(err)
					}
				})
				elapsed(t, 0, wg.Wait)
				w.wantState(connectivity.Shutdown)
				for _, waiting := range []bool{true, false} {
					_, err := w.within(time.Hour, waiting)
					wantStatus(t, err, codes.Canceled, "closed")
				}
				w.ch.Connect()
				w.ch.ResetConnectBackoff()
				w.wantState(connectivity.Shutdown)
			})
		})
	}
}

// deaf is a resolver that answers when its context ends.
type deaf struct{}

func (deaf) LookupHost(ctx context.Context, _ string) ([]string, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// A resolver that does not answer costs the connect timeout.
func TestSilentResolver(t *testing.T) {
	inWorld(t, "dns:///svc", func(_ *world, cfg *Config) { cfg.Resolver, cfg.MinConnectTimeout = deaf{}, 3*time.Second }, func(t *testing.T, w *world) {
		elapsed(t, 3*time.Second, func() {
			_, err := w.within(time.Hour, false)
			wantStatus(t, err, codes.Unavailable, "cannot resolve svc", "connect timeout of 3s", "MinConnectTimeout")
		})
	})
}

// Callers that come together, Close among them, at any moment: each gets a
// connection or an answer, and nothing is left.
func TestManyCallersAndClose(t *testing.T) {
	for late := range 20 {
		inWorld(t, "passthrough:///a", nil, func(t *testing.T, w *world) {
			w.net.Link.RTT = 4 * ms
			h := w.serve("a")
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					<-time.After(time.Duration(i) * ms)
					tr, err := w.within(time.Hour, i%2 == 0)
					if err != nil {
						wantStatus(t, err, codes.Canceled, "closed")
					} else if i == 3 {
						tr.GracefulClose()
					}
				})
			}
			<-time.After(time.Duration(late) * ms)
			w.ch.Close()
			wg.Wait()
			h.stop()
			synctest.Wait()
			if n := len(w.ch.first.live); n != 0 {
				t.Errorf("closed after %d ms: %d connections are left", late, n)
			}
		})
	}
}

// What a call pays for its connection.
func TestReadyCostsNothing(t *testing.T) {
	ch, stop := readyChannel(t)
	defer stop()
	ctx, p := context.Background(), new(Pick)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := ch.Pick(ctx, false, p); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a call", n)
	}
}

func BenchmarkPick(b *testing.B) {
	ch, stop := readyChannel(b)
	defer stop()
	ctx, p := context.Background(), new(Pick)
	for b.Loop() {
		if _, err := ch.Pick(ctx, false, p); err != nil {
			b.Fatal(err)
		}
	}
}

// readyChannel is outside of a bubble.
func readyChannel(tb testing.TB) (*Channel, func()) {
	near, far := simnet.Pipe(simnet.Link{})
	var sv transport.ServerTransport
	served := make(chan struct{})
	go func() {
		defer close(served)
		var err error
		if sv, err = transport.NewServerTransport(far, transport.ServerConfig{}); err == nil {
			sv.HandleStreams(context.Background(), func(transport.ServerStream) {})
		}
	}()
	tg, err := ParseTarget("passthrough:///a")
	if err != nil {
		tb.Fatal(err)
	}
	ch := New(Config{Target: tg, Credentials: plain, Dial: func(context.Context, string) (net.Conn, error) { return near, nil }})
	if _, err := ch.Pick(context.Background(), true, new(Pick)); err != nil {
		tb.Fatal(err)
	}
	return ch, func() { ch.Close(); <-served }
}

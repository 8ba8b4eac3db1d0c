package transport

import (
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-rpc/weir/internal/frame"
	"github.com/weir-rpc/weir/internal/simnet"
	"golang.org/x/net/http2"
)

// Windows that are adaptive begin where the user said, so that the first second
// of a stream is as fast as any, and never go below.
func TestWindows_Adaptive_BeginWhereTheyAreSet(t *testing.T) {
	const window = 1 << 20 // the product is 1,000,000
	for name, cfg := range map[string]ConnConfig{
		"of streams": {InitialWindowSize: window, AdaptiveWindows: true},
		"both":       {InitialWindowSize: window, InitialConnWindowSize: 2 * window, AdaptiveWindows: true},
	} {
		t.Run(name, func(t *testing.T) {
			inLink(t, fast, cfg, func(l *linked) {
				l.sink()
				simnet.Advance(2 * rtt)
				if got := l.throughput(500 * time.Millisecond); got < .9*float64(fast) {
					t.Errorf("%.0f octets a second at first on a link of %d, with a window of %d", got, fast, l.window())
				}
				l.rate.Store(5 * simnet.Mbps)
				l.throughput(30 * time.Second)
				if got := l.window(); got != window {
					t.Errorf("on a slow link the window is %d, want %d", got, window)
				}
			})
		})
	}
	// Those that are left out, or too small, are the defaults, and grow.
	for name, cfg := range map[string]ConnConfig{
		"a small one":       {InitialWindowSize: 16 << 10, AdaptiveWindows: true},
		"of the connection": {InitialConnWindowSize: 300 << 10, AdaptiveWindows: true},
		"none is set":       {AdaptiveWindows: true},
	} {
		t.Run(name, func(t *testing.T) {
			inLink(t, fast, cfg, func(l *linked) {
				l.sink()
				l.throughput(3 * time.Second)
				if got := l.throughput(2 * time.Second); got < .95*float64(fast) {
					t.Errorf("%.0f octets a second on a link of %d, with a window of %d", got, fast, l.window())
				}
			})
		})
	}
}

// The budget of frames that do no work for a call is the operator's to choose.
func TestIdleFrames_Bounds(t *testing.T) {
	send := func(ts *testServer, n int) {
		ts.peer.Ignore(http2.FramePing)
		ts.peer.Batch(func() {
			for range n {
				ts.peer.WritePriority(1, http2.PriorityParam{})
			}
		})
	}
	for _, tt := range []struct {
		name     string
		bound    IdleFrames
		at       []int // how many come, a second apart
		exceeded bool
	}{
		{"the default", IdleFrames{}, []int{idleBurst / 2, idleBurst / 2}, false},
		{"less than the default", IdleFrames{Burst: 100}, []int{150}, true},
		{"to the last", IdleFrames{Burst: 100, PerSecond: -1}, []int{50, 40}, false},
		{"with time", IdleFrames{Burst: 100, PerSecond: 90}, []int{90, 90, 90, 90}, false},
		{"without time", IdleFrames{Burst: 100, PerSecond: -1}, []int{90, 90}, true},
		{"more than the default", IdleFrames{Burst: 3 * idleBurst}, []int{2 * idleBurst}, false},
		{"no bound", IdleFrames{Burst: -1}, []int{2 * idleBurst, 2 * idleBurst, 2 * idleBurst}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBareServer(t, ServerConfig{ConnConfig: ConnConfig{Tuning: &ConnTuning{IdleFrames: tt.bound}}}, func(ts *testServer) {
				ts.peer.Handshake()
				for _, n := range tt.at {
					send(ts, n)
					simnet.Advance(time.Second)
				}
				if !tt.exceeded {
					ts.wantUnharmed(1)
					return
				}
				g := ts.peer.WantGoAway("the budget is spent", http2.ErrCodeEnhanceYourCalm)
				if !strings.Contains(g.Debug, "option IdleFrameLimit") || !strings.Contains(g.Debug, "more than 100 frames") {
					t.Errorf("the peer hears %q", g.Debug)
				}
			})
		})
	}
}

// readSizes notes how much a connection is asked for.
type readSizes struct {
	net.Conn
	mu   sync.Mutex
	most int
}

func (r *readSizes) Read(b []byte) (int, error) {
	r.mu.Lock()
	r.most = max(r.most, len(b))
	r.mu.Unlock()
	return r.Conn.Read(b)
}

// The buffer of a connection that reads is as large as the option says.
func TestReadBufferSize(t *testing.T) {
	for option, want := range map[int]int{0: 32 << 10, -5: 32 << 10, 1: frame.MinBuffer, 20_000: 20_000, 128 << 10: 128 << 10, 1 << 30: 8 << 20} {
		inBubble(t, func(t *testing.T) {
			a, b := simnet.Pipe(simnet.Link{Buffer: 1 << 20})
			over := make(chan error, 1)
			go func() {
				sv, err := NewServerTransport(b, ServerConfig{Unary: func(string) bool { return true }})
				if err == nil {
					err = sv.HandleStreams(t.Context(), echoUnary)
				}
				over <- err
			}()
			sizes := &readSizes{Conn: a}
			ct, err := NewHTTP2Client(t.Context(), sizes, ClientConfig{ConnConfig: ConnConfig{Tuning: &ConnTuning{ReadBufferSize: option}}})
			if err != nil {
				t.Fatal(err)
			}
			msg := strings.Repeat("x", 100_000)
			roundTrip(t.Context(), ct, msg).want(t, msg)
			ct.Close("the test is over")
			<-over
			if got := sizes.most; got > want || got < want*3/4 {
				t.Errorf("with %d, reads of up to %d octets, want %d", option, got, want)
			}
		})
	}
}

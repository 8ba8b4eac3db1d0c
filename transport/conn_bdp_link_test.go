package transport

import (
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/internal/simnet"
)

// linked is a client and a server with a link between them, in a bubble.
type linked struct {
	t    *testing.T
	ct   *http2Client
	rate atomic.Int64 // of the way to the client, in octets a second
	got  atomic.Int64 // octets in messages that a source sent
}

// inLink runs f with a client and a server at the two ends of a link with a
// round trip of 40 ms and a large queue. A stream gets messages of 64 KiB, one
// after the other; a unary call its own message.
func inLink(t *testing.T, rate int64, cfg ConnConfig, f func(l *linked)) {
	synctest.Test(t, func(t *testing.T) {
		l := &linked{t: t}
		l.rate.Store(rate)
		serverEnd, far := simnet.Pipe(simnet.Link{Buffer: 8 << 20})
		near, clientEnd := simnet.Pipe(simnet.Link{RTT: 40 * time.Millisecond, Buffer: 32 << 20})
		var carriers sync.WaitGroup
		defer carriers.Wait()
		carriers.Go(func() {
			_, _ = io.Copy(far, near)
			_ = far.Close()
		})
		carriers.Go(func() { l.carry(near, far) })
		over := make(chan error, 1)
		go func() {
			sv, err := NewServerTransport(serverEnd, ServerConfig{ConnConfig: cfg, Unary: func(m string) bool { return m[1] == 'u' }})
			if err == nil {
				err = sv.HandleStreams(t.Context(), l.handle)
			}
			over <- err
		}()
		ct, err := NewHTTP2Client(t.Context(), clientEnd, ClientConfig{ConnConfig: cfg})
		if err != nil {
			t.Fatal(err)
		}
		l.ct = ct.(*http2Client)
		f(l)
		ct.Close("the test is over")
		<-over
	})
}

// carry is the bottleneck.
func (l *linked) carry(to io.WriteCloser, from io.Reader) {
	b := make([]byte, 4<<10)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	free := time.Now()
	for {
		n, err := from.Read(b)
		if now := time.Now(); free.Before(now) {
			free = now
		}
		free = free.Add(time.Duration(float64(n) / float64(l.rate.Load()) * float64(time.Second)))
		timer.Reset(time.Until(free))
		<-timer.C
		if _, werr := to.Write(b[:n]); err != nil || werr != nil {
			_ = to.Close()
			return
		}
	}
}

func (l *linked) handle(st ServerStream) {
	if st.Method() == "/u/Echo" {
		echoUnary(st)
		return
	}
	for st.Send(octets(64<<10)) == nil {
	}
}

// sink opens a stream and takes what comes.
func (l *linked) sink() {
	l.t.Helper()
	cs, err := l.ct.NewStream(l.t.Context(), &Call{Method: "/s/Source"})
	if err != nil {
		l.t.Fatal(err)
	}
	go func() {
		for {
			m, err := cs.Recv()
			if err != nil {
				return
			}
			l.got.Add(int64(len(m.Data)))
			m.Free()
		}
	}()
}

// throughput lets d pass and gives how many octets a second came.
func (l *linked) throughput(d time.Duration) float64 {
	before := l.got.Load()
	simnet.Advance(d)
	return float64(l.got.Load()-before) / d.Seconds()
}

// latency is how long a small call takes.
func (l *linked) latency() time.Duration {
	l.t.Helper()
	began := time.Now()
	roundTrip(l.t.Context(), l.ct, "small").want(l.t, "small")
	return time.Since(began)
}

func (l *linked) window() uint32 {
	l.ct.mu.Lock()
	defer l.ct.mu.Unlock()
	return l.ct.recvWindow
}

// pings ends the connection and gives how many PINGs the estimate took.
func (l *linked) pings() int {
	l.ct.Close("the test is over")
	return int(l.ct.bdp.seq)
}

const (
	rtt  = 40 * time.Millisecond
	fast = 200 * simnet.Mbps // a bandwidth-delay product of a million octets
)

// Row A108: one stream fills the link, for which the first window is too small
// by a factor of eight, soon and with a few PINGs; and a small call beside it
// waits no longer than some four windows of the ideal size take.
func TestWindows_OneStream_FillsTheLink(t *testing.T) {
	inLink(t, fast, ConnConfig{}, func(l *linked) {
		l.sink()
		if got := l.throughput(500 * time.Millisecond); got > float64(fast) {
			t.Fatalf("%.0f octets a second on a link of %d", got, fast)
		}
		if got := l.throughput(2 * time.Second); got < .95*float64(fast) {
			t.Errorf("%.0f octets a second on a link of %d, with a window of %d", got, fast, l.window())
		}
		if got := l.window(); got < 1_333_333 || got > 4_300_000 {
			t.Errorf("window is %d for a product of 1,000,000", got)
		}
		for range 5 {
			if got := l.latency(); got > 5*rtt {
				t.Errorf("a small call took %v with a window of %d", got, l.window())
			}
		}
		if n := l.pings(); n > 20 {
			t.Errorf("%d PINGs", n)
		}
	})
}

// Row A108: when the link becomes slow the window shrinks to what that needs,
// and the small call is quick again.
func TestWindows_LinkBecomesSlow_Shrink(t *testing.T) {
	const fast, slow = 100 * simnet.Mbps, 5 * simnet.Mbps // products of 500,000 and 25,000
	inLink(t, fast, ConnConfig{}, func(l *linked) {
		l.sink()
		l.throughput(time.Second)
		large := l.window()
		if large < 666_666 {
			t.Fatalf("the window is %d only", large)
		}
		l.rate.Store(slow)
		l.throughput(30 * time.Second)
		if got := l.window(); got > 2*DefaultStreamWindow {
			t.Errorf("a window of %d became %d for a product of 25,000", large, got)
		}
		if got := l.throughput(5 * time.Second); got < .95*float64(slow) {
			t.Errorf("%.0f octets a second on a link of %d", got, slow)
		}
		if got := l.latency(); got > time.Second {
			t.Errorf("a small call took %v with a window of %d", got, l.window())
		}
		l.rate.Store(fast)
		l.throughput(2 * time.Second)
		if got := l.throughput(time.Second); got < .95*float64(fast) {
			t.Errorf("%.0f octets a second on a link of %d again, with a window of %d", got, fast, l.window())
		}
	})
}

// Windows that the user has set stay, and cost no PING.
// Row C1: the estimator touches no window that the user set.
func TestWindows_Static_StayAsTheyAre(t *testing.T) {
	for name, cfg := range map[string]ConnConfig{
		"of streams":        {InitialWindowSize: DefaultStreamWindow},
		"of the connection": {InitialConnWindowSize: DefaultConnWindow},
		"both":              {InitialWindowSize: 64 << 10, InitialConnWindowSize: 1 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			inLink(t, fast, cfg, func(l *linked) {
				l.sink()
				if got := l.throughput(2 * time.Second); got > .2*float64(fast) || got < 1000 {
					t.Errorf("%.0f octets a second with a window of %d", got, l.window())
				}
				if l.window() != cfg.initialWindowSize() || l.pings() != 0 {
					t.Errorf("window is %d after %d PINGs", l.window(), l.pings())
				}
			})
		})
	}
}

// Small calls move little: no PING, and the windows stay.
func TestWindows_SmallCalls_Stay(t *testing.T) {
	inLink(t, fast, ConnConfig{}, func(l *linked) {
		for range 1000 {
			l.latency()
		}
		if l.window() != DefaultStreamWindow || l.pings() != 0 {
			t.Errorf("window is %d after %d PINGs", l.window(), l.pings())
		}
	})
}

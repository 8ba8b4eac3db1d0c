package transport

import (
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/internal/h2peer"
	"github.com/weir-rpc/weir/internal/simnet"
	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
)

// lively is a client's keepalive in these tests: a dead server is found after
// 25 s.
var lively = keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 5 * time.Second}

// wantDead wants err to say that the peer is not answering, and what to change.
func wantDead(t *testing.T, err error, says ...string) {
	t.Helper()
	var ce *ConnError
	if !errors.As(err, &ce) || ce.By != ByNetwork {
		t.Fatalf("the error is %#v (%v), want a ConnError by the network", err, err)
	}
	for _, s := range append(says, "not answering") {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("the error is %q, without %q", err, s)
		}
	}
}

// Rows A86, A87: a server that dies while a call waits is found in Time and
// Timeout after its last octet, and the call fails then.
func TestClientKeepalive_ServerDies_IsFound(t *testing.T) {
	inClient(t, ClientConfig{Keepalive: lively}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		simnet.Advance(3 * time.Second)
		call := roundTrip(t.Context(), ct, "x")
		p.WantHeaders("a call", 1)
		p.WantMessage("its message", 1)
		simnet.Advance(7 * time.Second)
		p.WriteWindowUpdate(0, 1)
		simnet.Advance(20*time.Second - 1)
		p.WantIdle("Time counts from the latest octet")
		simnet.Advance(1)
		p.WantPing("Time is over")
		simnet.Advance(5*time.Second - 1)
		if !call.pending() {
			t.Fatalf("the call ended early: %v", call.err)
		}
		simnet.Advance(1)
		err := call.wantError(t, codes.Unavailable)
		wantDead(t, err, "server", "20s (Time)", "5s (Timeout)", "WithKeepaliveParams")
		wantDead(t, ct.Err())
		<-ct.Done()
	})
}

// Row A86: the network swallows everything both ways, and a message that is
// larger than it takes waits to be written: the connection ends all the same.
func TestClientKeepalive_WriterStuck_IsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Link{RTT: 2 * time.Millisecond})
		p := h2peer.NewServer(t, b)
		made := async(func() ClientTransport {
			ct, err := NewHTTP2Client(t.Context(), a, ClientConfig{Keepalive: lively})
			if err != nil {
				t.Error(err)
			}
			return ct
		})
		p.Handshake(window(1<<30), http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1 << 20})
		ct := <-made
		simnet.Advance(time.Second)
		p.WriteWindowUpdate(0, 1<<30)
		simnet.Advance(time.Millisecond)
		start := time.Now() // it has arrived
		a.(*simnet.Conn).Stall()
		call := roundTrip(t.Context(), ct, strings.Repeat("large", 1<<20))
		wantDead(t, call.wantError(t, codes.Unavailable))
		if d := time.Since(start); d != 25*time.Second {
			t.Errorf("the call failed after %v, want 25s", d)
		}
		<-ct.Done()
	})
}

// Row A86: any octet answers the PING, and the next one comes Time after it.
func TestClientKeepalive_AnyOctet_Answers(t *testing.T) {
	inClient(t, ClientConfig{Keepalive: lively}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		call := roundTrip(t.Context(), ct, "x")
		p.WantHeaders("a call", 1)
		p.WantMessage("its message", 1)
		for range 3 {
			simnet.Advance(20 * time.Second)
			p.WantPing("nothing came for Time")
			simnet.Advance(4 * time.Second)
			p.WriteRaw([]byte{0}) // of the header of a PING
			simnet.Advance(20*time.Second - 1)
			p.WantIdle("it is an answer")
			simnet.Advance(1)
			ping := p.WantPing("nothing came for Time since")
			p.WriteRaw(append([]byte{0, 8, 6, 1, 0, 0, 0, 0}, ping[:]...))
		}
		p.WriteResponse(1, []byte("at last"))
		p.WriteTrailers(1, codes.OK, "")
		call.want(t, "at last")
	})
}

// Row A16: a connection that drains is watched like any other.
func TestClientKeepalive_ServerDiesWhileDraining_IsFound(t *testing.T) {
	for name, drain := range map[string]func(ct ClientTransport, p *h2peer.Peer){
		"GOAWAY":        func(_ ClientTransport, p *h2peer.Peer) { p.WriteGoAway(1, http2.ErrCodeNo, "") },
		"GracefulClose": func(ct ClientTransport, _ *h2peer.Peer) { ct.GracefulClose() },
	} {
		t.Run(name, func(t *testing.T) {
			inClient(t, ClientConfig{Keepalive: lively}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
				call := roundTrip(t.Context(), ct, "x")
				p.WantHeaders("a call", 1)
				p.WantMessage("its message", 1)
				drain(ct, p)
				<-ct.Draining()
				simnet.Advance(25*time.Second - 1)
				p.WantPing("the server is asked")
				if !call.pending() {
					t.Fatalf("the call ended early: %v", call.err)
				}
				simnet.Advance(1)
				wantDead(t, call.wantError(t, codes.Unavailable))
				<-ct.Done()
			})
		})
	}
}

// Row A88: without streams nothing is sent, unless it is permitted, and a
// stream that comes after Time is followed by a PING.
func TestClientKeepalive_WithoutStreams_Sleeps(t *testing.T) {
	inClient(t, ClientConfig{Keepalive: lively}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		call := roundTrip(t.Context(), ct, "x")
		p.WantHeaders("a call", 1)
		p.WantMessage("its message", 1)
		p.WriteTrailersOnly(1, codes.NotFound, "")
		call.wantError(t, codes.NotFound)
		simnet.Advance(time.Hour)
		p.WantIdle("no stream, no PING")
		cs := openStream(t.Context(), t, ct, p, 3)
		p.WritePingAck(p.WantPing("a stream after Time is followed by a PING"))
		cs.Cancel(errors.New("enough"))
		p.WantReset("the stream is cancelled", 3, http2.ErrCodeCancel)
		simnet.Advance(time.Hour)
		p.WantIdle("no stream, no PING")
	})
	always := lively
	always.PermitWithoutStream = true
	inClient(t, ClientConfig{Keepalive: always}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		for range 3 {
			simnet.Advance(20 * time.Second)
			p.WritePingAck(p.WantPing("it is permitted without streams"))
		}
		simnet.Advance(25 * time.Second)
		p.WantPing("the last one")
		<-ct.Done()
		wantDead(t, ct.Err())
	})
}

// Row A90: a client without keepalive sends nothing, notes nothing and sets no
// timer, and with it one timer serves all calls.
func TestClientKeepalive_Off_CostsNothing(t *testing.T) {
	calls := func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		for id := uint32(1); id < 9; id += 2 {
			call := roundTrip(t.Context(), ct, "x")
			p.WantHeaders("a call", id)
			p.WantMessage("its message", id)
			simnet.Advance(time.Second)
			p.WriteTrailersOnly(id, codes.NotFound, "")
			call.wantError(t, codes.NotFound)
		}
	}
	live := func(ct ClientTransport) (timer *time.Timer, read time.Duration) {
		c := &ct.(*http2Client).conn
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.live.timer, time.Duration(c.live.read.Load())
	}
	inClient(t, ClientConfig{Keepalive: keepalive.ClientParameters{Timeout: 1, PermitWithoutStream: true}},
		func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
			calls(t, ct, p)
			if timer, read := live(ct); timer != nil || read != 0 {
				t.Errorf("a timer: %v, latest read after %v", timer != nil, read)
			}
			openStream(t.Context(), t, ct, p, 9)
			simnet.Advance(100 * time.Hour)
			p.WantIdle("nobody is asked")
		})
	inClient(t, ClientConfig{Keepalive: lively}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		calls(t, ct, p)
		timer, read := live(ct)
		if timer == nil || read != 4*time.Second {
			t.Fatalf("a timer: %v, latest read after %v", timer != nil, read)
		}
	})
}

// timedOut is a connection that the system gives up when gone is closed.
type timedOut struct {
	net.Conn
	gone chan struct{}
	once sync.Once
}

func (c *timedOut) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	select {
	case <-c.gone:
		return 0, &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ETIMEDOUT)}
	default:
		return n, err
	}
}

func (c *timedOut) Close() error {
	c.once.Do(func() { close(c.gone) })
	return c.Conn.Close()
}

// Row B4: a connection that TCP has given up says what TCP missed.
func TestUserTimeout_IsOver_SaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Link{})
		nc := &timedOut{Conn: a, gone: make(chan struct{})}
		p := h2peer.NewServer(t, b)
		made := async(func() ClientTransport {
			ct, err := NewHTTP2Client(t.Context(), nc, ClientConfig{})
			if err != nil {
				t.Error(err)
			}
			return ct
		})
		p.Handshake()
		ct := <-made
		call := roundTrip(t.Context(), ct, "x")
		p.WantHeaders("a call", 1)
		p.WantMessage("its message", 1)
		nc.once.Do(func() { close(nc.gone) })
		p.WritePing([8]byte{}) // wakes the reader
		err := call.wantError(t, codes.Unavailable)
		if !strings.Contains(err.Error(), "TCP_USER_TIMEOUT") || !errors.Is(err, syscall.ETIMEDOUT) {
			t.Errorf("the call ended with %v", err)
		}
		<-ct.Done()
	})
}

// Row A89: the payload of keepalive's PING is its own.
func TestKeepalivePing_IsNoOther(t *testing.T) {
	var b bdpState
	if keepalivePing == drainPing || keepalivePing == b.ping() || keepalivePing[0] == pingMark {
		t.Errorf("keepalive sends %q", keepalivePing)
	}
}

// Row A88: a server that gets too many PING frames says so, the owner hears of
// it before the connection drains, and the calls' errors name it.
func TestClientKeepalive_TooManyPings_IsTold(t *testing.T) {
	told := make(chan time.Duration, 2)
	cfg := ClientConfig{Keepalive: keepalive.ClientParameters{Time: 1}, TooManyPings: func(used time.Duration) { told <- used }}
	inClient(t, cfg, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		call := roundTrip(t.Context(), ct, "x")
		p.WantHeaders("a call", 1)
		p.WantMessage("its message", 1)
		p.WriteGoAway(1, http2.ErrCodeEnhanceYourCalm, "too_many_pings")
		<-ct.Draining()
		if used := <-told; used != 10*time.Second || Calmer(cfg.Keepalive, used).Time != 20*time.Second {
			t.Errorf("told of %v, which makes %v", used, Calmer(cfg.Keepalive, used).Time)
		}
		p.Close()
		err := call.wantError(t, codes.Unavailable)
		for _, says := range []string{"too_many_pings", "ENHANCE_YOUR_CALM", "WithKeepaliveParams is 10s"} {
			if !strings.Contains(err.Error(), says) {
				t.Errorf("the call ended with %q, without %q", err, says)
			}
		}
	})
	inClient(t, cfg, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		openStream(t.Context(), t, ct, p, 1)
		p.WriteGoAway(1, http2.ErrCodeEnhanceYourCalm, "for another reason")
		<-ct.Draining()
		if len(told) > 0 {
			t.Errorf("told of %v", <-told)
		}
	})
}

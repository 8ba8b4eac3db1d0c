package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/internal/frame"
	"github.com/weir-rpc/weir/internal/h2peer"
	"github.com/weir-rpc/weir/internal/simnet"
	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
)

func maxFrame(n uint32) http2.Setting {
	return http2.Setting{ID: http2.SettingMaxFrameSize, Val: n}
}

// Rows A100, A104: DATA frames are as large as the peer's largest frame and no
// larger: 16,384 octets, or more if it says so.
// Row C5: the peer's MAX_FRAME_SIZE is used.
func TestData_PeerMaxFrameSize_IsUsedAndKept(t *testing.T) {
	for _, tt := range []struct {
		settings []http2.Setting
		first    int
	}{
		{[]http2.Setting{window(1 << 20)}, 16384},
		{[]http2.Setting{window(1 << 20), maxFrame(20000)}, 20000},
	} {
		inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
			ts.peer.WriteWindowUpdate(0, 1<<20)
			st, _ := ts.open(1, "/s/Stream")
			if err := st.Send(octets(49995)); err != nil {
				t.Fatal(err)
			}
			ts.peer.WantHeaders("the answer", 1)
			if d := ts.peer.WantData("the first frame", 1); d.Length != tt.first {
				t.Errorf("the first frame has %d octets, want %d", d.Length, tt.first)
			}
			for got := tt.first; got < 50000; {
				got += ts.peer.WantData("the rest", 1).Length
			}
		}, tt.settings...)
	}
}

// Row A58: a header block that is larger than the peer's largest frame goes on
// in CONTINUATION frames, with nothing between, and arrives whole.
// Row B15: CONTINUATION ends the way of a header block.
func TestHeaders_LargerThanAFrame_GoOnInContinuation(t *testing.T) {
	long := strings.Repeat("v", 20000) // x/net's encoder and ours know no better than Huffman for it
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		st, _ := ts.open(1, "/s/Stream")
		if err := st.SendHeader(metadata.Pairs("long", long, "long", long)); err != nil {
			t.Fatal(err)
		}
		h := ts.peer.WantHeaders("the answer", 1)
		if len(h.Fragments) < 2 || h.Fragments[0] != 16384 || h.Get("long") != long {
			t.Errorf("a header block in fragments of %d octets", h.Fragments)
		}
		ts.wantUnharmed(3)
	})
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		_, err := ct.NewStream(t.Context(), &Call{Method: "/s/Stream", Metadata: metadata.Pairs("long", long, "long", long)})
		if err != nil {
			t.Fatal(err)
		}
		if h := p.WantHeaders("the call", 1); len(h.Fragments) < 2 || h.Get("long") != long {
			t.Errorf("a header block in fragments of %d octets", h.Fragments)
		}
	})
}

// Rows A101, A103, A106: streams that have to wait take turns, a frame each:
// one that sends megabytes keeps no other waiting.
func TestRound_ManySenders_TakeTurns(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		ts.peer.AnyOrder()
		var streams []ServerStream
		for id := uint32(1); id <= 7; id += 2 {
			st, _ := ts.open(id, "/s/Stream")
			streams = append(streams, st)
		}
		// The first uses up the connection's window and has more.
		if err := streams[0].Send(octets(65530)); err != nil {
			t.Fatal(err)
		}
		if err := streams[0].Send(octets(60000)); err != nil {
			t.Fatal(err)
		}
		for _, st := range streams[1:] {
			if err := st.Send(octets(40000)); err != nil {
				t.Fatal(err)
			}
		}
		for i := range streams {
			ts.peer.WantHeaders("an answer begins", uint32(2*i+1))
		}
		ts.peer.WantMessage("the window", 1)
		ts.peer.WantIdle("the window of the connection is used up")
		const turn = quantum - frame.HeaderLen
		for range 2 { // a round each
			ts.peer.WriteWindowUpdate(0, 4*turn)
			synctest.Wait()
			for i := range streams {
				if d := ts.peer.WantData("its turn", uint32(2*i+1)); d.Length != turn {
					t.Errorf("stream %d sent %d octets in its turn", 2*i+1, d.Length)
				}
			}
			ts.peer.WantIdle("each had one turn")
		}
	}, window(1<<20))
}

// Row A103: a stream whose own window is used up leaves the round and does not
// hold it up; credit gives it its place again.
func TestRound_BlockedStream_IsPassedOver(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		blocked, _ := ts.open(1, "/s/Stream")
		if err := blocked.Send(octets(995)); err != nil {
			t.Fatal(err)
		}
		ts.peer.WantHeaders("an answer begins", 1)
		ts.peer.WantData("as far as its window goes", 1)
		ts.wantUnharmed(3)
		ts.peer.WriteWindowUpdate(1, 900)
		if d := ts.peer.WantData("the rest", 1); d.Length != 900 {
			t.Errorf("the rest is %d octets, want 900", d.Length)
		}
		if err := blocked.Send(text("more")); err != nil {
			t.Fatal(err)
		}
		ts.peer.WantIdle("its window is used up again")
		ts.wantUnharmed(5)
	}, window(100))
}

// blockSender makes st's queue full.
func blockSender(t *testing.T, st interface{ Send(Buffer) error }) chan error {
	t.Helper()
	if err := st.Send(octets(writeQuota + 1000)); err != nil {
		t.Fatal(err)
	}
	c := async(func() error { return st.Send(octets(10)) })
	wantPending(t, "Send", c)
	return c
}

// A Send waits while too much of its stream waits, and goes on when enough of
// it has left; it ends with the stream, whoever ends that.
// Row A4: the goroutine that sends is the one that waits.
func TestSend_QueueIsFull_WaitsForRoomOrTheEnd(t *testing.T) {
	for name, tt := range map[string]struct {
		do   func(p *h2peer.Peer, cancel context.CancelFunc)
		want error
	}{
		"room":    {func(p *h2peer.Peer, _ context.CancelFunc) { p.WriteWindowUpdate(1, 2000) }, nil},
		"context": {func(_ *h2peer.Peer, cancel context.CancelFunc) { cancel() }, io.EOF},
		"reset":   {func(p *h2peer.Peer, _ context.CancelFunc) { p.WriteReset(1, http2.ErrCodeInternal) }, io.EOF},
		"answer":  {func(p *h2peer.Peer, _ context.CancelFunc) { p.WriteTrailersOnly(1, codes.NotFound, "") }, io.EOF},
		"close":   {func(p *h2peer.Peer, _ context.CancelFunc) { p.Close() }, io.EOF},
	} {
		t.Run(name, func(t *testing.T) {
			inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				cs := openStream(ctx, t, ct, p, 1)
				send := blockSender(t, cs)
				tt.do(p, cancel)
				if err := <-send; !errors.Is(err, tt.want) {
					t.Errorf("Send gave %v, want %v", err, tt.want)
				}
			}, window(0))
		})
	}
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		st, _ := ts.open(1, "/s/Stream")
		send := blockSender(t, st)
		ts.peer.WriteReset(1, http2.ErrCodeCancel)
		wantStreamError(t, <-send, CodeCancel, ByPeer)
	}, window(0))
}

// A sender whose connection is not read waits as well: what is queued for the
// socket is bounded.
// Row A4: nothing queues without bound between a sender and its socket.
func TestSend_PeerDoesNotRead_IsBounded(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		ts.peer.WriteWindowUpdate(0, 1<<30)
		st, _ := ts.open(1, "/s/Stream")
		ts.client.stop()
		sent := 0
		done := async(func() error {
			for {
				if err := st.Send(octets(10000)); err != nil {
					return err
				}
				sent += 10000
			}
		})
		wantPending(t, "Send", done)
		// What the link holds, what is written, what is pending, what is queued.
		if most := 256<<10 + 2*highWater + 2*writeQuota; sent > most {
			t.Errorf("%d octets were taken for a peer that does not read, %d are enough", sent, most)
		}
		ts.client.resume()
		ts.peer.WriteReset(1, http2.ErrCodeCancel)
		wantStreamError(t, <-done, CodeCancel, ByPeer)
		ts.peer.Ignore(http2.FrameData, http2.FrameHeaders)
	}, window(1<<30))
}

// Row A94: the reader never waits for the socket: a server whose client does
// not read goes on to hear what that says.
func TestReader_PeerDoesNotRead_GoesOn(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		ts.peer.WriteWindowUpdate(0, 1<<30)
		st, _ := ts.open(1, "/s/Stream")
		other, _ := ts.open(3, "/s/Stream")
		jam(t, ts, st)
		ts.peer.WritePing([8]byte{1})
		ts.peer.WriteWindowUpdate(1, 1)
		ts.peer.WriteMessage(3, false, []byte("hello"))
		ts.peer.WriteReset(1, http2.ErrCodeCancel)
		<-st.Context().Done()
		wantMessage(t, other, "hello")
		ts.peer.Ignore(http2.FrameData, http2.FrameHeaders)
	}, window(1<<29))
}

// counted counts how many are in Write, and how many in Read, at once.
type counted struct {
	net.Conn
	writers, readers, most atomic.Int32
}

func (c *counted) Write(b []byte) (int, error) {
	c.note(c.writers.Add(1))
	defer c.writers.Add(-1)
	runtime.Gosched()
	return c.Conn.Write(b)
}

func (c *counted) Read(b []byte) (int, error) {
	c.note(c.readers.Add(1))
	defer c.readers.Add(-1)
	return c.Conn.Read(b)
}

func (c *counted) note(n int32) {
	for most := c.most.Load(); n > most && !c.most.CompareAndSwap(most, n); most = c.most.Load() {
	}
}

// Row A53: one goroutine at a time writes and one reads, whoever has something
// to send.
func TestSocket_ManySenders_OneWriterAtATime(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Link{})
		client, server := &counted{Conn: a}, &counted{Conn: b}
		result := async(func() error {
			sv, err := NewServerTransport(server, ServerConfig{Unary: unaryMethods})
			if err != nil {
				return err
			}
			return sv.HandleStreams(t.Context(), echoUnary)
		})
		ct, err := NewHTTP2Client(t.Context(), client, ClientConfig{})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for w := range 20 {
			wg.Go(func() {
				for i := range 20 {
					c := roundTrip(t.Context(), ct, strings.Repeat("m", i*w*10))
					c.want(t, strings.Repeat("m", i*w*10))
				}
			})
		}
		wg.Wait()
		ct.Close("the test is over")
		<-result
		if n, m := client.most.Load(), server.most.Load(); n != 1 || m != 1 {
			t.Errorf("%d goroutines of the client and %d of the server were in Read or Write at once", n, m)
		}
	})
}

// mute is a connection that can be read but not written to.
type mute struct {
	net.Conn
	over atomic.Bool
	last error // of Read, when the octets have ended
}

func (m *mute) Write(b []byte) (int, error) {
	if m.over.Load() {
		return 0, syscall.EPIPE
	}
	return m.Conn.Write(b)
}

func (m *mute) Read(b []byte) (int, error) {
	n, err := m.Conn.Read(b)
	if n == 0 && err == io.EOF {
		err = m.last
	}
	return n, err
}

// A write that fails does not hide what the peer said before it left; if it
// said nothing, the write is the reason.
// Rows B14, C17: a write that fails ends the connection and its calls.
func TestWriteError_WhatThePeerSaid_ComesFirst(t *testing.T) {
	for name, tt := range map[string]struct {
		last error
		say  func(p *h2peer.Peer)
		want string
	}{
		"an alert":            {errors.New("remote error: tls: certificate required"), func(*h2peer.Peer) {}, "certificate required"},
		"nothing":             {io.EOF, func(*h2peer.Peer) {}, "broken pipe"},
		"a frame that is bad": {io.EOF, func(p *h2peer.Peer) { p.WriteData(0, false, nil) }, "PROTOCOL_ERROR"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := simnet.Pipe(simnet.Link{})
				m := &mute{Conn: a, last: tt.last}
				p := h2peer.NewServer(t, b)
				made := async(func() ClientTransport {
					ct, err := NewHTTP2Client(t.Context(), m, ClientConfig{})
					if err != nil {
						t.Error(err)
					}
					return ct
				})
				p.Handshake()
				ct := <-made
				m.over.Store(true)
				call := roundTrip(t.Context(), ct, "never written")
				if !call.pending() {
					t.Error("the reader had no time")
				}
				tt.say(p)
				_ = b.Close()
				if err := call.wantError(t, codes.Unavailable); !strings.Contains(err.Error(), tt.want) {
					t.Errorf("the call says %v, want %q", err, tt.want)
				}
				<-ct.Done()
			})
		})
	}
}

// A peer that says nothing more keeps the connection for a second only.
// Rows B14, C17: a write that fails ends the connection soon, without another.
func TestWriteError_SilentPeer_EndsSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Link{})
		m := &mute{Conn: a}
		p := h2peer.NewServer(t, b)
		made := async(func() ClientTransport {
			ct, _ := NewHTTP2Client(t.Context(), m, ClientConfig{})
			return ct
		})
		p.Handshake()
		ct := <-made
		m.over.Store(true)
		began := time.Now()
		err := roundTrip(t.Context(), ct, "never written").wantError(t, codes.Unavailable)
		if took := time.Since(began); took > lastWordsTimeout || !strings.Contains(err.Error(), "broken pipe") {
			t.Errorf("after %v the call says %v", took, err)
		}
		<-ct.Done()
		_ = b.Close()
	})
}

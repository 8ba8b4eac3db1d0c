package transport

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/internal/h2peer"
	"github.com/weir-rpc/weir/internal/simnet"
	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
)

// A refusal is written at once, whether the request has ended or not.
func TestRefusal_OfACompleteRequest_IsWritten(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		ts.peer.WriteHeaders(1, true, ":method", "GET", ":scheme", "http", ":path", "/", ":authority", "sim")
		h := ts.peer.WantHeaders("405", 1)
		_ = h
	})
}

// The second GOAWAY of a drain is written at once, though streams are open.
func TestDrain_Acknowledged_SecondGoAwayIsWritten(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		st, end := ts.open(1, "/s/Stream")
		_ = st
		ts.sv.Drain("bye")
		ping := wantFirstGoAway(t, ts.peer, "bye")
		ts.peer.WritePingAck(ping)
		if g := ts.peer.WantGoAway("the second", http2.ErrCodeNo); g.LastStreamID != 1 {
			t.Errorf("names %d", g.LastStreamID)
		}
		end()
	})
}

// A client that has its answer early resets the stream at once.
func TestTrailers_BeforeTheRequestEnds_ResetIsWritten(t *testing.T) {
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		cs := openStream(t.Context(), t, ct, p, 1)
		p.WriteTrailersOnly(1, codes.OK, "")
		p.WantReset("half-closed stream is reset", 1, http2.ErrCodeNo)
		_, _ = cs.Recv()
	})
}

// https://www.rfc-editor.org/rfc/rfc9113#section-6.8
// The last stream identifier of GOAWAY frames never rises.
func TestGoAway_Last_DoesNotGrow(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		st, _ := ts.open(1, "/s/Stream")
		ts.sv.Drain("bye")
		wantFirstGoAway(t, ts.peer, "bye")
		simnet.Advance(DefaultDrainTimeout)
		if g := ts.peer.WantGoAway("second", http2.ErrCodeNo); g.LastStreamID != 1 {
			t.Errorf("the second GOAWAY names stream %d, want 1", g.LastStreamID)
		}
		ts.peer.WriteRequest(5, "/u/Echo", nil, true)
		ts.peer.WantIdle("a stream above the last is ignored")
		ts.peer.AnyOrder()
		st.WriteStatus(nil)
		if g := ts.peer.WantGoAway("last word", http2.ErrCodeNo); g.LastStreamID != 1 {
			t.Errorf("the third GOAWAY names stream %d, want 1: it must not grow", g.LastStreamID)
		}
	})
}

// What this side resets for its own reasons is not the peer's fault.
func TestCancel_ManyAtOnce_ConnectionLives(t *testing.T) {
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		p.Ignore(http2.FrameHeaders, http2.FrameRSTStream)
		ctx, cancel := context.WithCancel(t.Context())
		for range 3000 {
			if _, err := ct.NewStream(ctx, &Call{Method: "/s/Stream", Authority: "sim"}); err != nil {
				t.Fatal(err)
			}
		}
		cancel()
		synctest.Wait()
		if err := ct.Err(); err != nil {
			t.Errorf("the connection ended: %v", err)
		}
	})
}

// Nor is it then, when the link is slow and the resets still wait to be written,
// that the peer asks for something.
func TestCancel_ManyOnASlowLink_PeerMayPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Link{Rate: 10_000, Buffer: 4 << 10})
		p := h2peer.NewServer(t, b)
		made := make(chan ClientTransport, 1)
		go func() {
			ct, err := NewHTTP2Client(t.Context(), a, ClientConfig{})
			if err != nil {
				t.Errorf("NewHTTP2Client: %v", err)
			}
			made <- ct
		}()
		p.Handshake()
		ct := <-made
		p.Ignore(http2.FrameHeaders, http2.FrameRSTStream)
		ctx, cancel := context.WithCancel(t.Context())
		for range 3000 {
			if _, err := ct.NewStream(ctx, &Call{Method: "/s/Stream", Authority: "sim"}); err != nil {
				t.Fatal(err)
			}
		}
		simnet.Advance(time.Minute)
		cancel()
		synctest.Wait()
		p.WritePing([8]byte{1})
		simnet.Advance(time.Minute)
		p.WantPingAck("the connection lives", [8]byte{1})
		ct.Close("the test is over")
	})
}

// A silent client has ConnectionTimeout, and not SettingsTimeout.
func TestConnectionTimeout_IsWhatItSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Link{})
		p := h2peer.NewClient(t, a)
		res := async(func() error {
			sv, err := NewServerTransport(b, ServerConfig{ConnectionTimeout: time.Minute})
			if err == nil {
				go func() { _ = sv.HandleStreams(t.Context(), echoUnary) }()
			}
			return err
		})
		simnet.Advance(20 * time.Second)
		select {
		case err := <-res:
			t.Errorf("ended after 20 s of 60: %v", err)
		default:
		}
		p.Close()
	})
}

// When HandleStreams returns, the contexts of its handlers have ended.
// Row A11: HandleStreams gives each stream to its handler and returns with the
// connection.
func TestHandleStreams_Returned_ContextsHaveEnded(t *testing.T) {
	for range 200 {
		a, b := simnet.Pipe(simnet.Link{})
		p := h2peer.NewClient(t, a)
		var mu sync.Mutex
		var all []ServerStream
		var wg sync.WaitGroup
		in := make(chan struct{}, 1000)
		over := make(chan struct{})
		res := make(chan int, 1)
		go func() {
			sv, err := NewServerTransport(b, ServerConfig{})
			if err != nil {
				t.Error(err)
				return
			}
			_ = sv.HandleStreams(t.Context(), func(st ServerStream) {
				wg.Add(1)
				defer wg.Done()
				mu.Lock()
				all = append(all, st)
				mu.Unlock()
				in <- struct{}{}
				<-over
			})
			n := 0
			mu.Lock()
			for _, st := range all {
				if st.Context().Err() == nil {
					n++
				}
			}
			mu.Unlock()
			res <- n
		}()
		p.Handshake()
		p.Batch(func() {
			for id := uint32(1); id < 1000; id += 2 {
				p.WriteRequest(id, "/s/S", nil, false)
			}
		})
		for range 500 {
			<-in
		}
		p.Close()
		n := <-res
		close(over)
		if n > 0 {
			t.Fatalf("%d of 500 contexts had not ended when HandleStreams returned", n)
		}
	}
}

// https://www.rfc-editor.org/rfc/rfc9113#section-5.1
// Nothing follows RST_STREAM.
func TestReset_NoCreditFollows(t *testing.T) {
	inClient(t, ClientConfig{ConnConfig: ConnConfig{InitialWindowSize: 16384, InitialConnWindowSize: 1 << 20}}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		c := roundTrip(t.Context(), ct, "x")
		p.WantHeaders("a call", 1)
		p.WantMessage("its message", 1)
		p.Batch(func() {
			p.WriteResponse(1, nil)
			p.WriteData(1, false, append([]byte{0, 0, 1, 0x86, 0xa0}, make([]byte, 5000)...))
			p.WriteFrame(http2.FrameWindowUpdate, 0, 1, []byte{0, 0, 0, 0})
		})
		<-c.done
		p.WantReset("a stream error", 1, http2.ErrCodeProtocol)
		p.WantIdle("nothing on a closed stream")
	})
}

// A unary handler that sends more than its quota waits, and no longer than its
// connection lives.
func TestUnary_SendsTwice_EndsWithTheConnection(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		ended := make(chan struct{})
		ts.every = func(st ServerStream) {
			for st.Send(octets(60000)) == nil {
			}
			close(ended)
		}
		ts.peer.Ignore(http2.FrameData, http2.FrameHeaders)
		ts.peer.WriteRequest(1, "/u/Echo", []byte("x"), true)
		synctest.Wait()
		ts.sv.Close("x")
		synctest.Wait()
		select {
		case <-ended:
		default:
			t.Error("the handler hangs in Send after the end of its connection")
		}
	})
}

// A call whose headers were never given to the network was not sent for certain,
// if the connection is lost: it may be tried again without anybody's knowledge.
// Of one that was, nobody knows.
//
// "In the first case, in which the RPC never leaves the client, the client library
// can transparently retry until a success occurs, or the RPC's deadline passes."
// https://github.com/grpc/proposal/blob/master/A6-client-retries.md#transparent-retries
func TestConnectionLost_CallsThatNeverLeft_AreUnsent(t *testing.T) {
	for name, lose := range map[string]func(*simnet.Conn){
		"reset":        (*simnet.Conn).Reset,
		"WriteTimeout": func(*simnet.Conn) { simnet.Advance(2 * DefaultWriteTimeout) },
	} {
		t.Run(name, func(t *testing.T) { neverLeft(t, lose) })
	}
}

// neverLeft makes calls to a server that does not read, and loses the connection.
func neverLeft(t *testing.T, lose func(server *simnet.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Link{Buffer: 64 << 10})
		server := &laggard{Conn: b.(*simnet.Conn)}
		p := h2peer.NewServer(t, server)
		made := async(func() ClientTransport {
			ct, err := NewHTTP2Client(t.Context(), a, ClientConfig{})
			if err != nil {
				t.Error(err)
			}
			return ct
		})
		p.Handshake(window(1 << 20))
		p.WriteWindowUpdate(0, 1<<20)
		ct := <-made
		synctest.Wait()
		sent := roundTrip(t.Context(), ct, "sent")
		take(p, 1)
		server.stop()
		large := roundTrip(t.Context(), ct, strings.Repeat("l", 500_000)) // fills the way, and more
		synctest.Wait()
		late := roundTrip(t.Context(), ct, "late")
		stream := async(func() error {
			cs, err := ct.NewStream(t.Context(), &Call{Method: "/s/Stream", Authority: "sim"})
			if err != nil {
				return err
			}
			_, err = cs.Recv()
			return err
		})
		wantPending(t, "Recv", stream)
		lose(b.(*simnet.Conn))
		for name, c := range map[string]*asyncCall{"sent": sent, "large": large} {
			err := c.wantError(t, codes.Unavailable)
			if se, ok := errors.AsType[*StreamError](err); !ok || se.Unprocessed || se.Unsent || !strings.Contains(err.Error(), mayActed) {
				t.Errorf("%s: the call ended with %v", name, err)
			}
		}
		for name, err := range map[string]error{"late": late.wantError(t, codes.Unavailable), "stream": <-stream} {
			if se, ok := errors.AsType[*StreamError](err); !ok || !se.Unprocessed || !se.Unsent || !strings.Contains(err.Error(), notActed) {
				t.Errorf("%s: the call ended with %v", name, err)
			}
		}
		<-ct.Done()
		p.Close()
	})
}

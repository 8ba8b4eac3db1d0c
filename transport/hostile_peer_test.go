package transport

import (
	"bytes"
	"context"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/internal/h2peer"
	"github.com/weir-rpc/weir/internal/simnet"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
)

// A header list over the limit ends its call, with the last headers too.
func TestResponse_TooLarge_EndsTheCall(t *testing.T) {
	big := strings.Repeat("x", 1500)
	for name, answer := range map[string]func(*h2peer.Peer){
		"last headers": func(p *h2peer.Peer) { p.WriteTrailersOnly(1, codes.OK, "", "big", big) },
		"first headers": func(p *h2peer.Peer) {
			p.WriteHeaders(1, false, ":status", "200", "content-type", "application/grpc", "big", big)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inClient(t, ClientConfig{ConnConfig: ConnConfig{MaxHeaderListSize: 1000}}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				c := roundTrip(ctx, ct, "x")
				p.WantHeaders("a call", 1)
				p.WantMessage("its message", 1)
				answer(p)
				simnet.Advance(5 * time.Second)
				if c.pending() {
					t.Error("the call still waits, 4 s after its deadline")
				}
			})
		})
	}
}

// DATA beyond the stream's window ends the call, though it ends the stream.
func TestData_OverrunWithItsEnd_EndsTheCall(t *testing.T) {
	inClient(t, ClientConfig{ConnConfig: ConnConfig{InitialWindowSize: 16384, InitialConnWindowSize: 1 << 20}}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		c := roundTrip(ctx, ct, "x")
		p.WantHeaders("a call", 1)
		p.WantMessage("its message", 1)
		p.WriteResponse(1, nil)
		var many []byte
		for range 10 {
			many = append(many, h2peer.Message(make([]byte, 1000))...)
		}
		p.Batch(func() {
			p.WriteData(1, false, many)
			p.WriteData(1, true, many)
		})
		simnet.Advance(5 * time.Second)
		if c.pending() {
			t.Error("the call still waits, 4 s after its deadline")
		}
	})
}

// Credit that was granted and not written is not the peer's yet: who spends it
// without reading overruns the window.
func TestCredit_NotRead_IsNotSpent(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		st, end := ts.open(1, "/s/Stream")
		defer end()
		ts.peer.WriteWindowUpdate(0, 1<<20)
		ts.peer.Ignore(http2.FrameData, http2.FrameHeaders, http2.FrameRSTStream, http2.FrameWindowUpdate, http2.FramePing)
		jam(t, ts, st)
		ts.peer.WriteHeaders(3, false, ":method", "GET", ":scheme", "http", ":path", "/") // refused: closed for us
		frame := make([]byte, 9+16384)
		frame[1], frame[8] = 0x40, 3 // DATA of 16,384 octets on stream 3, which is closed
		for range 2 * DefaultConnWindow / 16384 {
			ts.peer.WriteRaw(frame)
		}
		synctest.Wait()
		ts.client.resume()
		ts.peer.WantGoAway("twice the window", http2.ErrCodeFlowControl)
		ts.wantConnError(CodeFlowControl, ByLocal)
	}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
}

// A peer that gives no credit and resets what it asks for does not fill the
// round.
func TestRound_ResetStreams_LeaveIt(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		st, end := ts.open(1, "/s/Stream")
		defer end()
		jam(t, ts, st)
		ts.every = func(st ServerStream) { st.Reply(octets(100)) }
		s := ts.sv.(*http2Server)
		for id := uint32(3); id < 40000; id += 2 {
			ts.peer.WriteRequest(id, "/u/Small", []byte("x"), true)
			synctest.Wait()
			ts.peer.WriteReset(id, http2.ErrCodeCancel)
		}
		synctest.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		t.Logf("life %v err %v out.size %d", s.life, s.err, s.out.size)
		if n := s.round.Len(); n > 1000 && s.life != lifeClosed {
			t.Errorf("%d streams stand in the round, %d are open", n, s.streams.len())
		}
	})
}

// Replies of which nothing was framed go back when their streams are reset.
func TestReplies_OfResetStreams_AreFreed(t *testing.T) {
	a, b := connected(t, "tcp", "127.0.0.1:0")
	defer func() { _ = a.Close() }()
	made := make(chan ServerTransport, 1)
	replied := make(chan struct{}, 1)
	go func() {
		sv, err := NewServerTransport(b, ServerConfig{
			ConnConfig: ConnConfig{WriteTimeout: -1}, // the client would be cut off where this takes a minute
			Unary:      func(m string) bool { return m[1] == 'u' },
		})
		if err != nil {
			t.Error(err)
			return
		}
		made <- sv
		_ = sv.HandleStreams(context.Background(), func(st ServerStream) {
			st.Reply(NewBuffer(1 << 20))
			replied <- struct{}{}
		})
	}()
	// A client that reads nothing.
	fr := http2.NewFramer(a, nil)
	_, _ = io.WriteString(a, http2.ClientPreface)
	_ = fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1})
	_ = fr.WriteWindowUpdate(0, 1<<30)
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	s := (<-made).(*http2Server)
	for id := uint32(1); id < 2*300; id += 2 {
		block.Reset()
		for _, kv := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", "/u/Big"}, {":authority", "sim"}, {"content-type", "application/grpc"}} {
			_ = enc.WriteField(hpack.HeaderField{Name: kv[0], Value: kv[1]})
		}
		_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndHeaders: true})
		_ = fr.WriteData(id, true, []byte{0, 0, 0, 0, 0})
		<-replied
		_ = fr.WriteRSTStream(id, http2.ErrCodeCancel)
	}
	for { // until the resets have arrived
		s.mu.Lock()
		n := s.streams.len()
		s.mu.Unlock()
		if n == 0 {
			break
		}
		runtime.Gosched()
	}
	s.mu.Lock()
	held := 0
	for _, b := range s.out.owned {
		held += cap(*b)
	}
	t.Logf("life %v, %d streams, %d octets pending, %d buffers with %d octets kept for them", s.life, s.streams.len(), s.out.size, len(s.out.owned), held)
	if held > 8<<20 {
		t.Error("nobody refers to most of that")
	}
	s.mu.Unlock()
	s.Close("over")
}

// A burst of streams beyond the limit is refused, stream by stream.
func TestStreams_BurstBeyondTheLimit_IsRefused(t *testing.T) {
	inServer(t, ServerConfig{MaxConcurrentStreams: 1}, func(t *testing.T, ts *testServer) {
		_, end := ts.open(1, "/s/Stream")
		defer end()
		ts.peer.Ignore(http2.FrameRSTStream)
		ts.peer.Batch(func() {
			for id := uint32(3); id < 2*2500; id += 2 {
				ts.peer.WriteRequest(id, "/u/Echo", nil, true)
			}
		})
		synctest.Wait()
		if err := ts.sv.Err(); err != nil {
			t.Errorf("the connection ended: %v", err)
		}
	})
}

// DATA before the headers of a response is malformed.
func TestData_BeforeTheHeaders_EndsTheCall(t *testing.T) {
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		c := roundTrip(t.Context(), ct, "x")
		p.WantHeaders("a call", 1)
		p.WantMessage("its message", 1)
		p.WriteData(1, false, h2peer.Message([]byte("y")))
		p.WriteTrailersOnly(1, codes.OK, "")
		<-c.done
		if c.err == nil {
			t.Errorf("accepted: %q", c.data)
		}
	})
}

// A request that is refused for its size may go on coming: what comes touches no
// later call.
func TestRequest_TooLarge_RestTouchesNobody(t *testing.T) {
	inServer(t, ServerConfig{MaxRecvMessageSize: 10}, func(t *testing.T, ts *testServer) {
		ts.every = echoUnary
		ts.peer.Ignore(http2.FrameRSTStream)
		for id := uint32(1); id < 400; id += 4 {
			large := h2peer.Message(make([]byte, 100))
			ts.peer.WriteHeaders(id, false, good...)
			ts.peer.WriteData(id, false, large[:50])
			ts.peer.WriteData(id, id%8 == 1, large[50:60]) // beside the handler
			ts.peer.WantTrailers("too large", id, codes.ResourceExhausted)
			ts.peer.WriteRequest(id+2, "/u/Echo", []byte("small"), true)
			ts.peer.WantHeaders("a later call is answered", id+2)
			if got := string(ts.peer.WantMessage("with its message", id+2)); got != "small" {
				t.Fatalf("it got %q", got)
			}
			ts.peer.WantTrailers("and OK", id+2, codes.OK)
		}
	})
}

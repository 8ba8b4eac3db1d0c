package transport

import (
	"strings"
	"testing"
	"testing/synctest"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
)

// refusedOpen opens a stream with a request that is refused and does not end.
func (ts *testServer) refusedOpen(id uint32, extra ...string) {
	ts.t.Helper()
	ts.peer.WriteHeaders(id, false, append(but("content-type", "text/plain"), extra...)...)
	if h := ts.peer.WantTrailers("the answer is no", id, codes.Internal); h.Get(":status") != "415" {
		ts.t.Fatalf("the answer is %v, want HTTP 415", h)
	}
}

// Rows A65, A66: who got its answer early may end its request in any legal way,
// and hears no more of it.
func TestRefused_RequestGoesOnAndEnds_IsLeftAlone(t *testing.T) {
	for name, do := range map[string]func(ts *testServer){
		"DATA": func(ts *testServer) {
			ts.peer.WriteData(1, false, []byte("the "))
			ts.peer.WriteData(1, true, []byte("rest"))
		},
		"trailers": func(ts *testServer) { ts.peer.WriteHeaders(1, true, "with", "trailers") },
		"reset":    func(ts *testServer) { ts.peer.WriteReset(1, http2.ErrCodeCancel) },
		"credit":   func(ts *testServer) { ts.peer.WriteWindowUpdate(1, 1<<31-1-65535) },
	} {
		t.Run(name, func(t *testing.T) {
			inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
				ts.refusedOpen(1, "content-length", "8")
				if name == "trailers" {
					ts.peer.WriteData(1, false, []byte("the rest"))
				}
				do(ts)
				ts.peer.WantIdle("nothing to say to that")
				ts.wantUnharmed(3)
			})
		})
	}
}

// https://www.rfc-editor.org/rfc/rfc9113#section-5.1
// https://www.rfc-editor.org/rfc/rfc9113#section-6.1
// https://www.rfc-editor.org/rfc/rfc9113#section-8.1.1
// Rows A77, A78, A82: what follows a request that was refused is checked as if
// it had been taken. The names are those of h2spec.
func TestRefused_RequestGoesOnWrongly_IsReset(t *testing.T) {
	for name, tt := range map[string]struct {
		do   func(ts *testServer)
		code http2.ErrCode
	}{
		"http2/5.1/8: DATA after RST_STREAM": {func(ts *testServer) {
			ts.peer.WriteReset(1, http2.ErrCodeCancel)
			ts.peer.WriteData(1, true, []byte("more"))
		}, http2.ErrCodeStreamClosed},
		"http2/5.1/11: DATA after the end of both": {func(ts *testServer) {
			ts.peer.WriteData(1, true, []byte("4444"))
			ts.peer.WriteData(1, true, []byte("more"))
		}, http2.ErrCodeStreamClosed},
		"http2/6.3/2: PRIORITY of the wrong length": {func(ts *testServer) {
			ts.peer.WriteFrame(http2.FramePriority, 0, 1, make([]byte, 4))
		}, http2.ErrCodeFrameSize},
		"http2/6.9/2: WINDOW_UPDATE of 0":            {func(ts *testServer) { ts.peer.WriteWindowUpdate(1, 0) }, http2.ErrCodeProtocol},
		"http2/6.9.1/3: WINDOW_UPDATE past 2^31-1":   {func(ts *testServer) { ts.peer.WriteWindowUpdate(1, 1<<31-1) }, http2.ErrCodeFlowControl},
		"http2/8.1/1: trailers without END_STREAM":   {func(ts *testServer) { ts.peer.WriteHeaders(1, false, "x", "y") }, http2.ErrCodeProtocol},
		"http2/8.1.2.1/3: pseudo field in trailers":  {func(ts *testServer) { ts.peer.WriteHeaders(1, true, ":path", "/") }, http2.ErrCodeProtocol},
		"http2/8.1.2.6/1: more than content-length":  {func(ts *testServer) { ts.peer.WriteData(1, true, []byte("12345")) }, http2.ErrCodeProtocol},
		"less than content-length":                   {func(ts *testServer) { ts.peer.WriteData(1, true, []byte("123")) }, http2.ErrCodeProtocol},
		"less than content-length, ends by trailers": {func(ts *testServer) { ts.peer.WriteHeaders(1, true, "x", "y") }, http2.ErrCodeProtocol},
	} {
		t.Run(name, func(t *testing.T) {
			inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
				ts.refusedOpen(1, "content-length", "4")
				tt.do(ts)
				ts.peer.WantReset("that is wrong", 1, tt.code)
				ts.peer.WriteData(1, true, []byte("late"))
				ts.peer.WantIdle("once is enough")
				ts.wantUnharmed(3)
			})
		})
	}
}

// https://www.rfc-editor.org/rfc/rfc9113#section-5.1
// HEADERS on a stream that both have ended, h2spec http2/5.1/12, end the
// connection.
func TestRefused_HeadersAfterTheEnd_EndTheConnection(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		ts.peer.WriteHeaders(1, true, but(":method", "GET")...)
		ts.peer.WantTrailers("the answer is no", 1, codes.Internal)
		ts.peer.WriteHeaders(1, true, but(":method", "GET")...)
		ts.peer.WantGoAway("stream 1 is closed", http2.ErrCodeStreamClosed)
		ts.wantConnError(CodeStreamClosed, ByLocal)
	})
}

// What is refused costs next to nothing: who has much more to say is told that
// nobody listens, and so are those who leave many requests open.
func TestRefused_GoesOnAndOn_IsReset(t *testing.T) {
	t.Run("octets", func(t *testing.T) {
		inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
			ts.peer.Ignore(http2.FrameWindowUpdate)
			ts.refusedOpen(1)
			ts.peer.WriteData(1, false, make([]byte, refusedOctets-1))
			ts.peer.WantIdle("it may end by itself")
			ts.peer.WriteData(1, false, make([]byte, 1))
			ts.peer.WantReset("it goes on", 1, http2.ErrCodeNo)
			ts.peer.WriteData(1, true, make([]byte, 1000))
			ts.peer.WantIdle("what was under way is nobody's fault")
			ts.wantUnharmed(3)
		})
	})
	t.Run("requests", func(t *testing.T) {
		inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
			for i := range uint32(100) {
				ts.refusedOpen(2*i + 1)
				if i >= refusedMost {
					ts.peer.WantReset("the oldest goes", 2*(i-refusedMost)+1, http2.ErrCodeNo)
				}
			}
			ts.wantUnharmed(201)
		})
	})
	t.Run("one stream allowed", func(t *testing.T) {
		inServer(t, ServerConfig{MaxConcurrentStreams: 1}, func(t *testing.T, ts *testServer) {
			ts.refusedOpen(1)
			ts.peer.WantReset("its place is needed", 1, http2.ErrCodeNo)
			ts.wantUnharmed(3)
		})
	})
}

// A connection drains whether or not requests that were refused have ended.
func TestRefused_Open_HoldsUpNoDrain(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		ts.refusedOpen(1)
		ts.sv.Drain("bye")
		ts.peer.WritePingAck(wantFirstGoAway(t, ts.peer, "bye"))
		if g := ts.peer.WantGoAway("the last one", http2.ErrCodeNo); g.LastStreamID != 1 || !strings.Contains(g.Debug, "bye") {
			t.Errorf("GOAWAY names stream %d and says %q", g.LastStreamID, g.Debug)
		}
		ts.peer.WantGoAway("its last word", http2.ErrCodeNo)
		ts.peer.WantClosed("nothing is open")
	})
}

// A request that is refused while large messages wait for the socket is answered:
// what waits is no fault of its client, which may be reading as fast as it can.
func TestRefused_BesideLargeMessages_IsAnswered(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		ts.peer.Ignore(http2.FrameData, http2.FrameHeaders)
		ts.peer.WriteWindowUpdate(0, 1<<24)
		st, _ := ts.open(1, "/s/Stream")
		ts.client.stop()
		for range 5 { // fill the way, and the writer waits with all of them
			if err := st.Send(octets(60_000)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		s := ts.sv.(*http2Server)
		s.mu.Lock()
		s.bulk, s.out.small = true, false // as if the socket had been quick until now
		s.mu.Unlock()
		other, _ := ts.open(3, "/s/Stream")
		if err := other.Send(octets(400_000)); err != nil {
			t.Fatal(err)
		}
		ts.peer.WriteHeaders(5, true, but("content-type", "text/plain")...)
		synctest.Wait()
		if n := ts.sv.(*http2Server).Inspect(false).Pending; n < bulkWater {
			t.Fatalf("%d octets wait, too few for this test", n)
		}
		if err := ts.sv.Err(); err != nil {
			t.Fatalf("the connection ended: %v", err)
		}
		ts.client.resume()
		ts.peer.AnyOrder()
		ts.peer.WantTrailers("the answer is no", 5, codes.Internal)
	}, window(1<<24))
}

package transport

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/weir-rpc/weir/internal/h2peer"
	"github.com/weir-rpc/weir/internal/simnet"
	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
)

// wantFirstGoAway wants the first step of a server's drain, and gives the
// payload of the PING that asks whether it has arrived.
func wantFirstGoAway(t *testing.T, p *h2peer.Peer, reason string) [8]byte {
	t.Helper()
	if g := p.WantGoAway("the first GOAWAY", http2.ErrCodeNo); g.LastStreamID != 1<<31-1 || g.Debug != reason {
		t.Errorf("the first GOAWAY names stream %d, %q", g.LastStreamID, g.Debug)
	}
	return p.WantPing("and a PING, to know that it has arrived")
}

// Row A61: a server that drains accepts what its client opened before it knew;
// what comes above the last stream is ignored, but its header block decoded. A
// client that does not acknowledge has five seconds.
func TestServerDrain_Unacknowledged_GoesOnAfterTheTimeout(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		st, _ := ts.open(1, "/s/Stream")
		ts.sv.Drain("bye")
		wantFirstGoAway(t, ts.peer, "bye")
		simnet.Advance(DefaultDrainTimeout - 1)
		ts.peer.WantIdle("the time is not over")
		ts.wantUnharmed(3)
		simnet.Advance(1)
		if g := ts.peer.WantGoAway("the time is over", http2.ErrCodeNo); g.LastStreamID != 3 {
			t.Errorf("the second GOAWAY names stream %d, want 3", g.LastStreamID)
		}
		ts.peer.WriteRequest(5, "/u/Echo", nil, true, "to-be", "indexed")
		ts.peer.WriteHeaders(1, true, "to-be", "indexed")
		ts.peer.WantIdle("a stream above the last is ignored")
		ts.peer.AnyOrder()
		st.WriteStatus(nil)
		ts.peer.WantTrailers("the open stream finishes", 1, codes.OK)
		ts.peer.WantGoAway("the last word", http2.ErrCodeNo)
		ts.peer.WantClosed("then the connection ends")
	})
}

// A server without streams is drained as soon as the client knows.
func TestServerDrain_Idle_Closes(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		ts.sv.Drain("bye")
		ts.sv.Drain("said twice is said once")
		ping := wantFirstGoAway(t, ts.peer, "bye")
		ts.peer.WritePingAck(ping)
		ts.peer.WantGoAway("the second GOAWAY", http2.ErrCodeNo)
		ts.peer.WantGoAway("the last word", http2.ErrCodeNo)
		ts.peer.WantClosed("nothing is left to do")
		ts.wantConnError(CodeNoError, ByLocal)
	})
}

// A client that sends GOAWAY opens no more streams; those that it has finish.
// Row C14: a client's GOAWAY is heeded.
func TestServer_ClientSendsGoAway_FinishesItsStreams(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		st, _ := ts.open(1, "/s/Stream")
		ts.peer.WriteGoAway(0, http2.ErrCodeNo, "")
		ts.peer.WantIdle("a stream is open")
		ts.peer.AnyOrder()
		st.WriteStatus(nil)
		ts.peer.WantTrailers("it finishes", 1, codes.OK)
		ts.peer.WantReset("its client has not ended it", 1, http2.ErrCodeNo)
		ts.peer.WantGoAway("the last word", http2.ErrCodeNo)
		ts.peer.WantClosed("then the connection ends")
		ts.wantConnError(CodeNoError, ByLocal)
	})
}

// A server's GOAWAY: the streams that it names finish, those above were not
// processed, no new ones are opened, and with the last one the connection ends.
// Row A8: code and debug data of GOAWAY reach the errors.
func TestClient_ServerSendsGoAway_RetriesAboveAndFinishesBelow(t *testing.T) {
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		var calls [3]*asyncCall
		for i := range calls {
			calls[i] = roundTrip(t.Context(), ct, "x")
			p.WantHeaders("a call", uint32(2*i+1))
			p.WantMessage("its message", uint32(2*i+1))
		}
		p.WriteGoAway(3, http2.ErrCodeNo, "going home")
		err := calls[2].wantError(t, codes.Unavailable)
		if se := wantStreamError(t, err, CodeNoError, ByPeer); !se.Unprocessed || !strings.Contains(se.Error(), "going home") {
			t.Errorf("the call above the last stream ended with %v, Unprocessed %v", se, se.Unprocessed)
		}
		<-ct.Draining()
		err = roundTrip(t.Context(), ct, "new").wantError(t, codes.Unavailable)
		if se := wantStreamError(t, err, CodeRefusedStream, ByLocal); !se.Unprocessed {
			t.Error("a call that was not sent is not Unprocessed")
		}
		p.WriteResponse(1, []byte("one"))
		p.WriteTrailers(1, codes.OK, "")
		calls[0].want(t, "one")
		if ct.Err() != nil || !calls[1].pending() {
			t.Fatalf("the connection ended early: %v", ct.Err())
		}
		p.WriteGoAway(3, http2.ErrCodeNo, "said again")
		p.WriteTrailersOnly(3, codes.NotFound, "")
		calls[1].wantError(t, codes.NotFound)
		p.WantGoAway("the client's last word", http2.ErrCodeNo)
		p.WantClosed("the last stream is over")
		<-ct.Done()
	})
}

// GracefulClose lets the open streams finish and opens no new ones.
// Row A8: GracefulClose ends a connection without harm, and Draining and Done
// tell.
func TestGracefulClose_OpenStreams_Finish(t *testing.T) {
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		cs := openStream(t.Context(), t, ct, p, 1)
		ct.GracefulClose()
		<-ct.Draining()
		if _, err := ct.NewStream(t.Context(), &Call{Method: "/s/Stream"}); !wantStreamError(t, err, CodeRefusedStream, ByLocal).Unprocessed {
			t.Error("a call that was not sent is not Unprocessed")
		}
		if err := cs.Send(text("still alive")); err != nil {
			t.Fatal(err)
		}
		p.WantMessage("the open stream goes on", 1)
		p.WriteResponse(1, []byte("indeed"))
		wantMessage(t, cs, "indeed")
		p.AnyOrder()
		p.WriteTrailers(1, codes.OK, "")
		if _, err := cs.Recv(); err != io.EOF {
			t.Errorf("Recv gave %v", err)
		}
		p.WantReset("the client had more to say", 1, http2.ErrCodeNo)
		p.WantGoAway("the last word", http2.ErrCodeNo)
		p.WantClosed("the last stream is over")
	})
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		ct.GracefulClose()
		p.WantGoAway("nothing to finish", http2.ErrCodeNo)
		p.WantClosed("so it closes")
		<-ct.Done()
		<-ct.Draining()
	})
}

// wantLost wants err to say that the connection ended, for this reason.
func wantLost(t *testing.T, what string, err error, reason string, unprocessed bool) {
	t.Helper()
	var se *StreamError
	var ce *ConnError
	if !errors.As(err, &se) || !errors.As(err, &ce) || !errors.Is(err, net.ErrClosed) ||
		!strings.Contains(err.Error(), reason) || se.Unprocessed != unprocessed || se.Status.Code() != codes.Unavailable {
		t.Errorf("%s ended with %#v (%v)", what, err, err)
	}
}

// Rows A85, A93, A95: Close wakes everyone who waits, with an error that says
// why, and leaves nothing; what is asked for afterwards fails at once.
func TestClientClose_WakesEveryone(t *testing.T) {
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		receiver := openStream(t.Context(), t, ct, p, 1)
		recv := async(func() error { _, err := receiver.Recv(); return err })
		header := async(func() int { return len(receiver.Header()) })
		sender := openStream(t.Context(), t, ct, p, 3)
		if err := sender.Send(octets(writeQuota)); err != nil {
			t.Fatal(err)
		}
		send := async(func() error { return sender.Send(octets(10)) })
		call := roundTrip(t.Context(), ct, "x")
		p.WantHeaders("the call", 5)
		slot := roundTrip(t.Context(), ct, "waits for a slot")
		ping := async(func() error { return ct.Ping(t.Context()) })
		wantPending(t, "Recv", recv)
		wantPending(t, "Header", header)
		wantPending(t, "Send", send)
		wantPending(t, "Ping", ping)
		if !call.pending() || !slot.pending() {
			t.Fatal("the calls do not wait")
		}

		ct.Close("enough")
		wantLost(t, "Recv", <-recv, "enough", false)
		if n := <-header; n != 0 {
			t.Errorf("Header gave %d fields", n)
		}
		if err := <-send; err == nil {
			t.Error("Send succeeded")
		}
		_, err := sender.Recv()
		wantLost(t, "Recv of the sender", err, "enough", false)
		wantLost(t, "RoundTrip", call.wantError(t, codes.Unavailable), "enough", false)
		wantLost(t, "the wait for a slot", slot.wantError(t, codes.Unavailable), "enough", true)
		wantConnError(t, <-ping, CodeNoError, ByLocal)
		<-ct.Done()
		<-ct.Draining()
		wantConnError(t, ct.Err(), CodeNoError, ByLocal)
		wantLost(t, "a new call", roundTrip(t.Context(), ct, "y").wantError(t, codes.Unavailable), "enough", true)
		wantConnError(t, ct.Ping(t.Context()), CodeNoError, ByLocal)
		ct.Close("again")
		ct.GracefulClose()
	}, http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 3}, window(0))
}

// A stream is among those that finish from the moment at which its id counts,
// though the reader is still busy with its headers when the drain could end.
func TestServerDrain_StreamIsBeingOpened_IsAnswered(t *testing.T) {
	goOn := make(chan chan struct{}, 1)
	cfg := ServerConfig{Unary: func(string) bool { <-(<-goOn); return true }}
	inServer(t, cfg, func(t *testing.T, ts *testServer) {
		done := make(chan struct{})
		goOn <- done
		ts.sv.Drain("bye")
		wantFirstGoAway(t, ts.peer, "bye")
		ts.handle(echoUnary)
		ts.peer.WriteRequest(1, "/u/Echo", []byte("in time"), true)
		simnet.Advance(DefaultDrainTimeout)
		if g := ts.peer.WantGoAway("the client did not acknowledge", http2.ErrCodeNo); g.LastStreamID != 1 {
			t.Errorf("the last stream is %d", g.LastStreamID)
		}
		close(done)
		ts.peer.WantHeaders("an answer, as that promised", 1)
		if got := string(ts.peer.WantMessage("with its message", 1)); got != "in time" {
			t.Errorf("the answer is %q", got)
		}
		ts.peer.WantTrailers("and its status", 1, codes.OK)
		<-ts.streams
		ts.peer.WantGoAway("its last word", http2.ErrCodeNo)
		ts.peer.WantClosed("nothing is open")
	})
	// What is no request after all holds up no drain.
	for name, headers := range map[string][]string{
		"malformed": but("connection", "close"),
		"refused":   but("content-type", "text/plain"),
		"absent":    but(":path", ""),
	} {
		t.Run(name, func(t *testing.T) {
			inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
				ts.peer.Ignore(http2.FrameRSTStream, http2.FrameHeaders)
				ts.sv.Drain("bye")
				ping := wantFirstGoAway(t, ts.peer, "bye")
				ts.peer.WriteHeaders(1, true, headers...)
				synctest.Wait()
				ts.peer.WritePingAck(ping)
				ts.peer.WantGoAway("the last one", http2.ErrCodeNo)
				ts.peer.WantGoAway("its last word", http2.ErrCodeNo)
				ts.peer.WantClosed("nothing is open")
			})
		})
	}
}

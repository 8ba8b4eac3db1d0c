package transport

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/internal/h2peer"
	"github.com/weir-rpc/weir/internal/simnet"
	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
)

// openCalls begins n unary calls, on streams 1, 3, 5 ...
func openCalls(t *testing.T, ct ClientTransport, p *h2peer.Peer, n int) []*asyncCall {
	t.Helper()
	var calls []*asyncCall
	for id := uint32(1); len(calls) < n; id += 2 {
		calls = append(calls, roundTrip(t.Context(), ct, "x"))
		p.WantHeaders("a call", id)
		p.WantMessage("its message", id)
	}
	return calls
}

// wantUnprocessed wants a call to have ended as one that may be tried again.
func wantUnprocessed(t *testing.T, c *asyncCall, code ErrCode) {
	t.Helper()
	if se := wantStreamError(t, c.wantError(t, codes.Unavailable), code, ByPeer); !se.Unprocessed {
		t.Errorf("the call ended with %v, which is not Unprocessed", se)
	}
}

// A server's two steps: the first GOAWAY leaves all streams, the second names
// the last that is served. One that names more afterwards takes nothing back.
func TestClient_ServerSendsGoAwayTwice_TheLowerCounts(t *testing.T) {
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		calls := openCalls(t, ct, p, 4)
		p.WriteGoAway(1<<31-1, http2.ErrCodeNo, "soon")
		<-ct.Draining()
		for _, c := range calls {
			if !c.pending() {
				t.Fatal("the first step ended a call")
			}
		}
		p.WriteGoAway(5, http2.ErrCodeNo, "now")
		wantUnprocessed(t, calls[3], CodeNoError)
		p.WriteGoAway(1, http2.ErrCodeEnhanceYourCalm, "at once")
		wantUnprocessed(t, calls[1], CodeEnhanceYourCalm)
		wantUnprocessed(t, calls[2], CodeEnhanceYourCalm)
		p.WriteGoAway(7, http2.ErrCodeNo, "")
		if !calls[0].pending() {
			t.Fatal("a call below the last stream ended")
		}
		p.WriteTrailersOnly(5, codes.OK, "") // an answer for a call that has ended
		p.WriteResponse(1, []byte("one"))
		p.WriteTrailers(1, codes.OK, "")
		calls[0].want(t, "one")
		p.WantGoAway("the client's last word", http2.ErrCodeNo)
		p.WantClosed("the last stream is over")
		<-ct.Done()
	})
}

// A GOAWAY that names stream 0: nothing was processed, nothing is left to wait
// for, and the error says what the server said.
func TestClient_GoAwayOfStreamZero_EndsAll(t *testing.T) {
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		calls := openCalls(t, ct, p, 2)
		p.WriteGoAway(0, http2.ErrCodeEnhanceYourCalm, "too_many_pings")
		for _, c := range calls {
			wantUnprocessed(t, c, CodeEnhanceYourCalm)
			if !strings.Contains(c.err.Error(), `GOAWAY ENHANCE_YOUR_CALM "too_many_pings"`) {
				t.Errorf("the call says %v", c.err)
			}
		}
		p.WantGoAway("the client's last word", http2.ErrCodeNo)
		p.WantClosed("nothing is left to wait for")
		<-ct.Done()
		if err := ct.Err(); !strings.Contains(err.Error(), "too_many_pings") {
			t.Errorf("the connection says %v", err)
		}
	})
}

// Row A14: a client drains before its stream ids run out. Calls that are open
// finish, new ones go elsewhere, and the highest id is one that HTTP/2 has.
func TestClient_StreamIDsRunOut_Drains(t *testing.T) {
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		c := ct.(*http2Client)
		c.mu.Lock()
		c.nextID = lastClientID - 3
		first := c.nextID
		c.mu.Unlock()
		one := roundTrip(t.Context(), ct, "x")
		p.WantHeaders("a call", first)
		p.WantMessage("its message", first)
		select {
		case <-ct.Draining():
			t.Fatal("an id is left")
		default:
		}
		two := roundTrip(t.Context(), ct, "x")
		p.WantHeaders("the last call", first+2)
		p.WantMessage("its message", first+2)
		<-ct.Draining()
		err := roundTrip(t.Context(), ct, "x").wantError(t, codes.Unavailable)
		if se := wantStreamError(t, err, CodeRefusedStream, ByLocal); !se.Unprocessed || !strings.Contains(err.Error(), "stream ids") {
			t.Errorf("a call too many gave %v, Unprocessed %v", err, se.Unprocessed)
		}
		for i, call := range []*asyncCall{one, two} {
			p.WriteResponse(first+2*uint32(i), []byte("answer"))
			p.WriteTrailers(first+2*uint32(i), codes.OK, "")
			call.want(t, "answer")
		}
		p.WantGoAway("the last word", http2.ErrCodeNo)
		p.WantClosed("the last stream is over")
		<-ct.Done()
	})
}

// https://www.rfc-editor.org/rfc/rfc9113#section-6.8
// Row C8: a client's GOAWAY names the last stream that the server has opened. There is
// none: it is 0, whatever the client has opened itself.
func TestClient_GoAway_NamesStreamZero(t *testing.T) {
	for name, end := range map[string]func(ct ClientTransport, p *h2peer.Peer){
		"Close":         func(ct ClientTransport, _ *h2peer.Peer) { ct.Close("enough") },
		"GracefulClose": func(ct ClientTransport, p *h2peer.Peer) { ct.GracefulClose(); p.WriteTrailersOnly(1, codes.OK, "") },
		"a fault":       func(_ ClientTransport, p *h2peer.Peer) { p.WriteFrame(http2.FramePing, 0, 0, []byte{1}) },
	} {
		t.Run(name, func(t *testing.T) {
			inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
				calls := openCalls(t, ct, p, 1)
				end(ct, p)
				code := http2.ErrCodeNo
				if name == "a fault" {
					code = http2.ErrCodeFrameSize
				}
				if g := p.WantGoAway("the client says so", code); g.LastStreamID != 0 {
					t.Errorf("it names stream %d", g.LastStreamID)
				}
				p.Close()
				<-calls[0].done
			})
		})
	}
}

// Row A93: Close says GOAWAY, and does not wait for a server that reads nothing.
func TestClientClose_ServerDoesNotRead_IsBounded(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Link{})
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
		ct := <-made
		p.WriteWindowUpdate(0, 1<<20)
		cs := openStream(t.Context(), t, ct, p, 1)
		server.stop()
		sent := async(func() error {
			for {
				if err := cs.Send(octets(60000)); err != nil {
					return err
				}
			}
		})
		wantPending(t, "Send", sent)
		began := time.Now()
		ct.Close("enough")
		if took := time.Since(began); took > lastWordsTimeout {
			t.Errorf("Close took %v", took)
		}
		<-sent
		_, err := cs.Recv()
		wantLost(t, "Recv", err, "enough", false)
		server.resume()
		p.Close()
	})
}

// Row A84: a client's connection is open, drains, and is closed; nothing leads
// back, whoever begins and however often.
func TestClient_Lifetime_OnlyRises(t *testing.T) {
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		c := ct.(*http2Client)
		want := func(when string, want lifetime) {
			t.Helper()
			synctest.Wait()
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.life != want {
				t.Errorf("%s: the lifetime is %d, want %d", when, c.life, want)
			}
		}
		calls := openCalls(t, ct, p, 1)
		want("a call is open", lifeOpen)
		ct.GracefulClose()
		want("GracefulClose", lifeDraining)
		p.WriteGoAway(1<<31-1, http2.ErrCodeNo, "")
		ct.GracefulClose()
		p.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1000})
		p.WantSettingsAck("the connection lives")
		want("everything at once", lifeDraining)
		p.WriteResponse(1, []byte("one"))
		p.WriteTrailers(1, codes.OK, "")
		calls[0].want(t, "one")
		want("the last call is over", lifeClosed)
		ct.GracefulClose()
		ct.Close("again")
		p.WriteSettings()
		want("said again", lifeClosed)
		p.WantGoAway("one last word", http2.ErrCodeNo)
		p.WantClosed("and the end")
	})
}

// A connection that has ended takes no more streams, and says so at once: who
// tries again for as long as nothing is sent must not find it again.
func TestClient_ConnectionEnds_IsDrainingAtOnce(t *testing.T) {
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, _ *h2peer.Peer) {
		c := &ct.(*http2Client).conn
		c.mu.Lock()
		c.failLocked(&ConnError{By: ByNetwork, Reason: "gone"})
		select {
		case <-ct.Draining():
		default:
			t.Error("streams are refused, and Draining is not closed")
		}
		c.mu.Unlock()
	})
}

// What is to be done after draining is done once, whether the connection drains
// before or after it is said.
func TestClient_AfterDraining(t *testing.T) {
	for _, late := range []bool{false, true} {
		inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
			called := make(chan error, 2)
			leave := func() { <-ct.Draining(); called <- ct.Err() }
			call := roundTrip(t.Context(), ct, "x")
			p.WantHeaders("a call", 1)
			p.WantMessage("its message", 1)
			if !late {
				ct.AfterDraining(leave)
			}
			synctest.Wait()
			if len(called) > 0 {
				t.Fatal("nothing drains yet")
			}
			ct.GracefulClose()
			if late {
				ct.AfterDraining(leave)
			}
			synctest.Wait()
			if len(called) != 1 {
				t.Fatalf("late %v: called %d times", late, len(called))
			}
			if err := <-called; err != nil {
				t.Errorf("late %v: called at the end of the connection: %v", late, err)
			}
			p.WriteResponse(1, []byte("answer"))
			p.WriteTrailers(1, codes.OK, "")
			call.want(t, "answer")
			<-ct.Done()
			if synctest.Wait(); len(called) > 0 {
				t.Errorf("late %v: called once more at the end", late)
			}
		})
	}
}

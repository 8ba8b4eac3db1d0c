package transport

import (
	"errors"
	"testing"
	"time"

	"github.com/weir-rpc/weir/internal/h2peer"
	"github.com/weir-rpc/weir/internal/simnet"
	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
)

// successor is the owner of a connection, who says when it is replaced.
type successor struct {
	why    chan string
	answer chan bool
}

func succeed(ct ClientTransport) *successor {
	s := &successor{make(chan string, 1), make(chan bool, 1)}
	ct.(Replaceable).BeforeDraining(func(why string) bool {
		s.why <- why
		return <-s.answer
	})
	return s
}

func drains(ct ClientTransport) bool {
	select {
	case <-ct.Draining():
		return true
	default:
		return false
	}
}

var farewell = [8]byte{'f', 'a', 'r', 'e', 'w', 'e', 'l', 'l'}

// inGoAway runs f with a connection that has a call open, whose server has sent the
// first GOAWAY of two with the PING behind it.
func inGoAway(t *testing.T, f func(t *testing.T, ct ClientTransport, p *h2peer.Peer, s *successor)) {
	t.Helper()
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		s := succeed(ct)
		openCalls(t, ct, p, 1)
		p.WriteGoAway(1<<31-1, http2.ErrCodeNo, "max_age")
		p.WritePing(farewell)
		if why := <-s.why; why != `the server sent GOAWAY NO_ERROR "max_age"` {
			t.Errorf("the owner is told %q", why)
		}
		p.WantIdle("the PING waits")
		f(t, ct, p, s)
	})
}

// While a connection is being replaced it takes calls, and its server is told that
// there will be no more behind the last of them.
func TestNotice_Replaced_AcknowledgesBehindTheLastCall(t *testing.T) {
	inGoAway(t, func(t *testing.T, ct ClientTransport, p *h2peer.Peer, s *successor) {
		call := roundTrip(t.Context(), ct, "x")
		p.WantHeaders("a call more", 3)
		p.WantMessage("its message", 3)
		p.WritePing([8]byte{'o', 't', 'h', 'e', 'r'})
		p.WantPingAck("any other PING is answered", [8]byte{'o', 't', 'h', 'e', 'r'})
		if drains(ct) {
			t.Fatal("the connection drains")
		}
		s.answer <- true
		p.WantPingAck("the client knows", farewell)
		if !drains(ct) {
			t.Error("the connection takes calls still")
		}
		p.WriteGoAway(3, http2.ErrCodeNo, "max_age")
		p.WriteResponse(3, []byte("answer"))
		p.WriteTrailers(3, codes.OK, "")
		call.want(t, "answer")
	})
}

// One that cannot be replaced drains at once.
func TestNotice_NotReplaced_Drains(t *testing.T) {
	inGoAway(t, func(t *testing.T, ct ClientTransport, p *h2peer.Peer, s *successor) {
		s.answer <- false
		p.WantPingAck("the client knows", farewell)
		err := roundTrip(t.Context(), ct, "x").wantError(t, codes.Unavailable)
		if se := wantStreamError(t, err, CodeRefusedStream, ByLocal); !se.Unprocessed || !se.Unsent {
			t.Errorf("a call too many gave %v", err)
		}
		wantWords(t, err, "draining", "max_age")
	})
}

// The owner has two seconds, for the server waits no longer than a few.
func TestNotice_NoAnswer_DrainsAfterHoldGoAway(t *testing.T) {
	inGoAway(t, func(t *testing.T, ct ClientTransport, p *h2peer.Peer, s *successor) {
		start := time.Now()
		<-ct.Draining()
		if d := time.Since(start); d != holdGoAway {
			t.Errorf("it drains after %v", d)
		}
		p.WantPingAck("the client knows", farewell)
		s.answer <- true // too late, and no matter
	})
}

// A server that does not wait for the acknowledgement has the last word, and the
// end of the connection needs none.
func TestNotice_ServerGoesOn_Drains(t *testing.T) {
	for name, end := range map[string]func(p *h2peer.Peer){
		"the second GOAWAY": func(p *h2peer.Peer) {
			p.WriteGoAway(1, http2.ErrCodeNo, "max_age")
			p.WantPingAck("the client knows", farewell)
		},
		"the first once more": func(p *h2peer.Peer) {
			p.WriteGoAway(1<<31-1, http2.ErrCodeNo, "max_age")
			p.WantPingAck("the client knows", farewell)
		},
		"the end": func(p *h2peer.Peer) { p.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			inGoAway(t, func(t *testing.T, ct ClientTransport, p *h2peer.Peer, s *successor) {
				end(p)
				<-ct.Draining()
				s.answer <- false
			})
		})
	}
}

// What is no notice: the connection drains at the first word, and the PING is
// answered.
func TestNotice_NoneForOtherEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		last  uint32
		code  http2.ErrCode
		debug string
		wait  time.Duration // after the latest call, which has ended; none if zero
		alone bool          // nobody owns the connection
	}{
		"in one step":      {1, http2.ErrCodeNo, "", 0, false},
		"too many pings":   {1<<31 - 1, http2.ErrCodeEnhanceYourCalm, "too_many_pings", 0, false},
		"for want of use":  {1<<31 - 1, http2.ErrCodeNo, "max_idle", time.Second, false},
		"without calls":    {1<<31 - 1, http2.ErrCodeNo, "max_age", recentCalls + 1, false},
		"without an owner": {1<<31 - 1, http2.ErrCodeNo, "max_age", 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
				var s *successor
				if !tt.alone {
					s = succeed(ct)
				}
				calls := openCalls(t, ct, p, 1)
				if tt.wait > 0 {
					p.WriteResponse(1, []byte("a"))
					p.WriteTrailers(1, codes.OK, "")
					calls[0].want(t, "a")
					simnet.Advance(tt.wait)
				}
				p.WriteGoAway(tt.last, tt.code, tt.debug)
				if tt.wait == 0 {
					p.WritePing(farewell)
					p.WantPingAck("the client knows", farewell)
				}
				<-ct.Draining()
				if s != nil && len(s.why) > 0 {
					t.Errorf("the owner is to replace it: %s", <-s.why)
				}
			})
		})
	}
}

// Row A14: a connection is replaced before its stream ids run out, and when it is
// not, it goes on until they have.
func TestNotice_StreamIDsRunShort(t *testing.T) {
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		s := succeed(ct)
		c := ct.(*http2Client)
		c.mu.Lock()
		c.nextID = fewIDs + 1
		id := c.nextID
		c.mu.Unlock()
		roundTrip(t.Context(), ct, "x")
		p.WantHeaders("a call", id)
		p.WantMessage("its message", id)
		wantWords(t, errors.New(<-s.why), "stream ids")
		s.answer <- false
		roundTrip(t.Context(), ct, "x")
		p.WantHeaders("the next call", id+2)
		p.WantMessage("its message", id+2)
		if drains(ct) {
			t.Error("the connection drains, and there is no other")
		}
	})
}

// A server that allows no streams any more: who waits for one gets another
// connection.
func TestNotice_NoStreamsAllowed(t *testing.T) {
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		s := succeed(ct)
		openCalls(t, ct, p, 1)
		p.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams})
		p.WantSettingsAck("the server's SETTINGS")
		wantWords(t, errors.New(<-s.why), "MAX_CONCURRENT_STREAMS")
		call := roundTrip(t.Context(), ct, "x")
		p.WantIdle("there is no slot")
		s.answer <- true
		if se := wantStreamError(t, call.wantError(t, codes.Unavailable), CodeRefusedStream, ByLocal); !se.Unsent {
			t.Errorf("the call that waited: %v", se)
		}
	})
}

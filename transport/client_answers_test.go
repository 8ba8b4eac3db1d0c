package transport

import (
	"testing"
	"time"

	"github.com/weir-rpc/weir/internal/h2peer"
	"github.com/weir-rpc/weir/internal/simnet"
	"google.golang.org/grpc/codes"
)

const eighth = time.Second // of the time that a server has in these tests

// inSilence runs f with a connection that has a call open, of which a server has
// taken note.
func inSilence(t *testing.T, patient bool, f func(t *testing.T, ct ClientTransport, p *h2peer.Peer, s *successor, call *asyncCall)) {
	t.Helper()
	inClient(t, ClientConfig{Answers: &AnswerPolicy{Timeout: 8 * eighth, PatientCalls: patient}}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		s := succeed(ct)
		f(t, ct, p, s, openCalls(t, ct, p, 1)[0])
	})
}

// A server that is gone is asked, suspected, left, and its calls fail, in this order
// and in the time that the option says.
func TestAnswers_ServerIsGone(t *testing.T) {
	inSilence(t, false, func(t *testing.T, ct ClientTransport, p *h2peer.Peer, s *successor, call *asyncCall) {
		simnet.Advance(4*eighth - 1)
		p.WantIdle("half of the time is left")
		simnet.Advance(1)
		p.WantPing("is it there?")
		simnet.Advance(2*eighth - 1)
		if len(s.why) > 0 {
			t.Fatal("it is suspected before the PING had its time")
		}
		simnet.Advance(1)
		wantDead(t, &ConnError{By: ByNetwork, Reason: <-s.why}, "6s", "WithAnswerTimeout")
		simnet.Advance(2*eighth - 1)
		if drains(ct) {
			t.Fatal("it is left early")
		}
		simnet.Advance(1)
		if !drains(ct) {
			t.Fatal("it is not left in time")
		}
		s.answer <- false
		if se := wantStreamError(t, roundTrip(t.Context(), ct, "x").wantError(t, codes.Unavailable), CodeRefusedStream, ByLocal); !se.Unsent {
			t.Errorf("a call afterwards: %v", se)
		}
		simnet.Advance(2*eighth - 1)
		if !call.pending() {
			t.Fatalf("the call failed early: %v", call.err)
		}
		simnet.Advance(1)
		wantDead(t, call.wantError(t, codes.Unavailable), "10s", "WithAnswerTimeout, 8s")
		wantDead(t, ct.Err())
	})
}

// Calls that are patient outlive a server's pause: it is left, and they are answered.
func TestAnswers_PatientCalls_WaitOn(t *testing.T) {
	inSilence(t, true, func(t *testing.T, ct ClientTransport, p *h2peer.Peer, s *successor, call *asyncCall) {
		s.answer <- true
		simnet.Advance(time.Hour)
		p.WantPing("is it there?")
		if !drains(ct) || !call.pending() {
			t.Fatalf("drains %v, the call waits %v", drains(ct), call.pending())
		}
		p.WriteResponse(1, []byte("late"))
		p.WriteTrailers(1, codes.OK, "")
		call.want(t, "late")
	})
}

// A call that takes its time on a server that is there is left in peace, and so is
// the server: it is asked once.
func TestAnswers_ServerIsThere(t *testing.T) {
	inSilence(t, false, func(t *testing.T, ct ClientTransport, p *h2peer.Peer, s *successor, call *asyncCall) {
		simnet.Advance(5 * eighth)
		p.WritePingAck(p.WantPing("is it there?"))
		simnet.Advance(time.Hour)
		p.WantIdle("once is enough")
		if drains(ct) || len(s.why) > 0 {
			t.Fatal("it is left")
		}
		p.WriteResponse(1, []byte("after an hour"))
		p.WriteTrailers(1, codes.OK, "")
		call.want(t, "after an hour")
		simnet.Advance(time.Hour)
		p.WantIdle("nobody waits")
		roundTrip(t.Context(), ct, "x")
		p.WantHeaders("another call", 3)
		p.WantMessage("its message", 3)
		simnet.Advance(4 * eighth)
		p.WantPing("is it there still?")
	})
}

// What a connection remembers of looks goes with its calls.
func TestAnswers_NoCalls_NothingIsKept(t *testing.T) {
	inSilence(t, false, func(t *testing.T, ct ClientTransport, p *h2peer.Peer, _ *successor, call *asyncCall) {
		p.WriteResponse(1, []byte("a"))
		p.WriteTrailers(1, codes.OK, "")
		call.want(t, "a")
		simnet.Advance(3 * eighth)
		c := ct.(*http2Client)
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.ending.answers != nil || c.looks {
			t.Error("it looks still")
		}
	})
}

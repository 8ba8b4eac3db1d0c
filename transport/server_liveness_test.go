package transport

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/internal/h2peer"
	"github.com/weir-rpc/weir/internal/simnet"
	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
)

// anyPings takes any number of PING frames.
var anyPings = keepalive.EnforcementPolicy{MinTime: -1, PermitWithoutStream: true}

// Rows A35, A91, B6: a server asks after Time without an octet, with streams
// and without, and gives a client up that does not answer in Timeout.
func TestServerKeepalive_ClientDies_IsFound(t *testing.T) {
	for name, tt := range map[string]struct {
		p             keepalive.ServerParameters
		time, timeout time.Duration
		says          string
	}{
		"by default": {keepalive.ServerParameters{}, 2 * time.Hour, 20 * time.Second, "2h0m0s (Time)"},
		"negative":   {keepalive.ServerParameters{Timeout: -1, MaxConnectionIdle: -1, MaxConnectionAge: -1, MaxConnectionAgeGrace: -1}, 2 * time.Hour, 20 * time.Second, "20s (Timeout)"},
		"Time":       {keepalive.ServerParameters{Time: time.Minute}, time.Minute, 20 * time.Second, "1m0s (Time)"},
		"short Time": {keepalive.ServerParameters{Time: time.Millisecond}, time.Second, 20 * time.Second, "1s (Time)"},
		"Timeout":    {keepalive.ServerParameters{Timeout: 3 * time.Hour}, 2 * time.Hour, 3 * time.Hour, "3h0m0s (Timeout)"},
	} {
		t.Run(name, func(t *testing.T) {
			inServer(t, ServerConfig{Keepalive: tt.p}, func(t *testing.T, ts *testServer) {
				simnet.Advance(tt.time - 1)
				ts.peer.WantIdle("Time is not over")
				simnet.Advance(1)
				ts.peer.WritePingAck(ts.peer.WantPing("Time is over"))
				simnet.Advance(tt.time / 2)
				st, _ := ts.open(1, "/s/Stream")
				simnet.Advance(tt.time)
				ts.peer.WantPing("Time is over again")
				simnet.Advance(tt.timeout - 1)
				if err := ts.sv.Err(); err != nil {
					t.Fatalf("the connection ended early: %v", err)
				}
				simnet.Advance(1)
				wantDead(t, ts.sv.Err(), "client", tt.says, "KeepaliveParams")
				<-st.Context().Done()
				wantDead(t, context.Cause(st.Context()))
			})
		})
	}
	inServer(t, ServerConfig{Keepalive: keepalive.ServerParameters{Time: -1}}, func(_ *testing.T, ts *testServer) {
		simnet.Advance(1000 * time.Hour)
		ts.peer.WantIdle("keepalive is off")
	})
}

// Rows A30, A35: keepalive begins with the peer's SETTINGS, on both sides: it is
// no matter of the handshake, which has other bounds.
func TestKeepalive_Handshake_IsNotWatched(t *testing.T) {
	inBareServer(t, ServerConfig{Keepalive: keepalive.ServerParameters{Time: time.Second}}, func(ts *testServer) {
		ts.peer.WantSettings("the server's preface")
		ts.peer.WantWindowUpdate("its window", 0)
		simnet.Advance(time.Minute)
		ts.peer.WantIdle("the client has said nothing")
		ts.peer.WritePreface()
		ts.peer.WriteSettings()
		ts.peer.WantSettingsAck("the client's SETTINGS")
		ts.peer.WriteSettingsAck()
		simnet.Advance(time.Second)
		ts.peer.WantPing("and from then on Time counts")
	})
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Link{})
		p := h2peer.NewServer(t, b)
		always := lively
		always.PermitWithoutStream = true
		made := async(func() ClientTransport {
			ct, err := NewHTTP2Client(t.Context(), a, ClientConfig{Keepalive: always})
			if err != nil {
				t.Error(err)
			}
			return ct
		})
		simnet.Advance(time.Minute)
		p.Handshake()
		ct := <-made
		simnet.Advance(20*time.Second - 1)
		p.WantIdle("Time counts from the server's SETTINGS")
		simnet.Advance(1)
		p.WantPing("Time is over")
		ct.Close("the test is over")
	})
}

// Rows A16, C10: a client that dies while the connection drains is found in Time and
// Timeout, however long the grace is; grpc-go asks no more then.
func TestServerKeepalive_ClientDiesWhileDraining_IsFound(t *testing.T) {
	p := keepalive.ServerParameters{Time: 20 * time.Second, Timeout: 5 * time.Second}
	old := p
	old.MaxConnectionAge = time.Nanosecond
	for name, tt := range map[string]struct {
		p     keepalive.ServerParameters
		drain func(ts *testServer)
		debug string
	}{
		"Drain":            {p, func(ts *testServer) { ts.sv.Drain("bye") }, "bye"},
		"MaxConnectionAge": {old, func(*testServer) {}, "max_age"},
	} {
		for _, acked := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				inServer(t, ServerConfig{Keepalive: tt.p}, func(t *testing.T, ts *testServer) {
					tt.drain(ts)
					ping := wantFirstGoAway(t, ts.peer, tt.debug)
					st, _ := ts.open(1, "/s/Stream")
					start := time.Now()
					if acked {
						ts.peer.WritePingAck(ping)
						ts.peer.WantGoAway("the second GOAWAY", http2.ErrCodeNo)
						simnet.Advance(20 * time.Second)
					} else {
						simnet.Advance(DefaultDrainTimeout)
						ts.peer.WantGoAway("the second GOAWAY", http2.ErrCodeNo)
						simnet.Advance(20*time.Second - DefaultDrainTimeout)
					}
					ts.peer.WantPing("keepalive goes on")
					<-st.Context().Done()
					wantDead(t, context.Cause(st.Context()))
					if d := time.Since(start); d != 25*time.Second {
						t.Errorf("the client was found dead after %v, want 25s", d)
					}
				})
			})
		}
	}
}

// Rows A71, A91: a connection without streams for MaxConnectionIdle is drained. A
// stream starts the time anew, however short.
func TestMaxConnectionIdle(t *testing.T) {
	cfg := ServerConfig{Keepalive: keepalive.ServerParameters{MaxConnectionIdle: time.Minute}}
	inServer(t, cfg, func(_ *testing.T, ts *testServer) {
		simnet.Advance(time.Minute - 1)
		ts.wantUnharmed(1)
		simnet.Advance(time.Minute - 1)
		ts.wantUnharmed(3)
		st, end := ts.open(5, "/s/Stream")
		simnet.Advance(time.Hour)
		ts.peer.WantIdle("a stream is open")
		ts.peer.AnyOrder()
		st.WriteStatus(nil)
		end()
		ts.peer.WantTrailers("it is over", 5, codes.OK)
		ts.peer.WantReset("its client has not ended it", 5, http2.ErrCodeNo)
		simnet.Advance(time.Minute - 1)
		ts.peer.WantIdle("it is idle for less than a minute")
		simnet.Advance(1)
		ts.peer.WritePingAck(wantFirstGoAway(ts.t, ts.peer, "max_idle"))
		ts.peer.WantGoAway("the second GOAWAY", http2.ErrCodeNo)
		ts.peer.WantGoAway("the last word", http2.ErrCodeNo)
		ts.peer.WantClosed("nothing is left to do")
		ts.wantConnError(CodeNoError, ByLocal)
	})
}

// Rows A91, C16: a connection is drained when it is as old as MaxConnectionAge, give
// or take a tenth by chance.
func TestMaxConnectionAge(t *testing.T) {
	const age = 1000 * time.Second
	ages := map[time.Duration]bool{}
	for range 20 {
		inServer(t, ServerConfig{Keepalive: keepalive.ServerParameters{MaxConnectionAge: age}}, func(t *testing.T, ts *testServer) {
			start := time.Now()
			ts.open(1, "/s/Stream")
			ts.peer.SetLimit(2 * age)
			wantFirstGoAway(t, ts.peer, "max_age")
			d := time.Since(start)
			if d < age*9/10 || d > age*11/10 {
				t.Errorf("drained after %v, want %v give or take a tenth", d, age)
			}
			ages[d] = true
			simnet.Advance(time.Hour)
			ts.peer.WantGoAway("the second GOAWAY", http2.ErrCodeNo)
			ts.peer.WantIdle("the stream may take as long as it likes")
		})
	}
	if len(ages) < 10 {
		t.Errorf("20 connections had %d ages", len(ages))
	}
	for _, tiny := range []time.Duration{1, 9, 10, 19} {
		inServer(t, ServerConfig{Keepalive: keepalive.ServerParameters{MaxConnectionAge: tiny, MaxConnectionAgeGrace: 1}}, func(t *testing.T, ts *testServer) {
			ts.peer.WritePingAck(wantFirstGoAway(t, ts.peer, "max_age"))
			ts.peer.WantGoAway("the second GOAWAY", http2.ErrCodeNo)
			ts.peer.WantGoAway("the last word", http2.ErrCodeNo)
			ts.peer.WantClosed("nothing is left to do")
		})
	}
}

// Rows A91, C16: MaxConnectionAgeGrace counts from the GOAWAY that says which streams
// finish, also if the client sent its own before; then the streams that are left end.
func TestMaxConnectionAgeGrace(t *testing.T) {
	p := keepalive.ServerParameters{MaxConnectionAge: 1, MaxConnectionAgeGrace: 30 * time.Second}
	inServer(t, ServerConfig{Keepalive: p}, func(t *testing.T, ts *testServer) {
		wantFirstGoAway(t, ts.peer, "max_age")
		st, _ := ts.open(1, "/s/Stream")
		simnet.Advance(DefaultDrainTimeout)
		ts.peer.WantGoAway("the second GOAWAY", http2.ErrCodeNo)
		simnet.Advance(30*time.Second - 1)
		ts.peer.WantIdle("the grace is not over")
		simnet.Advance(1)
		if g := ts.peer.WantGoAway("the grace is over", http2.ErrCodeNo); !strings.Contains(g.Debug, "max_age") || !strings.Contains(g.Debug, "30s") {
			t.Errorf("the last GOAWAY says %q", g.Debug)
		}
		ts.peer.WantClosed("at once")
		<-st.Context().Done()
		if err := context.Cause(st.Context()); !strings.Contains(err.Error(), "MaxConnectionAgeGrace") || !strings.Contains(err.Error(), "KeepaliveParams") {
			t.Errorf("the stream ended with %v", err)
		}
	})
	p.MaxConnectionAge = time.Minute
	inServer(t, ServerConfig{Keepalive: p}, func(t *testing.T, ts *testServer) {
		st, _ := ts.open(1, "/s/Stream")
		start := time.Now()
		ts.peer.WriteGoAway(0, http2.ErrCodeNo, "")
		<-st.Context().Done()
		if d := time.Since(start) - DefaultDrainTimeout; d < 84*time.Second || d > 96*time.Second {
			t.Errorf("the stream of a client that sent GOAWAY ended after %v, want age and grace", d)
		}
	})
}

// pings are sent each after a pause, until one is too many; 0 for none is.
func pings(t *testing.T, policy keepalive.EnforcementPolicy, streams int, tooMany int, pauses ...time.Duration) {
	t.Helper()
	inServer(t, ServerConfig{KeepaliveEnforcement: policy, Keepalive: keepalive.ServerParameters{Time: -1}}, func(t *testing.T, ts *testServer) {
		for i := range streams {
			ts.open(uint32(2*i+1), "/s/Stream")
		}
		for i, pause := range pauses {
			simnet.Advance(pause)
			data := [8]byte{byte(i)}
			ts.peer.WritePing(data)
			if i+1 != tooMany {
				ts.peer.WantPingAck("the server answers", data)
				continue
			}
			ts.peer.AnyOrder()
			ts.peer.Ignore(http2.FramePing)
			if g := ts.peer.WantGoAway("this is one too many", http2.ErrCodeEnhanceYourCalm); g.Debug != "too_many_pings" {
				t.Errorf("GOAWAY says %q", g.Debug)
			}
			ts.peer.Close() // the server waits for that, a second at most
			err := <-ts.result
			ts.result <- err
			wantConnError(t, err, CodeEnhanceYourCalm, ByLocal)
			if !strings.Contains(err.Error(), "KeepaliveEnforcementPolicy") || !errors.Is(err, errTooManyPings) {
				t.Errorf("the connection ended with %v", err)
			}
			return
		}
		if err := ts.sv.Err(); err != nil || tooMany > 0 {
			t.Errorf("PING %d was not one too many: %v", tooMany, err)
		}
	})
}

// Row A91: of the PING frames that come too early two are borne, and the third
// ends the connection, with each parameter of the policy.
func TestEnforcement_ThirdEarlyPing_EndsTheConnection(t *testing.T) {
	const m, h = time.Minute, time.Hour
	for name, tt := range map[string]struct {
		policy  keepalive.EnforcementPolicy
		streams int
		tooMany int
		pauses  []time.Duration
	}{
		"at once":                      {keepalive.EnforcementPolicy{}, 1, 4, []time.Duration{0, 0, 0, 0}},
		"5 min by default":             {keepalive.EnforcementPolicy{}, 1, 0, []time.Duration{m, 5 * m, 5 * m, 5 * m, 5 * m}},
		"less than 5 min":              {keepalive.EnforcementPolicy{}, 1, 6, []time.Duration{m, 5*m - 1, 1, 5*m - 1, 1, 5*m - 1}},
		"without streams":              {keepalive.EnforcementPolicy{}, 0, 4, []time.Duration{0, 30 * m, 30 * m, 30 * m}},
		"2 h without streams":          {keepalive.EnforcementPolicy{}, 0, 0, []time.Duration{0, 2 * h, 2 * h, 2 * h, 2 * h}},
		"MinTime":                      {keepalive.EnforcementPolicy{MinTime: m}, 2, 0, []time.Duration{m, m, m, m, m}},
		"less than MinTime":            {keepalive.EnforcementPolicy{MinTime: h}, 2, 4, []time.Duration{0, h / 4, h / 4, h / 4}},
		"MinTime without streams":      {keepalive.EnforcementPolicy{MinTime: m}, 0, 4, []time.Duration{m, m, m, m}},
		"PermitWithoutStream":          {keepalive.EnforcementPolicy{MinTime: m, PermitWithoutStream: true}, 0, 0, []time.Duration{m, m, m, m, m}},
		"PermitWithoutStream, early":   {keepalive.EnforcementPolicy{PermitWithoutStream: true}, 0, 4, []time.Duration{0, m, m, m}},
		"negative MinTime":             {keepalive.EnforcementPolicy{MinTime: -1}, 1, 0, []time.Duration{0, 0, 0, 0, 0}},
		"negative MinTime, no streams": {keepalive.EnforcementPolicy{MinTime: -1}, 0, 4, []time.Duration{0, 0, 0, 0}},
	} {
		t.Run(name, func(t *testing.T) { pings(t, tt.policy, tt.streams, tt.tooMany, tt.pauses...) })
	}
}

// Row A91: HEADERS and DATA of the server forgive; its other frames and what
// the client sends do not.
func TestEnforcement_HeadersAndData_Forgive(t *testing.T) {
	inServer(t, ServerConfig{}, func(_ *testing.T, ts *testServer) {
		ping := func(n int) {
			for range n {
				ts.peer.WritePing([8]byte{1})
				ts.peer.WantPingAck("it is no abuse", [8]byte{1})
			}
		}
		st, _ := ts.open(1, "/s/Stream")
		ping(3)
		if err := st.SendHeader(nil); err != nil {
			ts.t.Error(err)
		}
		ts.peer.WantHeaders("the server sends HEADERS", 1)
		ping(3)
		if err := st.Send(text("hello")); err != nil {
			ts.t.Error(err)
		}
		ts.peer.WantMessage("the server sends DATA", 1)
		ping(3)
		ts.wantUnharmed(3)
		ping(3)
		for range 3 {
			ts.peer.WriteSettings()
			ts.peer.WantSettingsAck("other frames come and go")
		}
		ts.peer.WritePingAck([8]byte{1}) // is none of the client's
		ts.peer.WriteMessage(1, false, []byte("the client's DATA"))
		ts.peer.Ignore(http2.FramePing) // it may be acknowledged before
		ts.peer.WritePing([8]byte{1})
		ts.peer.AnyOrder()
		ts.peer.WantGoAway("it is one too many", http2.ErrCodeEnhanceYourCalm)
	})
}

// A client whose answers still wait for the socket learns of the link what it
// can: PING frames between what it reads are no strikes.
func TestEnforcement_OutputWaits_Forgives(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		ts.peer.WriteWindowUpdate(0, 1<<20)
		ts.peer.Ignore(http2.FrameData, http2.FrameHeaders, http2.FramePing)
		st, end := ts.open(1, "/s/Stream")
		defer end()
		jam(t, ts, st)
		for i := range byte(10) {
			ts.peer.WritePing([8]byte{i})
			simnet.Advance(time.Second)
		}
		if err := ts.sv.Err(); err != nil {
			t.Errorf("the connection ended: %v", err)
		}
	}, window(1<<20))
}

// What the client provokes and does not read does not forgive.
func TestEnforcement_AcksWait_DoNotForgive(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Link{Buffer: 256})
		client := &laggard{Conn: a.(*simnet.Conn)}
		p := h2peer.NewClient(t, client)
		result := async(func() error {
			sv, err := NewServerTransport(b, ServerConfig{})
			if err != nil {
				return err
			}
			return sv.HandleStreams(t.Context(), func(ServerStream) {})
		})
		p.Handshake()
		client.stop()
		p.Batch(func() {
			for range 50 {
				p.WriteSettings()
			}
		})
		for i := range byte(4) { // the acknowledgements are still being written
			wantPending(t, "HandleStreams", result)
			p.WritePing([8]byte{i})
			simnet.Advance(time.Second)
		}
		wantConnError(t, <-result, CodeEnhanceYourCalm, ByLocal)
	})
}

// A client takes any number of PING frames.
func TestEnforcement_Client_TakesAny(t *testing.T) {
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		for i := range byte(20) {
			p.WritePing([8]byte{i})
			p.WantPingAck("the client answers", [8]byte{i})
		}
		if err := ct.Err(); err != nil {
			t.Error(err)
		}
	})
}

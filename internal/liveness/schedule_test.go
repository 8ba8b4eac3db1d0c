package liveness

import (
	"testing"
	"time"

	"google.golang.org/grpc/keepalive"
)

// streams tells s of n streams at d and checks whether Next is to be asked.
func streams(t *testing.T, s *Schedule, d time.Duration, n int, ask bool) {
	t.Helper()
	if got := s.Streams(n, at(d)); got != ask {
		t.Errorf("after %v, %d streams: ask Next is %v", d, n, got)
	}
}

// Row A90: one timer a connection is enough: calls that come and go do not set it, and a call after a long time does once.
func TestScheduleOneTimerForCalls(t *testing.T) {
	s := NewClient(keepalive.ClientParameters{Time: minute}, 0, epoch)
	want(t, &s, 0, ActionNone, Never)
	streams(t, &s, sec, 1, true) // the first
	want(t, &s, sec, ActionNone, 59*sec)
	for d := 2 * sec; d < minute; d += sec {
		streams(t, &s, d, 0, false)
		s.Activity(at(d))
		streams(t, &s, d, 1, false)
		streams(t, &s, d, 2, false)
		streams(t, &s, d, 1, false)
	}
	want(t, &s, minute, ActionNone, 59*sec)
	streams(t, &s, minute, 0, false)
	want(t, &s, 119*sec, ActionNone, Never) // dormant
	streams(t, &s, time.Hour, 1, true)      // and woken
	want(t, &s, time.Hour, ActionPing, 20*sec)
	streams(t, &s, time.Hour+sec, 0, false)
	streams(t, &s, time.Hour+2*sec, 1, false)
	want(t, &s, time.Hour+20*sec, ActionCloseDead, Never)
	streams(t, &s, time.Hour+21*sec, 0, false)
	streams(t, &s, time.Hour+21*sec, 1, false)
	want(t, &s, time.Hour+21*sec, ActionNone, Never)
}

// Row A16: a connection that drains is watched like any other, until its last stream is gone.
// Row C10: keepalive does not stop when a connection drains.
func TestScheduleKeepaliveWhileDraining(t *testing.T) {
	c := NewClient(keepalive.ClientParameters{Time: minute}, 0, epoch)
	streams(t, &c, 0, 1, true)
	want(t, &c, 0, ActionNone, minute)
	if c.GoAwaySent(true, at(sec)) {
		t.Error("GOAWAY makes a client ask Next")
	}
	want(t, &c, minute, ActionPing, 20*sec)
	want(t, &c, 80*sec, ActionCloseDead, Never)

	s := NewServer(keepalive.ServerParameters{Time: minute, MaxConnectionAge: 30 * sec}, keepalive.EnforcementPolicy{}, 0.5, epoch)
	want(t, &s, 0, ActionNone, 30*sec)
	streams(t, &s, sec, 1, false)
	want(t, &s, 30*sec, ActionDrainAge, 30*sec)
	s.GoAwaySent(false, at(30*sec))
	s.GoAwaySent(true, at(31*sec))
	want(t, &s, minute, ActionPing, 20*sec)
	want(t, &s, 80*sec, ActionCloseDead, Never)
}

// Row A35: a server's keepalive, idleness, age and grace share one timer, and each is told when it is due.
func TestScheduleOfServer(t *testing.T) {
	p := keepalive.ServerParameters{
		Time: 70 * sec, Timeout: 5 * sec, MaxConnectionIdle: 40 * sec,
		MaxConnectionAge: 100 * sec, MaxConnectionAgeGrace: 30 * sec,
	}
	s := NewServer(p, keepalive.EnforcementPolicy{}, 0.5, epoch)
	want(t, &s, 0, ActionNone, 40*sec)
	streams(t, &s, 10*sec, 1, false)
	want(t, &s, 40*sec, ActionNone, 30*sec)
	want(t, &s, 70*sec, ActionPing, 5*sec)
	s.Activity(at(71 * sec))
	want(t, &s, 75*sec, ActionNone, 25*sec)
	want(t, &s, 100*sec, ActionDrainAge, 41*sec)
	if s.GoAwaySent(false, at(100*sec)) || !s.GoAwaySent(true, at(101*sec)) {
		t.Error("the last GOAWAY, not the first, starts the grace")
	}
	want(t, &s, 101*sec, ActionNone, 30*sec)
	s.Activity(at(130 * sec))
	want(t, &s, 131*sec, ActionCloseGrace, Never)
	want(t, &s, time.Hour, ActionNone, Never)
	if s.GoAwaySent(true, at(time.Hour)) || s.Streams(0, at(time.Hour)) {
		t.Error("it wants to be asked after its end")
	}
}

func TestScheduleIdleWakes(t *testing.T) {
	s := NewServer(keepalive.ServerParameters{Time: -1, MaxConnectionIdle: minute}, keepalive.EnforcementPolicy{}, 0.5, epoch)
	if !s.CountsIdle() || s.Off() {
		t.Error("MaxConnectionIdle is not seen")
	}
	want(t, &s, 0, ActionNone, minute)
	streams(t, &s, sec, 1, false)
	streams(t, &s, 2*sec, 0, false) // the timer fires before that is due
	streams(t, &s, 3*sec, 1, false)
	want(t, &s, minute, ActionNone, Never)
	streams(t, &s, 2*minute, 0, true)
	want(t, &s, 2*minute, ActionNone, minute)
	want(t, &s, 3*minute, ActionDrainIdle, Never)
}

// Who asks late gets the gravest first, and the rest at once.
func TestScheduleAskedLate(t *testing.T) {
	p := keepalive.ServerParameters{Time: 10 * sec, Timeout: 5 * sec, MaxConnectionIdle: 20 * sec, MaxConnectionAge: 30 * sec}
	s := NewServer(p, keepalive.EnforcementPolicy{}, 0.5, epoch)
	want(t, &s, time.Hour, ActionDrainAge, 0)
	want(t, &s, time.Hour, ActionPing, 5*sec)
	want(t, &s, 2*time.Hour, ActionCloseDead, Never)

	s = NewServer(p, keepalive.EnforcementPolicy{}, 0.5, epoch)
	want(t, &s, 10*sec, ActionPing, 5*sec)
	want(t, &s, time.Hour, ActionCloseDead, Never) // and no drain
	want(t, &s, time.Hour, ActionNone, Never)
}

func TestScheduleOff(t *testing.T) {
	tests := []struct {
		name string
		s    Schedule
		off  bool
	}{
		{"zero value", Schedule{}, true},
		{"client by default", NewClient(keepalive.ClientParameters{}, 0, epoch), true},
		{"client with a Time", NewClient(keepalive.ClientParameters{Time: minute}, 0, epoch), false},
		{"server by default", NewServer(keepalive.ServerParameters{}, keepalive.EnforcementPolicy{}, 0.5, epoch), false},
		{"server without", NewServer(keepalive.ServerParameters{Time: -1, MaxConnectionAgeGrace: sec}, keepalive.EnforcementPolicy{}, 0.5, epoch), true},
		{"server with an age", NewServer(keepalive.ServerParameters{Time: -1, MaxConnectionAge: sec}, keepalive.EnforcementPolicy{}, 0.5, epoch), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.s.Off() != tt.off || tt.s.CountsIdle() {
				t.Fatalf("off %v, counts idle %v; want %v, false", tt.s.Off(), tt.s.CountsIdle(), tt.off)
			}
			if !tt.off {
				return
			}
			streams(t, &tt.s, sec, 1, false)
			want(t, &tt.s, time.Hour, ActionNone, Never)
			streams(t, &tt.s, time.Hour, 0, false)
			if tt.s.GoAwaySent(true, at(time.Hour)) {
				t.Error("it wants to be asked")
			}
			want(t, &tt.s, 1000*time.Hour, ActionNone, Never)
		})
	}
}

// Row A91: only a server counts PING frames, by the streams that it has, and acknowledgements never.
func TestSchedulePings(t *testing.T) {
	server := NewServer(keepalive.ServerParameters{}, keepalive.EnforcementPolicy{MinTime: minute}, 0.5, epoch)
	client := NewClient(keepalive.ClientParameters{Time: minute}, 0, epoch)
	ping := func(d time.Duration, want bool) {
		t.Helper()
		for range 10 {
			if server.PingReceived(true, at(d)) || client.PingReceived(false, at(d)) {
				t.Fatalf("after %v: an acknowledgement, or a server's PING, is too many", d)
			}
		}
		if got := server.PingReceived(false, at(d)); got != want {
			t.Errorf("after %v: too many is %v", d, got)
		}
	}
	server.Streams(1, epoch)
	ping(0, false)
	ping(minute, false)
	server.Streams(0, at(minute))
	ping(2*minute, false) // strikes, for there is no stream
	ping(3*minute, false)
	server.Streams(1, at(3*minute))
	server.Sent()
	server.Streams(0, at(3*minute))
	ping(3*minute, false)
	ping(4*minute, false)
	ping(5*minute, false)
	ping(6*minute, true)
}

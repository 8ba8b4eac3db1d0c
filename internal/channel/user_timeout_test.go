package channel

import (
	"testing"
	"time"

	"google.golang.org/grpc/keepalive"
)

// Row B4: the user timeout is keepalive's Timeout, and 20 s where that is not
// set or keepalive is off.
func TestUserTimeoutIsKeepalivesTimeout(t *testing.T) {
	const s = time.Second
	for _, tt := range []struct {
		time, timeout  time.Duration
		client, server time.Duration
	}{
		{0, 0, 20 * s, 20 * s},
		{0, 7 * s, 20 * s, 7 * s}, // a client's keepalive is off then, a server's Time is 2 h
		{-1, 7 * s, 20 * s, 20 * s},
		{60 * s, 0, 20 * s, 20 * s},
		{60 * s, -1, 20 * s, 20 * s},
		{60 * s, 7 * s, 7 * s, 7 * s},
	} {
		if d := ClientUserTimeout(keepalive.ClientParameters{Time: tt.time, Timeout: tt.timeout}); d != tt.client {
			t.Errorf("a client's of Time %v and Timeout %v is %v, want %v", tt.time, tt.timeout, d, tt.client)
		}
		if d := ServerUserTimeout(keepalive.ServerParameters{Time: tt.time, Timeout: tt.timeout}); d != tt.server {
			t.Errorf("a server's of Time %v and Timeout %v is %v, want %v", tt.time, tt.timeout, d, tt.server)
		}
	}
}

// Row B4: TCP's own probes, of which Linux does not count those that are lost
// when there is a user timeout, end no connection before three are lost.
func TestProbesCanBeLost(t *testing.T) {
	for user := time.Millisecond; user < 10*time.Minute; user += 100 * time.Millisecond {
		p := probes(user)
		if !p.Enable {
			if user >= 5*time.Second {
				t.Errorf("no probes with %v", user)
			}
			continue
		}
		// The kernel looks when a probe is due: it ends the connection if nothing
		// has come for the user timeout.
		sent := 0
		for now := p.Idle; now < user; now += p.Interval {
			sent++
		}
		if sent < 3 || p.Idle > 15*time.Second || p.Idle%time.Second+p.Interval%time.Second != 0 {
			t.Fatalf("with %v: %d probes, idle %v, interval %v", user, sent, p.Idle, p.Interval)
		}
	}
}

package liveness

import (
	"testing"
	"time"

	"google.golang.org/grpc/keepalive"
)

// client is keepalive with a stream, unless it is changed.
func client(after, timeout time.Duration) *Keepalive {
	k := NewClientKeepalive(keepalive.ClientParameters{Time: after, Timeout: timeout}, -1, epoch)
	k.Streams(1)
	return &k
}

// Row A86: a PING that nobody answers ends the connection when Timeout is over, and is not followed by another.
func TestKeepaliveFindsDeadPeer(t *testing.T) {
	k := client(60*sec, 20*sec)
	want(t, k, 0, ActionNone, 60*sec)
	want(t, k, 59*sec, ActionNone, sec)
	want(t, k, 60*sec, ActionPing, 20*sec)
	want(t, k, 60*sec, ActionNone, 20*sec)
	want(t, k, 79*sec, ActionNone, sec)
	want(t, k, 80*sec, ActionCloseDead, Never)
	want(t, k, time.Hour, ActionNone, Never)
}

// Row A87: Time counts from the latest octet read, to the nanosecond, and not from the last look at a flag.
func TestKeepaliveCountsFromLastOctet(t *testing.T) {
	k := client(60*sec, 20*sec)
	k.Activity(at(1))
	k.Activity(at(59 * sec))
	k.Activity(at(30 * sec)) // told late: the latest counts
	want(t, k, 60*sec, ActionNone, 59*sec)
	want(t, k, 119*sec-1, ActionNone, 1)
	want(t, k, 119*sec, ActionPing, 20*sec)
}

func TestKeepaliveAnswer(t *testing.T) {
	tests := []struct {
		name string
		read time.Duration
		ok   bool
	}{
		{"before the PING", 9 * sec, false},
		{"in the instant of the PING", 69 * sec, true},
		{"at once", 69*sec + 1, true},
		{"in the last instant", 89*sec - 1, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := client(60*sec, 20*sec)
			k.Activity(at(9 * sec))
			want(t, k, 69*sec, ActionPing, 20*sec)
			k.Activity(at(tt.read))
			if !tt.ok {
				want(t, k, 89*sec, ActionCloseDead, Never)
				return
			}
			want(t, k, 89*sec, ActionNone, tt.read+60*sec-89*sec)
			want(t, k, tt.read+60*sec, ActionPing, 20*sec)
		})
	}
}

// Row A88: without streams nothing is sent, unless that is permitted; a stream that comes wakes it with a PING at once if Time is over.
func TestKeepaliveDormancy(t *testing.T) {
	k := client(60*sec, 20*sec)
	k.Streams(0)
	want(t, k, 60*sec, ActionNone, Never)
	want(t, k, time.Hour, ActionNone, Never)
	k.Streams(3)
	want(t, k, time.Hour, ActionPing, 20*sec)
	k.Activity(at(time.Hour + sec))
	k.Streams(0)
	k.Streams(1) // soon after: Time goes on from the last octet
	want(t, k, time.Hour+2*sec, ActionNone, 59*sec)

	p := NewClientKeepalive(keepalive.ClientParameters{Time: 60 * sec, PermitWithoutStream: true}, 0, epoch)
	want(t, &p, 60*sec, ActionPing, DefaultTimeout)
}

// Row A88: an answer that is due is waited for when the last stream ends, by its deadline perhaps: the next call shall not be the one that finds out.
func TestKeepaliveDormantWhileAsked(t *testing.T) {
	k := client(60*sec, 20*sec)
	want(t, k, 60*sec, ActionPing, 20*sec)
	k.Streams(0)
	want(t, k, 61*sec, ActionNone, 19*sec)
	dead := *k
	want(t, &dead, 80*sec, ActionCloseDead, Never)
	k.Activity(at(62 * sec))
	want(t, k, 80*sec, ActionNone, Never)
}

// Row A88: while it waits for an answer it sleeps for the lesser of Time and what is left of Timeout, so that no answer has to set a timer.
func TestKeepaliveTimeoutLongerThanTime(t *testing.T) {
	k := client(10*sec, 25*sec)
	want(t, k, 10*sec, ActionPing, 10*sec)
	want(t, k, 20*sec, ActionNone, 10*sec)
	want(t, k, 30*sec, ActionNone, 5*sec)
	dead := *k
	want(t, &dead, 35*sec, ActionCloseDead, Never)
	k.Activity(at(31 * sec))
	want(t, k, 35*sec, ActionNone, 6*sec)
	want(t, k, 41*sec, ActionPing, 10*sec)
}

// Rows A88, A91: what is not set has gRPC's defaults, and a Time that is too short is raised.
func TestKeepaliveConfig(t *testing.T) {
	tests := []struct {
		name          string
		k             Keepalive
		time, timeout time.Duration
	}{
		{"zero value", Keepalive{}, 0, 0},
		{"client, unset", NewClientKeepalive(keepalive.ClientParameters{PermitWithoutStream: true}, 0, epoch), 0, 0},
		{"client, negative", NewClientKeepalive(keepalive.ClientParameters{Time: -1}, 0, epoch), 0, 0},
		{"client, short", NewClientKeepalive(keepalive.ClientParameters{Time: sec}, 0, epoch), 10 * sec, 20 * sec},
		{"client, own bound", NewClientKeepalive(keepalive.ClientParameters{Time: sec}, 2*sec, epoch), 2 * sec, 20 * sec},
		{"client, no bound", NewClientKeepalive(keepalive.ClientParameters{Time: 1}, -1, epoch), 1, 20 * sec},
		{"client, long", NewClientKeepalive(keepalive.ClientParameters{Time: 11 * sec, Timeout: sec}, 0, epoch), 11 * sec, sec},
		{"client, Timeout negative", NewClientKeepalive(keepalive.ClientParameters{Time: 11 * sec, Timeout: -1}, 0, epoch), 11 * sec, 20 * sec},
		{"server, unset", NewServerKeepalive(keepalive.ServerParameters{}, epoch), 2 * time.Hour, 20 * sec},
		{"server, negative", NewServerKeepalive(keepalive.ServerParameters{Time: -1}, epoch), 0, 0},
		{"server, short", NewServerKeepalive(keepalive.ServerParameters{Time: 1, Timeout: 1}, epoch), sec, 1},
		{"server, long", NewServerKeepalive(keepalive.ServerParameters{Time: minute, Timeout: minute}, epoch), minute, minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := tt.k
			k.Streams(1)
			if k.Time() != tt.time {
				t.Errorf("Time is %v, want %v", k.Time(), tt.time)
			}
			if tt.time == 0 {
				want(t, &k, 1000*time.Hour, ActionNone, Never)
				return
			}
			want(t, &k, tt.time-1, ActionNone, 1)
			want(t, &k, tt.time, ActionPing, min(tt.timeout, tt.time))
			if tt.timeout > tt.time {
				want(t, &k, tt.time+tt.timeout-1, ActionNone, min(1, tt.time))
			}
			want(t, &k, tt.time+tt.timeout, ActionCloseDead, Never)
		})
	}
}

// Row A91: a server asks with streams and without.
func TestServerKeepaliveWithoutStreams(t *testing.T) {
	k := NewServerKeepalive(keepalive.ServerParameters{Time: minute}, epoch)
	want(t, &k, minute, ActionPing, 20*sec)
	k.Activity(at(minute + sec))
	k.Streams(1)
	k.Streams(0)
	want(t, &k, 2*minute+sec, ActionPing, 20*sec)
}

// An infinite Time is a time that does not come, and overflows nothing.
func TestKeepaliveInfinite(t *testing.T) {
	k := client(Never, Never)
	k.Activity(at(time.Hour))
	if a, wait := k.Next(at(2 * time.Hour)); a != ActionNone || wait < Never-3*time.Hour {
		t.Errorf("%v, wait %v", a, wait)
	}
	now := time.Now() // with a monotonic reading, which has a bound of its own
	m := NewClientKeepalive(keepalive.ClientParameters{Time: Never - 1}, 0, now)
	m.Streams(1)
	if a, wait := m.Next(now.Add(time.Hour)); a != ActionNone || wait < Never-3*time.Hour {
		t.Errorf("monotonic: %v, wait %v", a, wait)
	}
}

// A clock that runs back delays a PING by as much.
func TestKeepaliveClockBack(t *testing.T) {
	k := client(60*sec, 20*sec)
	want(t, k, -5*sec, ActionNone, 65*sec)
	k.Activity(at(10 * sec)) // read after now was
	want(t, k, 9*sec, ActionNone, 61*sec)
}

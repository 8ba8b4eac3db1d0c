package liveness

import (
	"testing"
	"time"

	"google.golang.org/grpc/keepalive"
)

// Row A91: PING frames that come before MinTime, or 2 h without streams, are strikes; the third ends the connection, and HEADERS or DATA sent begin anew.
func TestEnforcement(t *testing.T) {
	const sent = -1 // streams: HEADERS or DATA go out, and no PING comes
	type event struct {
		at      time.Duration
		streams int
		tooMany bool
	}
	tests := []struct {
		name   string
		p      keepalive.EnforcementPolicy
		events []event
	}{
		{"every 5 minutes by default", keepalive.EnforcementPolicy{}, []event{
			{0, 1, false}, {5 * minute, 1, false}, {10 * minute, 1, false}, {15 * minute, 1, false}, {20 * minute, 1, false},
		}},
		{"a bit more often", keepalive.EnforcementPolicy{}, []event{
			{0, 1, false}, {5*minute - 1, 1, false}, {5 * minute, 1, false}, {10*minute - 1, 1, false}, {10*minute - 1, 1, true},
		}},
		{"three at once after a good one", keepalive.EnforcementPolicy{}, []event{
			{0, 1, false}, {0, 1, false}, {0, 1, false}, {0, 1, true}, {0, 1, true},
		}},
		{"a good one does not forgive", keepalive.EnforcementPolicy{MinTime: sec}, []event{
			{0, 1, false}, {0, 1, false}, {0, 1, false}, {time.Hour, 1, false}, {time.Hour, 1, true},
		}},
		{"an early one does not delay the next good one", keepalive.EnforcementPolicy{MinTime: 10 * sec}, []event{
			{0, 1, false}, {6 * sec, 1, false}, {10 * sec, 1, false}, {16 * sec, 1, false}, {20 * sec, 1, false}, {26 * sec, 1, true},
		}},
		{"what is sent does", keepalive.EnforcementPolicy{}, []event{
			{0, 1, false}, {0, 1, false}, {0, 1, false}, {0, sent, false},
			{0, 1, false}, {0, 1, false}, {0, 1, false}, {0, sent, false}, {0, 1, false},
		}},
		{"without streams", keepalive.EnforcementPolicy{MinTime: sec}, []event{
			{0, 0, false}, {time.Hour, 0, false}, {2*time.Hour - 1, 0, false}, {2 * time.Hour, 0, false},
			{4 * time.Hour, 0, false}, {6*time.Hour - 1, 0, true},
		}},
		{"without streams, after a response", keepalive.EnforcementPolicy{}, []event{
			{0, 1, false}, {1, sent, false}, {2, 0, false}, {3, 0, false},
		}},
		{"without streams, permitted", keepalive.EnforcementPolicy{MinTime: sec, PermitWithoutStream: true}, []event{
			{0, 0, false}, {sec, 0, false}, {2 * sec, 0, false}, {3 * sec, 0, false}, {4 * sec, 0, false},
			{4 * sec, 0, false}, {4 * sec, 0, false}, {4 * sec, 0, true},
		}},
		{"any number of them", keepalive.EnforcementPolicy{MinTime: -1}, []event{
			{0, 1, false}, {0, 1, false}, {0, 1, false}, {0, 1, false}, {0, 1, false},
			{0, 0, false}, {0, 0, false}, {0, 0, true},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := NewEnforcement(tt.p)
			for i, ev := range tt.events {
				if ev.streams == sent {
					e.Sent()
				} else if got := e.Ping(at(ev.at), ev.streams); got != ev.tooMany {
					t.Errorf("event %d, after %v with %d streams: too many is %v", i, ev.at, ev.streams, got)
				}
			}
		})
	}
	t.Run("the zero value", func(t *testing.T) {
		var e Enforcement
		for range 100 {
			if e.Ping(epoch, 0) {
				t.Fatal("it enforces something")
			}
		}
	})
}

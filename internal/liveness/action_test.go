package liveness

import "testing"

// "GOAWAY with status code NO_ERROR and ASCII debug data max_idle", and max_age,
// is what clients look for in their logs.
func TestAction(t *testing.T) {
	tests := []struct {
		a      Action
		text   string
		debug  string
		closes bool
	}{
		{ActionNone, "none", "", false},
		{ActionPing, "ping", "", false},
		{ActionDrainIdle, "drain (MaxConnectionIdle)", "max_idle", false},
		{ActionDrainAge, "drain (MaxConnectionAge)", "max_age", false},
		{ActionCloseGrace, "close (MaxConnectionAgeGrace)", "", true},
		{ActionCloseDead, "close (keepalive Timeout)", "", true},
		{ActionCloseDead + 1, "unknown", "", true},
	}
	for _, tt := range tests {
		if tt.a.String() != tt.text || tt.a.Debug() != tt.debug || tt.a.closes() != tt.closes {
			t.Errorf("%d: %q, debug %q, closes %v; want %q, %q, %v", tt.a, tt.a, tt.a.Debug(), tt.a.closes(), tt.text, tt.debug, tt.closes)
		}
	}
}

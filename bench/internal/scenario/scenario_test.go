package scenario

import (
	"slices"
	"strings"
	"testing"
)

func TestAll(t *testing.T) {
	names := make(map[string]bool)
	for _, s := range All() {
		if names[s.Name] {
			t.Errorf("%s is there twice", s.Name)
		}
		names[s.Name] = true
		if s.Outstanding < s.Connections || s.Outstanding%s.Connections != 0 || s.Connections < 1 {
			t.Errorf("%s: %d outstanding over %d connections", s.Name, s.Outstanding, s.Connections)
		}
		if s.Outstanding/s.Connections > MaxStreams && s.Slots == 0 {
			t.Errorf("%s needs more streams than servers allow", s.Name)
		}
		if s.Payload < 16 {
			t.Errorf("%s: no room for the marks in %d octets", s.Name, s.Payload)
		}
		if n, fewest := s.Connected(); n < s.Connections || n < s.Addresses || fewest != (s.Slots > 0) {
			t.Errorf("%s: %d connections to %d addresses, the fewest: %t", s.Name, n, s.Addresses, fewest)
		}
		if (s.Burst > 0) != (s.Shape == Stream) {
			t.Errorf("%s: a burst of %d", s.Name, s.Burst)
		}
	}
}

// TestPlain: what the references measure, and nothing that asks for more than
// they have.
func TestPlain(t *testing.T) {
	var names []string
	for _, s := range All() {
		if s.Plain() && s.Shape != Unary {
			names = append(names, s.Name)
		}
		if s.Plain() && strings.Contains(s.Name, "round_robin/") {
			t.Errorf("%s is plain", s.Name)
		}
	}
	want := []string{
		"tls/stream/64KiB/16",
		"bidi/32B/1", "bidi/32B/16", "bidi/32B/128", "bidi/32B/1024",
		"stream/32B/1", "stream/32B/16", "stream/64KiB/1", "stream/64KiB/16",
		"churn/32B", "churn/tls/32B", "open/50", "open/90",
	}
	if !slices.Equal(names, want) {
		t.Errorf("plain, and not unary: %q, want %q", names, want)
	}
	for _, s := range []Scenario{
		{Shape: Unary, Deadline: true},
		{Shape: Unary, Observed: true},
		{Shape: Unary, Bulk: 1},
		{Shape: Unary, Sleep: 1},
		{Shape: Unary, Burn: 1},
		{Shape: Stream, Addresses: 4},
		{Shape: PingPong, Slots: 100},
		{Shape: IdleConns},
		{Shape: IdleStreams},
		{Shape: IdleAddresses},
		{},
	} {
		if s.Plain() {
			t.Errorf("%+v is plain", s)
		}
	}
}

func TestSelect(t *testing.T) {
	for _, tt := range []struct {
		pattern string
		names   []string
		err     string
	}{
		{"^unary/32B/1$", []string{"unary/32B/1"}, ""},
		{"^deadline", []string{"deadline/32B/1", "deadline/32B/128"}, ""},
		{"nothing", nil, `came "nothing", which matches none`},
		{"(", nil, "missing closing"},
	} {
		t.Run(tt.pattern, func(t *testing.T) {
			some, err := Select(All(), tt.pattern)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v, want one with %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, s := range some {
				names = append(names, s.Name)
			}
			if !slices.Equal(names, tt.names) {
				t.Errorf("%q, want %q", names, tt.names)
			}
		})
	}
	if some, err := Select(All(), ""); err != nil || len(some) != len(All()) {
		t.Errorf("an empty pattern selects %d, %v; want all", len(some), err)
	}
}

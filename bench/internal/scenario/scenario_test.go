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
		if s.Outstanding/s.Connections > MaxStreams {
			t.Errorf("%s needs more streams than servers allow", s.Name)
		}
		if s.Payload < 16 {
			t.Errorf("%s: no room for the marks in %d octets", s.Name, s.Payload)
		}
		if (s.Burst > 0) != (s.Shape == Stream) {
			t.Errorf("%s: a burst of %d", s.Name, s.Burst)
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

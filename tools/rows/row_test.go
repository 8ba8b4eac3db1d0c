package main

import (
	"fmt"
	"testing"
)

func TestParseRange(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want string // "" when in must be refused
	}{
		{"A1", "[A1]"},
		{"A116", "[A116]"},
		{"B15", "[B15]"},
		{"A9-A11", "[A9 A10 A11]"},
		{"A5-A5", "[A5]"},
		{"", ""},
		{"A", ""},
		{"A0", ""},
		{"A117", ""},
		{"B16", ""},
		{"C17", "[C17]"},
		{"C18", ""},
		{"D1", ""},
		{"A041", ""},
		{"A+1", ""},
		{"a41", ""},
		{"A11-A9", ""},
		{"A1-B2", ""},
		{"A1-", ""},
		{"A1-A117", ""},
	} {
		got, err := parseRange(tt.in)
		if tt.want == "" {
			if err == nil {
				t.Errorf("parseRange(%q) = %v, want an error", tt.in, got)
			}
			continue
		}
		if err != nil || fmt.Sprint(got) != tt.want {
			t.Errorf("parseRange(%q) = %v, %v, want %s", tt.in, got, err, tt.want)
		}
	}
}

func TestRowOrderIsNumeric(t *testing.T) {
	ordered := []row{{'A', 2}, {'A', 10}, {'A', 116}, {'B', 1}, {'B', 2}}
	for i := range ordered[1:] {
		if a, b := ordered[i], ordered[i+1]; a.compare(b) >= 0 || b.compare(a) <= 0 {
			t.Errorf("%v does not sort before %v", a, b)
		}
	}
}

package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestParseRequired(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		wantErr  string
	}{
		{"all kinds", "# comment\n\nrequire A1-A3\nrequire B2\nexempt A2 nothing of it is built\n", ""},
		{"exempt without a reason", "require A1\nexempt A1\n", "line 2"},
		{"exempt and not required", "require A1\nexempt A2 because\n", "A2 is exempt but not required"},
		{"unknown verb", "requires A1\n", "line 1"},
		{"words after require", "require A1 A2\n", "line 1"},
		{"no such row", "require A200\n", "goes from 1 to 116"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req, err := parseRequired(strings.NewReader(tt.in))
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
					t.Fatalf("error %v, want one with %q", err, tt.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(req.rows, req.exempt); got != "[A1 A2 A3 B2] map[A2:nothing of it is built]" {
				t.Errorf("got %s", got)
			}
		})
	}
}

func TestRequirementCheck(t *testing.T) {
	req, err := parseRequired(strings.NewReader("require A1-A4\nexempt A2 r\nexempt A3 r\n"))
	if err != nil {
		t.Fatal(err)
	}
	missing, stale := req.check(map[row]bool{{'A', 1}: true, {'A', 3}: true, {'B', 1}: true})
	if got := fmt.Sprint(missing, stale); got != "[A4] [A3]" {
		t.Errorf("missing and stale are %s, want [A4] [A3]", got)
	}
}

func TestCommittedListParses(t *testing.T) {
	f, err := os.Open("required.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	req, err := parseRequired(f)
	if err != nil {
		t.Fatal(err)
	}
	if len(req.rows) == 0 {
		t.Error("the list requires nothing")
	}
}

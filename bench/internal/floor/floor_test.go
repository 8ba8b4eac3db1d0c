package floor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-rpc/weir/bench/internal/peers"
	"github.com/weir-rpc/weir/bench/internal/report"
	"github.com/weir-rpc/weir/bench/internal/scenario"
)

// TestCommitted reads what `make bench-check` reads.
func TestCommitted(t *testing.T) {
	f, err := Read("../../floors.json")
	if err != nil {
		t.Fatal(err)
	}
	if f.Tolerance != 0.2 {
		t.Errorf("a tolerance of %v, want a fifth", f.Tolerance)
	}
}

func TestRead(t *testing.T) {
	of := func(floor string) string { return `{"tolerance": 0.2, "floors": [{` + floor + `}]}` }
	for _, tt := range []struct{ name, text, err string }{
		{"right", of(`"scenario": "unary/32B/1", "peer": "weir", "measure": "cpu", "value": 2, "measured": "2026-11-21"`), ""},
		{"idle", of(`"scenario": "idle/streams", "peer": "weir", "measure": "server", "value": 2, "measured": "2026-11-21"`), ""},
		{"calls a second", of(`"scenario": "slots/50ms/1000", "peer": "weir+connections", "measure": "calls", "value": 2, "measured": "2026-11-21"`), ""},
		{"no calls there", of(`"scenario": "idle/streams", "peer": "weir", "measure": "calls", "value": 2, "measured": "2026-11-21"`), "is not measured there"},
		{"no JSON", "floors", "expected floors; came invalid"},
		{"an unknown field", of(`"ratio": 2`), `unknown field "ratio"`},
		{"none", `{"tolerance": 0.2}`, "expected floors; came none"},
		{"tolerates all", `{"tolerance": 1}`, "expected a tolerance"},
		{"no day", of(`"scenario": "unary/32B/1", "peer": "weir", "measure": "cpu", "value": 2`), "expected the day"},
		{"unknown measure", of(`"scenario": "unary/32B/1", "peer": "weir", "measure": "joy", "value": 2, "measured": "2026-11-21"`), `came "joy"`},
		{"no value", of(`"scenario": "unary/32B/1", "peer": "weir", "measure": "cpu", "measured": "2026-11-21"`), "above zero"},
		{"unknown peer", of(`"scenario": "unary/32B/1", "peer": "h3", "measure": "cpu", "value": 2, "measured": "2026-11-21"`), `came ["h3"]`},
		{"unknown scenario", of(`"scenario": "unary/32B", "peer": "weir", "measure": "cpu", "value": 2, "measured": "2026-11-21"`), "matches none"},
		{"no such peer there", of(`"scenario": "unary/32B/16", "peer": "weir-to-grpc-go", "measure": "cpu", "value": 2, "measured": "2026-11-21"`), "is not measured there"},
		{"no such measure there", of(`"scenario": "unary/32B/1", "peer": "weir", "measure": "rss", "value": 2, "measured": "2026-11-21"`), "is not measured there"},
		{"no CPU there", of(`"scenario": "idle/streams", "peer": "weir", "measure": "cpu", "value": 2, "measured": "2026-11-21"`), "is not measured there"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "floors.json")
			if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Read(file)
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %v, want one with %q", err, tt.err)
			}
		})
	}
	if _, err := Read(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a file that is not there is read")
	}
}

func TestCheck(t *testing.T) {
	s := scenario.Capacity()
	f := &Floors{Tolerance: 0.2, Floors: []Floor{
		{Scenario: s.Name, Peer: "weir", Measure: "cpu", Value: 5},
		{Scenario: s.Name, Peer: "weir-to-grpc-go", Measure: "client", Value: 3},
		{Scenario: "unary/32B/1", Peer: "weir", Measure: "cpu", Value: 100},
	}}
	some, err := f.Peers(s)
	if err != nil || len(some) != 3 || some[1].Name != peers.Baseline {
		t.Errorf("peers %+v, %v; want three", some, err)
	}
	for _, tt := range []struct {
		cpu, client float64
		holds       []bool
	}{
		{6, 4, []bool{true, true}},
		{4.01, 2.41, []bool{true, true}},
		{3.99, 2.41, []bool{false, true}},
		{4.01, 2.39, []bool{true, false}},
	} {
		got := f.Check(s, []*report.Cell{
			{Peer: peers.Baseline, Ratios: &report.Ratios{CPU: 1, Client: 1}},
			{Peer: "weir", Ratios: &report.Ratios{CPU: tt.cpu, Client: 1}},
			{Peer: "weir-to-grpc-go", Ratios: &report.Ratios{CPU: 1, Client: tt.client}},
		})
		if len(got) != 2 || got[0].Holds != tt.holds[0] || got[1].Holds != tt.holds[1] {
			t.Errorf("%v and %v: %v, want %v", tt.cpu, tt.client, got, tt.holds)
		}
	}
	for _, v := range f.Check(s, nil) {
		if v.Holds || !strings.HasPrefix(v.String(), "BELOW  unary/32B/128 of weir") {
			t.Errorf("without figures: %v", v)
		}
	}
}

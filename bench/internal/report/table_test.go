package report

import (
	"strings"
	"testing"
	"time"

	"github.com/weir-rpc/weir/bench/internal/scenario"
)

func TestTable(t *testing.T) {
	figures := Figures{
		CallsPerSecond: 123456, CPU: Sides{1.234, 56.78}, P50: 12.3, P99: 4567,
		Allocs: Sides{3, 4}, Bytes: Sides{132, 1.25e6}, Goroutines: Sides{5, 6}, RSS: Sides{1 << 20, 3 << 19},
	}
	cells := []*Cell{
		{Scenario: scenario.Scenario{Name: "first"}, Peer: "weir", Rounds: []Figures{figures}, Median: figures, Ratios: &Ratios{CPU: 2, CallsPerSecond: 0.5}},
		{Scenario: scenario.Scenario{Name: "first"}, Peer: "raw", Median: Figures{}},
		{Scenario: scenario.Scenario{Name: "second"}, Peer: "weir", LeftOut: "not built yet"},
		{
			Scenario: scenario.Scenario{Name: "third", Shape: scenario.IdleConns}, Peer: "weir", Ratios: &Ratios{RSS: 3, Client: 2, Server: 4},
			Median: Figures{RSS: Sides{4096, 8192}, Heap: Sides{1024, 2048}, Stack: Sides{2048, 12345}, Goroutines: Sides{1, 2}},
		},
	}
	var out strings.Builder
	if err := WriteTable(&out, cells); err != nil {
		t.Fatal(err)
	}
	var rows [][]string
	for line := range strings.Lines(out.String()) {
		rows = append(rows, strings.Fields(line))
	}
	want := []string{
		"first calls/s CPU µs/call CPU × calls × p50 µs p99 p99.9 allocs/call bytes/call goroutines RSS MiB",
		"weir 123.5k 1.23+56.8 2.00 0.50 12.3 4567 - 3.00+4.00 132+1.25M 5.00+6.00 1.00+1.50",
		"raw 0 0+0 - - - - - - - - 0+0",
		"",
		"second calls/s CPU µs/call CPU × calls × p50 µs p99 p99.9 allocs/call bytes/call goroutines RSS MiB",
		"without weir: not built yet",
		"",
		"third RSS B each RSS × client × server × heap B each stack B each goroutines each",
		"weir 4096+8192 3.00 2.00 4.00 1024+2048 2048+12.3k 1.00+2.00",
		"",
	}
	if len(rows) != len(want) {
		t.Fatalf("%d lines, want %d:\n%s", len(rows), len(want), &out)
	}
	for i, row := range rows {
		if got := strings.Join(row, " "); got != want[i] {
			t.Errorf("line %d is %q, want %q", i, got, want[i])
		}
	}
}

func TestColumnsOfScenarios(t *testing.T) {
	for _, tt := range []struct {
		scenario    scenario.Scenario
		with, given string // the columns beside the usual, and what stands in them
	}{
		{scenario.Scenario{Mixed: true}, "client × server ×", "2.00 3.00"},
		{scenario.Scenario{Shape: scenario.Unary, TLS: true}, "above raw", "0.25"},
		{scenario.Scenario{Shape: scenario.Stream, TLS: true}, "", ""},
		{scenario.Scenario{Shape: scenario.Unary, TLS: true, Addresses: 4}, "", ""},
		{scenario.Scenario{Shape: scenario.Open}, "p99 ×", "5.00"},
		{scenario.Scenario{Bulk: 2}, "bulk MiB/s bulk × p99 ×", "9.00 7.00 5.00"},
		{scenario.Scenario{Delay: 20 * time.Millisecond}, "first in trips", "1.50"},
	} {
		c := &Cell{
			Median: Figures{Bulk: 9 << 20, First: 60_000},
			Ratios: &Ratios{CPU: 1, CallsPerSecond: 1, Client: 2, Server: 3, AboveRaw: 0.25, P99: 5, Bulk: 7},
		}
		usual := make(map[string]bool)
		for _, col := range columns(scenario.Scenario{}) {
			usual[col.head] = true
		}
		var with, given []string
		for _, col := range columns(tt.scenario) {
			if !usual[col.head] {
				with, given = append(with, col.head), append(given, col.of(c))
			}
		}
		if w, g := strings.Join(with, " "), strings.Join(given, " "); w != tt.with || g != tt.given {
			t.Errorf("%+v: columns %q with %q, want %q with %q", tt.scenario, w, g, tt.with, tt.given)
		}
	}
}

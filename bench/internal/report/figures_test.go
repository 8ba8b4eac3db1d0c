package report

import (
	"testing"
	"time"

	"github.com/weir-rpc/weir/bench/internal/load"
	"github.com/weir-rpc/weir/bench/internal/peers"
	"github.com/weir-rpc/weir/bench/internal/process"
	"github.com/weir-rpc/weir/bench/internal/scenario"
	"github.com/weir-rpc/weir/bench/internal/usage"
)

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		values []float64
		want   float64
	}{
		{nil, 0},
		{[]float64{3}, 3},
		{[]float64{3, 1}, 2},
		{[]float64{9, 1, 3}, 3},
		{[]float64{9, 1, 3, 4}, 3.5},
	} {
		if got := median(tt.values); got != tt.want {
			t.Errorf("median of %v is %v, want %v", tt.values, got, tt.want)
		}
	}
}

func TestFigures(t *testing.T) {
	got := newFigures(process.Round{
		Client: load.Window{
			Calls:   1000,
			Elapsed: 500 * time.Millisecond,
			Latency: load.Latency{P50: 2 * time.Microsecond, P99: 3 * time.Millisecond, P999: 1500 * time.Nanosecond},
			Used:    usage.Used{CPU: 20 * time.Millisecond, Allocs: 2500, Bytes: 64000},
			Midway:  usage.Holds{Goroutines: 7, RSS: 1 << 20},
			Bulk:    1 << 20,
			First:   80 * time.Millisecond,
		},
		Server: process.Server{
			Used:   usage.Used{CPU: 10 * time.Millisecond, Allocs: 4000, Bytes: 128000},
			Midway: usage.Holds{Goroutines: 9, RSS: 2 << 20},
		},
	})
	want := Figures{
		CallsPerSecond: 2000,
		CPU:            Sides{20, 10},
		P50:            2,
		P99:            3000,
		P999:           1.5,
		Allocs:         Sides{2.5, 4},
		Bytes:          Sides{64, 128},
		Goroutines:     Sides{7, 9},
		RSS:            Sides{1 << 20, 2 << 20},
		Bulk:           2 << 20,
		First:          80_000,
	}
	if got != want {
		t.Errorf("figures %+v\nwant %+v", got, want)
	}
}

func TestIdleFigures(t *testing.T) {
	got := newFigures(process.Round{Idle: &process.Idle{
		Opened: 100,
		Client: process.BeforeAfter{
			Before: usage.Holds{Goroutines: 5, RSS: 10000, Heap: 5000, Stack: 3000},
			After:  usage.Holds{Goroutines: 105, RSS: 20000, Heap: 9000, Stack: 3000},
		},
		Server: process.BeforeAfter{
			Before: usage.Holds{Goroutines: 10, RSS: 10000, Heap: 5000, Stack: 3000},
			After:  usage.Holds{Goroutines: 210, RSS: 9000, Heap: 5100, Stack: 3200},
		},
	}})
	want := Figures{Goroutines: Sides{1, 2}, RSS: Sides{100, -10}, Heap: Sides{40, 1}, Stack: Sides{0, 2}}
	if got != want {
		t.Errorf("figures %+v\nwant %+v", got, want)
	}
}

// TestMedians gives each figure a value of its own, so that none is missed or
// taken for another.
func TestMedians(t *testing.T) {
	var rounds [3]Figures
	for i, factor := range []float64{3, 1, 2} {
		for j, f := range rounds[i].all() {
			*f = factor * float64(j+1)
		}
	}
	if got, want := medians(rounds[:]), rounds[2]; got != want {
		t.Errorf("medians %+v\nwant %+v", got, want)
	}
}

func TestMediansOfTooFewCalls(t *testing.T) {
	got := medians([]Figures{{P50: 1, P99: 5, P999: 9}, {P50: 3, P99: 7}, {P50: 2, P99: 6, P999: 8}})
	if want := (Figures{P50: 2, P99: 6}); got != want {
		t.Errorf("medians %+v, want %+v", got, want)
	}
}

func TestConclude(t *testing.T) {
	round := func(calls, client, server float64) Figures {
		return Figures{CallsPerSecond: calls, CPU: Sides{client, server}}
	}
	baseline := &Cell{Peer: peers.Baseline, Rounds: []Figures{round(100, 10, 10), round(200, 30, 10), round(100, 20, 10)}}
	weir := &Cell{Peer: "weir", Rounds: []Figures{round(300, 2, 3), round(200, 10, 10), round(50, 5, 10)}}
	one := &Cell{Peer: "one", Rounds: []Figures{round(50, 40, 40)}}
	without := &Cell{Peer: "without", LeftOut: "not built yet"}
	Conclude([]*Cell{weir, baseline, one, without})
	for _, tt := range []struct {
		cell *Cell
		want *Ratios
	}{
		{weir, &Ratios{CPU: 2, CallsPerSecond: 1, Client: 4, Server: 1}}, // of 4, 2, 2 and 3, 1, 0.5
		{baseline, &Ratios{CPU: 1, CallsPerSecond: 1, Client: 1, Server: 1}},
		{one, &Ratios{CPU: 0.25, CallsPerSecond: 0.5, Client: 0.25, Server: 0.25}},
		{without, nil},
	} {
		if got := tt.cell.Ratios; (got == nil) != (tt.want == nil) || got != nil && *got != *tt.want {
			t.Errorf("%s: ratios %+v, want %+v", tt.cell.Peer, got, tt.want)
		}
	}
	if weir.Median.CallsPerSecond != 200 {
		t.Errorf("median of %v calls, want 200", weir.Median.CallsPerSecond)
	}
	idle := func(rss float64, name string) *Cell {
		return &Cell{Scenario: scenario.Scenario{Shape: scenario.IdleStreams}, Peer: name, Rounds: []Figures{{RSS: Sides{rss, rss}}}}
	}
	two := []*Cell{idle(10, "weir"), idle(30, peers.Baseline)}
	if Conclude(two); *two[0].Ratios != (Ratios{RSS: 3, Client: 3, Server: 3}) {
		t.Errorf("ratios %+v of memory, want 3", two[0].Ratios)
	}
	alone := &Cell{Peer: "weir", Rounds: []Figures{round(300, 2, 3)}}
	if Conclude([]*Cell{alone}); alone.Ratios != nil {
		t.Errorf("ratios %+v without a baseline", alone.Ratios)
	}
}

// TestAboveRaw: the reference needs 10, the baseline 20 more, and weir 5 more.
func TestAboveRaw(t *testing.T) {
	one := func(peer string, cpu, p99, bulk float64) *Cell {
		return &Cell{Peer: peer, Rounds: []Figures{{CPU: Sides{cpu - 1, 1}, P99: p99, Bulk: bulk}}}
	}
	weir, raw := one("weir", 15, 10, 300), one(peers.Reference, 10, 5, 0)
	Conclude([]*Cell{weir, one(peers.Baseline, 30, 50, 100), raw})
	if r := weir.Ratios; r.AboveRaw != 0.25 || r.P99 != 5 || r.Bulk != 3 {
		t.Errorf("ratios %+v, want a quarter above the reference, a fifth of p99, and three times the bulk", r)
	}
	if raw.Ratios.AboveRaw != 0 {
		t.Errorf("the reference is %v above itself", raw.Ratios.AboveRaw)
	}
}

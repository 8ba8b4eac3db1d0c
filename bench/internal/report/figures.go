// Package report makes figures of what was measured, and shows them.
package report

import (
	"slices"
	"time"

	"github.com/weir-rpc/weir/bench/internal/peers"
	"github.com/weir-rpc/weir/bench/internal/process"
	"github.com/weir-rpc/weir/bench/internal/scenario"
	"github.com/weir-rpc/weir/bench/internal/usage"
)

// Sides has a figure of the client's process and one of the server's.
type Sides struct {
	Client float64 `json:"client"`
	Server float64 `json:"server"`
}

// Sum is that of both processes.
func (s Sides) Sum() float64 { return s.Client + s.Server }

// Figures are those of one round, or the medians of several. Those that a
// scenario does not measure are zero.
type Figures struct {
	CallsPerSecond float64 `json:"calls_per_second"`
	CPU            Sides   `json:"cpu_us_per_call"`
	P50            float64 `json:"p50_us"`
	P99            float64 `json:"p99_us"`
	P999           float64 `json:"p999_us"`
	Allocs         Sides   `json:"allocs_per_call"`
	Bytes          Sides   `json:"bytes_per_call"`
	Goroutines     Sides   `json:"goroutines"`
	RSS            Sides   `json:"rss_bytes"`

	Bulk  float64 `json:"bulk_bytes_per_second,omitempty"` // beside the calls
	First float64 `json:"first_us,omitempty"`              // call of a new connection

	// Of idle scenarios alone. Theirs, and with them Goroutines and RSS, are for
	// each connection or stream.
	Heap  Sides `json:"heap_bytes,omitzero"`
	Stack Sides `json:"stack_bytes,omitzero"`
}

// all are pointers to the figures, in an order of their own.
func (f *Figures) all() []*float64 {
	return []*float64{
		&f.CallsPerSecond, &f.P50, &f.P99, &f.P999,
		&f.CPU.Client, &f.CPU.Server, &f.Allocs.Client, &f.Allocs.Server, &f.Bytes.Client, &f.Bytes.Server,
		&f.Goroutines.Client, &f.Goroutines.Server, &f.RSS.Client, &f.RSS.Server,
		&f.Heap.Client, &f.Heap.Server, &f.Stack.Client, &f.Stack.Server,
		&f.Bulk, &f.First,
	}
}

func newFigures(r process.Round) Figures {
	if r.Idle != nil {
		return idleFigures(r.Idle)
	}
	calls := float64(r.Client.Calls)
	per := func(of func(usage.Used) float64) Sides {
		return Sides{Client: of(r.Client.Used) / calls, Server: of(r.Server.Used) / calls}
	}
	held := func(of func(usage.Holds) float64) Sides {
		return Sides{Client: of(r.Client.Midway), Server: of(r.Server.Midway)}
	}
	return Figures{
		CallsPerSecond: calls / r.Client.Elapsed.Seconds(),
		CPU:            per(func(u usage.Used) float64 { return micro(u.CPU) }),
		P50:            micro(r.Client.Latency.P50),
		P99:            micro(r.Client.Latency.P99),
		P999:           micro(r.Client.Latency.P999),
		Allocs:         per(func(u usage.Used) float64 { return float64(u.Allocs) }),
		Bytes:          per(func(u usage.Used) float64 { return float64(u.Bytes) }),
		Goroutines:     held(func(h usage.Holds) float64 { return float64(h.Goroutines) }),
		RSS:            held(func(h usage.Holds) float64 { return float64(h.RSS) }),
		Bulk:           float64(r.Client.Bulk) / r.Client.Elapsed.Seconds(),
		First:          micro(r.Client.First),
	}
}

func idleFigures(i *process.Idle) Figures {
	each := func(of func(usage.Holds) float64) Sides {
		grown := func(b process.BeforeAfter) float64 { return (of(b.After) - of(b.Before)) / float64(i.Opened) }
		return Sides{Client: grown(i.Client), Server: grown(i.Server)}
	}
	return Figures{
		Goroutines: each(func(h usage.Holds) float64 { return float64(h.Goroutines) }),
		RSS:        each(func(h usage.Holds) float64 { return float64(h.RSS) }),
		Heap:       each(func(h usage.Holds) float64 { return float64(h.Heap) }),
		Stack:      each(func(h usage.Holds) float64 { return float64(h.Stack) }),
	}
}

func micro(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// Cell is one scenario with one peer.
type Cell struct {
	Scenario scenario.Scenario `json:"scenario"`
	Peer     string            `json:"peer"`
	LeftOut  string            `json:"left_out,omitempty"` // why, if nothing was measured
	Rounds   []Figures         `json:"rounds,omitempty"`
	Raw      []process.Round   `json:"raw,omitempty"` // of the same rounds
	Median   Figures           `json:"median,omitzero"`
	Ratios   *Ratios           `json:"ratios,omitempty"` // nil where the baseline was not measured
}

// Ratios are how many times better than the baseline a peer is: above one is
// less CPU or memory, or more calls. Each is the median of the ratios of the rounds, and
// a round of the peer is compared with that of the baseline beside it.
type Ratios struct {
	CPU            float64 `json:"cpu,omitempty"` // of both sides together
	CallsPerSecond float64 `json:"calls_per_second,omitempty"`
	P99            float64 `json:"p99,omitempty"`
	Bulk           float64 `json:"bulk,omitempty"` // what came beside the calls
	RSS            float64 `json:"rss,omitempty"`  // of both sides together; of idle scenarios alone

	// Client and Server are as CPU or RSS, of one side.
	Client float64 `json:"client,omitempty"`
	Server float64 `json:"server,omitempty"`

	// AboveRaw is the part of what the baseline's CPU is above that of the
	// reference which the peer's is: less is better. It is zero where the
	// reference was not measured.
	AboveRaw float64 `json:"above_raw,omitempty"`
}

// Add takes a round.
func (c *Cell) Add(r process.Round) {
	c.Raw = append(c.Raw, r)
	c.Rounds = append(c.Rounds, newFigures(r))
}

// Conclude finds the medians of the cells of one scenario, and the ratios to
// the baseline among them.
func Conclude(cells []*Cell) {
	var baseline, raw *Cell
	for _, c := range cells {
		c.Median = medians(c.Rounds)
		switch {
		case len(c.Rounds) == 0:
		case c.Peer == peers.Baseline:
			baseline = c
		case c.Peer == peers.Reference:
			raw = c
		}
	}
	if baseline == nil {
		return
	}
	for _, c := range cells {
		n := min(len(c.Rounds), len(baseline.Rounds))
		if n == 0 {
			continue
		}
		of := func(f func(c, baseline Figures) float64) float64 {
			values := make([]float64, n)
			for i := range values {
				values[i] = f(c.Rounds[i], baseline.Rounds[i])
			}
			return median(values)
		}
		if c.Scenario.Idle() {
			c.Ratios = &Ratios{
				RSS:    of(func(c, b Figures) float64 { return ratio(b.RSS.Sum(), c.RSS.Sum()) }),
				Client: of(func(c, b Figures) float64 { return ratio(b.RSS.Client, c.RSS.Client) }),
				Server: of(func(c, b Figures) float64 { return ratio(b.RSS.Server, c.RSS.Server) }),
			}
			continue
		}
		c.Ratios = &Ratios{
			CPU:            of(func(c, b Figures) float64 { return ratio(b.CPU.Sum(), c.CPU.Sum()) }),
			CallsPerSecond: of(func(c, b Figures) float64 { return ratio(c.CallsPerSecond, b.CallsPerSecond) }),
			P99:            of(func(c, b Figures) float64 { return ratio(b.P99, c.P99) }),
			Bulk:           of(func(c, b Figures) float64 { return ratio(c.Bulk, b.Bulk) }),
			Client:         of(func(c, b Figures) float64 { return ratio(b.CPU.Client, c.CPU.Client) }),
			Server:         of(func(c, b Figures) float64 { return ratio(b.CPU.Server, c.CPU.Server) }),
			AboveRaw:       aboveRaw(c, baseline, raw),
		}
	}
}

func aboveRaw(c, baseline, raw *Cell) float64 {
	if raw == nil {
		return 0
	}
	var values []float64
	for i := range min(len(c.Rounds), len(baseline.Rounds), len(raw.Rounds)) {
		floor := raw.Rounds[i].CPU.Sum()
		values = append(values, ratio(c.Rounds[i].CPU.Sum()-floor, baseline.Rounds[i].CPU.Sum()-floor))
	}
	return median(values)
}

// ratio is zero over zero.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

func medians(rounds []Figures) (m Figures) {
	for i, to := range m.all() {
		values := make([]float64, len(rounds))
		for j, f := range rounds {
			values[j] = *f.all()[i]
		}
		*to = median(values)
	}
	for _, f := range rounds {
		// A round with too few calls for a percentile has none.
		m.P50, m.P99, m.P999 = both(m.P50, f.P50), both(m.P99, f.P99), both(m.P999, f.P999)
	}
	return m
}

// both is the first, unless one of them is zero.
func both(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a
}

// median is the mean of the middle two when there are as many above as below.
// It is zero for none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

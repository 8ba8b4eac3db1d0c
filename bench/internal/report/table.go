package report

import (
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/weir-rpc/weir/bench/internal/scenario"
)

// column has a head and says what stands below it.
type column struct {
	head string
	of   func(c *Cell) string
}

// columns are those of a block. Ratios that are zero were not measured.
func columns(s scenario.Scenario) []column {
	if s.Idle() {
		return idleColumns
	}
	all := []column{
		{"calls/s", func(c *Cell) string { return number(c.Median.CallsPerSecond) }},
		{"CPU µs/call", func(c *Cell) string { return sides(c.Median.CPU) }},
		{"CPU ×", times(func(r *Ratios) float64 { return r.CPU })},
	}
	if s.Mixed {
		all = append(all, ofClient, ofServer)
	}
	if s.TLS && s.Plain() && s.Shape != scenario.Stream { // where both are mostly encryption, the difference is noise
		all = append(all, column{"above raw", times(func(r *Ratios) float64 { return r.AboveRaw })})
	}
	all = append(all, column{"calls ×", times(func(r *Ratios) float64 { return r.CallsPerSecond })})
	if s.Bulk > 0 {
		all = append(all,
			column{"bulk MiB/s", func(c *Cell) string { return known(c.Median.Bulk / (1 << 20)) }},
			column{"bulk ×", times(func(r *Ratios) float64 { return r.Bulk })})
	}
	if s.Delay > 0 {
		trips := float64(2*s.Delay) / float64(time.Microsecond)
		all = append(all, column{"first in trips", func(c *Cell) string { return known(c.Median.First / trips) }})
	}
	all = append(all,
		column{"p50 µs", func(c *Cell) string { return known(c.Median.P50) }},
		column{"p99", func(c *Cell) string { return known(c.Median.P99) }},
		column{"p99.9", func(c *Cell) string { return known(c.Median.P999) }})
	if s.Bulk > 0 || s.Shape == scenario.Open {
		all = append(all, column{"p99 ×", times(func(r *Ratios) float64 { return r.P99 })})
	}
	return append(all, held...)
}

var (
	ofClient = column{"client ×", times(func(r *Ratios) float64 { return r.Client })}
	ofServer = column{"server ×", times(func(r *Ratios) float64 { return r.Server })}
)

var held = []column{
	{"allocs/call", func(c *Cell) string { return ofGo(c.Median.Allocs) }},
	{"bytes/call", func(c *Cell) string { return ofGo(c.Median.Bytes) }},
	{"goroutines", func(c *Cell) string { return ofGo(c.Median.Goroutines) }},
	{"RSS MiB", func(c *Cell) string {
		return sides(Sides{Client: c.Median.RSS.Client / (1 << 20), Server: c.Median.RSS.Server / (1 << 20)})
	}},
}

var idleColumns = []column{
	{"RSS B each", func(c *Cell) string { return sides(c.Median.RSS) }},
	{"RSS ×", times(func(r *Ratios) float64 { return r.RSS })},
	ofClient,
	ofServer,
	{"heap B each", func(c *Cell) string { return sides(c.Median.Heap) }},
	{"stack B each", func(c *Cell) string { return sides(c.Median.Stack) }},
	{"goroutines each", func(c *Cell) string { return sides(c.Median.Goroutines) }},
}

// WriteTable writes the cells, which stand by scenario, with a block for each.
func WriteTable(w io.Writer, cells []*Cell) error {
	for len(cells) > 0 {
		n := 1
		for n < len(cells) && cells[n].Scenario.Name == cells[0].Scenario.Name {
			n++
		}
		if err := writeBlock(w, cells[:n]); err != nil {
			return err
		}
		cells = cells[n:]
	}
	return nil
}

func writeBlock(w io.Writer, cells []*Cell) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	name := cells[0].Scenario.Name
	columns := columns(cells[0].Scenario)
	heads := []string{name}
	for _, col := range columns {
		heads = append(heads, col.head)
	}
	fmt.Fprintln(tw, strings.Join(heads, "\t")+"\t")
	var leftOut []string
	for _, c := range cells {
		if c.LeftOut != "" {
			leftOut = append(leftOut, fmt.Sprintf("  without %s: %s\n", c.Peer, c.LeftOut))
			continue
		}
		row := []string{c.Peer}
		for _, col := range columns {
			row = append(row, col.of(c))
		}
		fmt.Fprintln(tw, strings.Join(row, "\t")+"\t")
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, strings.Join(leftOut, ""))
	return err
}

func sides(s Sides) string { return number(s.Client) + "+" + number(s.Server) }

// ofGo is for figures that a program in another language has none of.
func ofGo(s Sides) string {
	if s == (Sides{}) {
		return "-"
	}
	return sides(s)
}

func times(of func(r *Ratios) float64) func(c *Cell) string {
	return func(c *Cell) string {
		if c.Ratios == nil || of(c.Ratios) == 0 {
			return "-"
		}
		return fmt.Sprintf("%.2f", of(c.Ratios))
	}
}

// known is for figures that are zero when they are not measured.
func known(f float64) string {
	if f == 0 {
		return "-"
	}
	return number(f)
}

// number has three digits that count, or all before the point.
func number(f float64) string {
	switch {
	case f == 0:
		return "0"
	case math.Abs(f) >= 1e6:
		return fmt.Sprintf("%.2fM", f/1e6)
	case math.Abs(f) >= 1e4:
		return fmt.Sprintf("%.1fk", f/1e3)
	case math.Abs(f) >= 100:
		return fmt.Sprintf("%.0f", f)
	case math.Abs(f) >= 10:
		return fmt.Sprintf("%.1f", f)
	default:
		return fmt.Sprintf("%.2f", f)
	}
}

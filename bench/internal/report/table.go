package report

import (
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
)

// column has a head and says what stands below it.
type column struct {
	head string
	of   func(c *Cell) string
}

var columns = []column{
	{"calls/s", func(c *Cell) string { return number(c.Median.CallsPerSecond) }},
	{"CPU µs/call", func(c *Cell) string { return sides(c.Median.CPU) }},
	{"CPU ×", func(c *Cell) string {
		if c.Ratios == nil {
			return "-"
		}
		return times(c.Ratios.CPU)
	}},
	{"calls ×", func(c *Cell) string {
		if c.Ratios == nil {
			return "-"
		}
		return times(c.Ratios.CallsPerSecond)
	}},
	{"p50 µs", func(c *Cell) string { return known(c.Median.P50) }},
	{"p99", func(c *Cell) string { return known(c.Median.P99) }},
	{"p99.9", func(c *Cell) string { return known(c.Median.P999) }},
	{"allocs/call", func(c *Cell) string { return sides(c.Median.Allocs) }},
	{"bytes/call", func(c *Cell) string { return sides(c.Median.Bytes) }},
	{"goroutines", func(c *Cell) string { return sides(c.Median.Goroutines) }},
	{"RSS MiB", func(c *Cell) string {
		return sides(Sides{Client: c.Median.RSS.Client / (1 << 20), Server: c.Median.RSS.Server / (1 << 20)})
	}},
}

var idleColumns = []column{
	{"RSS B each", func(c *Cell) string { return sides(c.Median.RSS) }},
	{"RSS ×", func(c *Cell) string {
		if c.Ratios == nil {
			return "-"
		}
		return times(c.Ratios.RSS)
	}},
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
	columns := columns
	if cells[0].Scenario.Idle() {
		columns = idleColumns
	}
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

func times(f float64) string { return fmt.Sprintf("%.2f", f) }

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

package screen

import (
	"fmt"
	"strings"
	"time"

	"charm.land/lipgloss/v2"
)

// Widths of a matrix, which add up to 80 with three columns.
const (
	callWidth    = 17
	checkedWidth = 33
	cellWidth    = 10
)

// Column is a client of one implementation with a server of another.
type Column struct {
	Client, Server string
}

// Matrix is a table with a row for each call and a column for each pairing. It
// appears as it is filled.
type Matrix struct {
	screen  *Screen
	columns int
	cells   int // of the row
}

// NewMatrix writes the head of the table.
func (s *Screen) NewMatrix(columns ...Column) *Matrix {
	head := func(left, right string, name func(Column) string) {
		var line strings.Builder
		line.WriteString(padRight(left, callWidth))
		line.WriteString(padLeft(right, checkedWidth))
		for _, c := range columns {
			line.WriteString(padLeft(name(c), cellWidth))
		}
		fmt.Fprintln(s.out, faint.Render(line.String()))
	}
	head("", "client", func(c Column) string { return c.Client })
	head("call", "server", func(c Column) string { return c.Server })
	return &Matrix{screen: s, columns: len(columns)}
}

// Row begins a row.
func (m *Matrix) Row(call, checked string) {
	fmt.Fprint(m.screen.out, padRight(call, callWidth), faint.Render(padRight(checked, checkedWidth)))
}

// Cell fills the next cell of the row, and ends the row with its last.
func (m *Matrix) Cell(ok bool, took time.Duration) {
	cell := good.Render("✓") + " " + Duration(took)
	if !ok {
		cell = bad.Render("✗ failed")
	}
	fmt.Fprint(m.screen.out, padLeft(cell, cellWidth))
	if m.cells++; m.cells == m.columns {
		m.Break()
	}
}

// Break ends the row where it is.
func (m *Matrix) Break() {
	m.cells = 0
	fmt.Fprintln(m.screen.out)
}

// Duration is short: two or three digits that tell something, and the unit.
func Duration(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	switch {
	case ms < 0.995:
		return fmt.Sprintf("%.2f ms", ms)
	case ms < 9.95:
		return fmt.Sprintf("%.1f ms", ms)
	case ms < 999.5:
		return fmt.Sprintf("%.0f ms", ms)
	default:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
}

// padRight and padLeft leave at least one space between this cell and the next.
func padRight(text string, width int) string {
	return text + strings.Repeat(" ", max(1, width-lipgloss.Width(text)))
}

func padLeft(text string, width int) string {
	return strings.Repeat(" ", max(1, width-lipgloss.Width(text))) + text
}

package main

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// A row names one line of docs/from-grpc-go.md: a series letter and a number.
type row struct {
	series byte
	number int
}

// allSeries are the series in the document's order.
const allSeries = "ABC"

// lastNumber holds how far each series goes. A row beyond it is a typing
// error, never a new row.
var lastNumber = map[byte]int{'A': 116, 'B': 15, 'C': 17}

func (r row) String() string { return string(r.series) + strconv.Itoa(r.number) }

func (r row) compare(o row) int {
	return cmp.Or(cmp.Compare(r.series, o.series), cmp.Compare(r.number, o.number))
}

func parseRow(s string) (row, error) {
	if len(s) < 2 {
		return row{}, fmt.Errorf("%q is not a row: want a letter and a number, like A41", s)
	}
	last, known := lastNumber[s[0]]
	if !known {
		return row{}, fmt.Errorf("%q is not a row: no series %q", s, s[:1])
	}
	n, err := strconv.Atoi(s[1:])
	if err != nil || s[1:] != strconv.Itoa(n) {
		return row{}, fmt.Errorf("%q is not a row: want a letter and a number, like A41", s)
	}
	if n < 1 || n > last {
		return row{}, fmt.Errorf("%q is not a row: series %c goes from 1 to %d", s, s[0], last)
	}
	return row{series: s[0], number: n}, nil
}

// parseRange reads "A41" or "A38-A83", both ends included.
func parseRange(s string) ([]row, error) {
	from, to, isRange := strings.Cut(s, "-")
	first, err := parseRow(from)
	if err != nil {
		return nil, err
	}
	if !isRange {
		return []row{first}, nil
	}
	last, err := parseRow(to)
	if err != nil {
		return nil, err
	}
	if first.series != last.series || first.number > last.number {
		return nil, fmt.Errorf("%q is not a range: want one series, the lower row first", s)
	}
	rows := make([]row, 0, last.number-first.number+1)
	for n := first.number; n <= last.number; n++ {
		rows = append(rows, row{series: first.series, number: n})
	}
	return rows, nil
}

package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// A line is one row proven, or not, by one test.
type line struct {
	row     row
	claim   claim
	outcome outcome
}

// lines pairs every claimed row with its outcome, sorted by row, then package
// and test.
func lines(claims []claim, results map[testID]outcome) []line {
	var all []line
	for _, c := range claims {
		for _, r := range c.rows {
			all = append(all, line{row: r, claim: c, outcome: results[testID{c.dir, c.test}]})
		}
	}
	slices.SortStableFunc(all, func(a, b line) int {
		return cmp.Or(a.row.compare(b.row), cmp.Compare(a.claim.dir, b.claim.dir), cmp.Compare(a.claim.test, b.claim.test))
	})
	return all
}

// table prints one line a row and test.
func table(w io.Writer, all []line) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, l := range all {
		_, _ = fmt.Fprintf(tw, "%v\t%s\t%s\t%s\t%s\n", l.row, l.outcome, l.claim.dir, l.claim.test, l.claim.sentence)
	}
	return tw.Flush()
}

// rowList prints rows with runs folded: "A38-A40 A44".
func rowList(rows []row) string {
	var parts []string
	for i := 0; i < len(rows); {
		j := i
		for j+1 < len(rows) && rows[j+1] == (row{rows[i].series, rows[j].number + 1}) {
			j++
		}
		if i == j {
			parts = append(parts, rows[i].String())
		} else {
			parts = append(parts, rows[i].String()+"-"+rows[j].String())
		}
		i = j + 1
	}
	return strings.Join(parts, " ")
}

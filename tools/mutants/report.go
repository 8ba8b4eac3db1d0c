package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// report prints a line for each mutant and one for all, what was said of those
// that are not red, or of all, and reports whether all are red.
func report(out io.Writer, results []result, verbose bool, took time.Duration) bool {
	bad := 0
	for _, r := range results {
		if r.verdict != verdictRed {
			bad++
		}
		if verbose || r.verdict != verdictRed {
			_, _ = fmt.Fprintf(out, "== %s: %s\n%s\n", r.mutant.name, r.verdict, strings.TrimSpace(r.output))
		}
	}
	tw := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, r := range results {
		_, _ = fmt.Fprintf(tw, "%s\t%s\t%.1fs\t%s\t%s\t%s\n", strings.Join(r.mutant.rows, " "), r.verdict, r.took.Seconds(), r.mutant.pkg, r.mutant.test, r.mutant.what)
	}
	_ = tw.Flush()
	_, _ = fmt.Fprintf(out, "mutants: %d patches, %d turn their test red, %d do not (%.0fs)\n", len(results), len(results)-bad, bad, took.Seconds())
	return bad == 0
}

package main

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
)

// A requirement is the list of rows that must have a passing test, or a line in
// the document that says why weir has no such part, and of those excused from
// it.
type requirement struct {
	rows   []row
	exempt map[row]string // the reason
}

// parseRequired reads lines of three kinds: "require A38-A83",
// "exempt A53 reason" and comments that start with '#'.
func parseRequired(r io.Reader) (*requirement, error) {
	req := &requirement{exempt: make(map[row]string)}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		verb, rest, _ := strings.Cut(line, " ")
		name, reason, _ := strings.Cut(strings.TrimSpace(rest), " ")
		rows, err := parseRange(name)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		reason = strings.TrimSpace(reason)
		switch {
		case verb == "require" && reason == "":
			req.rows = append(req.rows, rows...)
		case verb == "exempt" && reason != "":
			for _, r := range rows {
				req.exempt[r] = reason
			}
		default:
			return nil, fmt.Errorf("line %d: want %q or %q, got %q", n, "require A38-A83", "exempt A53 reason", line)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	for r := range req.exempt {
		if !slices.Contains(req.rows, r) {
			return nil, fmt.Errorf("row %v is exempt but not required", r)
		}
	}
	return req, nil
}

// check compares the requirement with the rows that are settled: they have a
// test, or no part in weir. missing are required rows that are not; stale are
// exempt rows that are, so that the exemption must go.
func (req *requirement) check(settled map[row]bool) (missing, stale []row) {
	for _, r := range req.rows {
		_, exempt := req.exempt[r]
		switch {
		case exempt && settled[r]:
			stale = append(stale, r)
		case !exempt && !settled[r]:
			missing = append(missing, r)
		}
	}
	return missing, stale
}

package main

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

var documentRow = regexp.MustCompile(`(?m)^\| ([` + allSeries + `]\d+) \|(.*)\| ([^|\n]*) \|$`)

const (
	noTests = "—"
	// noPart begins the last cell of a row for which weir has no such part. The
	// reason follows. It stands instead of tests, never beside them.
	noPart = "no such part: "
)

// fillDocument returns the document with the last cell of each row naming the
// tests that claim it, or why there is no such part in weir. Every row there is
// must stand in the document once.
func fillDocument(document []byte, all []line) ([]byte, error) {
	cells := testCells(all)
	seen := make(map[row]bool)
	var faults []string
	filled := documentRow.ReplaceAllFunc(document, func(text []byte) []byte {
		m := documentRow.FindSubmatch(text)
		r, err := parseRow(string(m[1]))
		if err != nil {
			faults = append(faults, err.Error())
			return text
		}
		if seen[r] {
			faults = append(faults, fmt.Sprintf("row %v stands twice", r))
		}
		seen[r] = true
		cell, ok := cells[r]
		switch was := string(m[3]); {
		case ok && strings.HasPrefix(was, noPart):
			faults = append(faults, fmt.Sprintf("row %v has a test and is said to have no such part", r))
			cell = was
		case ok:
		case strings.HasPrefix(was, noPart):
			cell = was
		default:
			cell = noTests
		}
		return fmt.Appendf(nil, "| %v |%s| %s |", r, m[2], cell)
	})
	var missing []row
	for _, series := range []byte(allSeries) {
		for n := 1; n <= lastNumber[series]; n++ {
			if r := (row{series, n}); !seen[r] {
				missing = append(missing, r)
			}
		}
	}
	if len(missing) > 0 {
		faults = append(faults, "no row "+rowList(missing))
	}
	if len(faults) > 0 {
		return nil, errors.New(strings.Join(faults, "; "))
	}
	return filled, nil
}

// withoutPart gives the rows for which the document says that weir has no such
// part, and why.
func withoutPart(document []byte) map[row]bool {
	without := make(map[row]bool)
	for _, m := range documentRow.FindAllSubmatch(document, -1) {
		why, ok := strings.CutPrefix(string(m[3]), noPart)
		if r, err := parseRow(string(m[1])); err == nil && ok && strings.TrimSpace(why) != "" {
			without[r] = true
		}
	}
	return without
}

// testCells gives the last cell of each row that has a test: packages in
// order, each with its tests.
func testCells(all []line) map[row]string {
	cells := make(map[row]string)
	packageOf := make(map[row]string)
	named := make(map[string]bool)
	for _, l := range all { // sorted by row, package, test
		key := l.row.String() + " " + l.claim.dir + " " + l.claim.test
		if named[key] {
			continue
		}
		named[key] = true
		switch {
		case cells[l.row] == "":
			cells[l.row] = "`" + l.claim.dir + "` " + l.claim.test
		case packageOf[l.row] == l.claim.dir:
			cells[l.row] += ", " + l.claim.test
		default:
			cells[l.row] += "; `" + l.claim.dir + "` " + l.claim.test
		}
		packageOf[l.row] = l.claim.dir
	}
	return cells
}

// checkDocument reports whether the document says what the tests say.
func checkDocument(document []byte, all []line) error {
	filled, err := fillDocument(document, all)
	if err != nil {
		return err
	}
	if !bytes.Equal(filled, document) {
		return errors.New("its last column is not what the tests claim: run make rows-doc")
	}
	return nil
}

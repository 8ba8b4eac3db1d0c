package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// A verdict is how a case ended.
type verdict string

const (
	passed  verdict = "passes"
	failed  verdict = "fails"
	skipped verdict = "skips"
)

// junit is h2spec's report, as far as it matters here.
type junit struct {
	Suites []struct {
		Package string `xml:"package,attr"`
		Cases   []struct {
			Failure *string `xml:"failure"`
			Error   *string `xml:"error"`
			Skipped *string `xml:"skipped"`
		} `xml:"testcase"`
	} `xml:"testsuite"`
}

// parseReport gives the verdicts of a report. A case has its section and
// number for a name, such as "http2/6.9.2/1": h2spec runs it alone by that.
func parseReport(report []byte) (map[string]verdict, error) {
	var j junit
	// h2spec shows octets as they are, also those that XML cannot have.
	report = bytes.Map(func(r rune) rune {
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' {
			return utf8.RuneError
		}
		return r
	}, report)
	if err := xml.Unmarshal(report, &j); err != nil {
		return nil, fmt.Errorf("h2spec's report: %w", err)
	}
	results := make(map[string]verdict)
	for _, suite := range j.Suites {
		for i, c := range suite.Cases {
			v := passed
			switch {
			case c.Failure != nil, c.Error != nil:
				v = failed
			case c.Skipped != nil:
				v = skipped
			}
			results[fmt.Sprintf("%s/%d", suite.Package, i+1)] = v
		}
	}
	return results, nil
}

// parseKnown reads the list of cases that do not pass, a line each: its name,
// "fails" or "skips", and the reason. Lines that begin with # are comments.
func parseKnown(list string) (map[string]verdict, error) {
	known := make(map[string]verdict)
	for i, line := range strings.Split(list, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		words := strings.Fields(line)
		if len(words) < 3 || words[1] != string(failed) && words[1] != string(skipped) {
			return nil, fmt.Errorf("line %d: want a case, \"fails\" or \"skips\", and the reason: %q", i+1, line)
		}
		if _, twice := known[words[0]]; twice {
			return nil, fmt.Errorf("line %d: %s stands there twice", i+1, words[0])
		}
		known[words[0]] = verdict(words[1])
	}
	return known, nil
}

// compare tells what is not as it is known to be.
func compare(results, known map[string]verdict) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(results)) {
		want, listed := known[name]
		switch got := results[name]; {
		case !listed && got != passed:
			errs = append(errs, fmt.Errorf("%s %s", name, got))
		case listed && got != want:
			errs = append(errs, fmt.Errorf("%s %s, h2spec-known.txt says that it %s: the list is stale", name, got, want))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if _, ran := results[name]; !ran {
			errs = append(errs, fmt.Errorf("%s of h2spec-known.txt did not run", name))
		}
	}
	return errors.Join(errs...)
}

// counts are the numbers of cases by verdict.
type counts map[verdict]int

func count(results map[string]verdict) counts {
	c := make(counts)
	for _, v := range results {
		c[v]++
	}
	return c
}

func (c counts) String() string {
	return fmt.Sprintf("%d cases: %d passed, %d failed and %d skipped as is known",
		c[passed]+c[failed]+c[skipped], c[passed], c[failed], c[skipped])
}

package main

import (
	"maps"
	"strings"
	"testing"
)

const report = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites>
  <testsuite name="2. Streams" package="generic/2" id="2" tests="2" skipped="0" failures="0" errors="1">
    <testcase package="generic/2" classname="one" time="0.1"></testcase>
    <testcase package="generic/2" classname="two" time="2.0"><error>PING opaque_data:h2spec` + "\x00\x00" + `</error></testcase>
  </testsuite>
  <testsuite name="6.9.2. Window" package="http2/6.9.2" id="6.9.2" tests="2" skipped="1" failures="1" errors="0">
    <testcase package="http2/6.9.2" classname="one" time="0.1"><skipped></skipped></testcase>
    <testcase package="http2/6.9.2" classname="two" time="0.1"><failure>GOAWAY</failure></testcase>
  </testsuite>
</testsuites>`

func TestParseReport(t *testing.T) {
	got, err := parseReport([]byte(report))
	want := map[string]verdict{"generic/2/1": passed, "generic/2/2": failed, "http2/6.9.2/1": skipped, "http2/6.9.2/2": failed}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
	if s := count(got).String(); s != "4 cases: 1 passed, 2 failed and 1 skipped as is known" {
		t.Errorf("counted %q", s)
	}
	if _, err := parseReport([]byte(report[:200])); err == nil {
		t.Error("half a report is taken for one")
	}
}

func TestParseKnown(t *testing.T) {
	for _, tt := range []struct{ list, fault string }{
		{"# a comment\n\na/1 fails for a reason\nb/2  skips  for another", ""},
		{"a/1 fails", "line 1: want"},
		{"\na/1 passes for no reason", "line 2: want"},
		{"a/1 fails as it does\na/1 fails as it does", "line 2: a/1 stands there twice"},
	} {
		got, err := parseKnown(tt.list)
		switch {
		case tt.fault != "":
			if err == nil || !strings.Contains(err.Error(), tt.fault) {
				t.Errorf("%q: error %v, want %q", tt.list, err, tt.fault)
			}
		case err != nil || !maps.Equal(got, map[string]verdict{"a/1": failed, "b/2": skipped}):
			t.Errorf("%q: %v, %v", tt.list, got, err)
		}
	}
}

// Whatever is not as the list has it is an error, for better or worse.
func TestCompare(t *testing.T) {
	results := map[string]verdict{"a/1": passed, "a/2": failed, "a/3": skipped}
	for _, tt := range []struct {
		name, fault string
		known       map[string]verdict
	}{
		{"as known", "", map[string]verdict{"a/2": failed, "a/3": skipped}},
		{"a new failure", "a/2 fails", map[string]verdict{"a/3": skipped}},
		{"a new skip", "a/3 skips", map[string]verdict{"a/2": failed}},
		{"a case that passes now", "a/1 passes, h2spec-known.txt says that it fails", map[string]verdict{"a/1": failed, "a/2": failed, "a/3": skipped}},
		{"a skip that fails", "a/2 fails, h2spec-known.txt says that it skips", map[string]verdict{"a/2": skipped, "a/3": skipped}},
		{"a case that is gone", "b/1 of h2spec-known.txt did not run", map[string]verdict{"a/2": failed, "a/3": skipped, "b/1": failed}},
	} {
		err := compare(results, tt.known)
		if (err == nil) != (tt.fault == "") || err != nil && err.Error() != tt.fault && !strings.HasPrefix(err.Error(), tt.fault+":") {
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.fault)
		}
	}
}

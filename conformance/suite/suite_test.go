package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestFlags(t *testing.T) {
	for _, tt := range []struct {
		name   string
		args   []string
		status int
		out    string // is part of it
	}{
		{"help", []string{"-help"}, statusOK, "race detector"},
		{"unknown", []string{"-fast"}, statusUsage, "flag provided but not defined: -fast"},
		{"argument", []string{"client"}, statusUsage, `suite: unexpected argument "client"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			if got := run(t.Context(), tt.args, &out, &out); got != tt.status {
				t.Errorf("exit status %d, want %d", got, tt.status)
			}
			if !strings.Contains(out.String(), tt.out) {
				t.Errorf("output %q, want %q in it", &out, tt.out)
			}
		})
	}
}

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		report string
		want   counts
		text   string
	}{
		{"", counts{}, "0 cases: 0 passed, 0 failed"},
		{"FAILED: a\n\nTotal cases: 646\n642 passed, 4 failed\n", counts{646, 642, 4, 0}, "646 cases: 642 passed, 4 failed"},
		{"Total cases: 646\n642 passed, 0 failed\n(Another 4 failed as expected due to being known failures/flakes.)", counts{646, 642, 0, 4}, "646 cases: 642 passed, 0 failed, 4 failed as is known"},
	} {
		if got := parse(tt.report); got != tt.want || got.String() != tt.text {
			t.Errorf("%q: %+v (%v), want %+v", tt.report, got, got, tt.want)
		}
	}
}

func TestArgs(t *testing.T) {
	for i, want := range []string{
		"--conf /r/grpc-full.yaml --mode client --known-failing @/r/known-failing-client.txt -- c",
		"--conf /r/grpc-full.yaml --mode server --known-failing @/r/known-failing-server.txt -- s",
		"--conf /r/grpc-full.yaml --mode both -- c ---- s",
	} {
		if got := modes[i].args("/r", "c", "s"); !slices.Equal(got, strings.Fields(want)) {
			t.Errorf("arguments %q, want %q", got, want)
		}
	}
}

// A run counts only if the runner ends well and has run every case.
func TestRun(t *testing.T) {
	m := mode{name: "both", cases: 3}
	for _, tt := range []struct{ name, script, fault string }{
		{"all pass", "echo 'Total cases: 3'; echo '3 passed, 0 failed'", ""},
		{"one is known", "echo 'Total cases: 3'; echo '2 passed, 0 failed'; echo '(Another 1 failed as expected due to ...)'", ""},
		{"one fails", "echo 'Total cases: 3'; echo '2 passed, 1 failed'; exit 1", "exit status 1"},
		{"one fails and it ends well", "echo 'Total cases: 3'; echo '2 passed, 1 failed'", "3 cases: 2 passed, 1 failed"},
		{"one is missing", "echo 'Total cases: 2'; echo '2 passed, 0 failed'", "2 cases ran, not 3"},
		{"it says nothing", "true", "0 cases ran, not 3"},
		{"it breaks", "echo 'bad configuration' >&2; exit 3", "exit status 3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			runner := filepath.Join(t.TempDir(), "runner")
			if err := os.WriteFile(runner, []byte("#!/bin/sh\n"+tt.script+"\n"), 0o700); err != nil {
				t.Fatal(err)
			}
			_, err := m.run(t.Context(), "/r", runner, "c", "s")
			if (err == nil) != (tt.fault == "") || err != nil && !strings.Contains(err.Error(), tt.fault) {
				t.Errorf("error %v, want %q", err, tt.fault)
			}
		})
	}
}

package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-rpc/weir/bench/internal/process"
	"github.com/weir-rpc/weir/bench/internal/report"
	"github.com/weir-rpc/weir/bench/internal/scenario"
	"github.com/weir-rpc/weir/internal/leak"
)

// TestMain is also the main of the processes that the benchmark starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == process.Argument {
		os.Exit(process.Main(os.Stdin, os.Stdout, os.Stderr))
	}
	// A process with the race detector waits for a second before it ends.
	os.Setenv("GORACE", os.Getenv("GORACE")+" atexit_sleep_ms=0")
	leak.Main(m)
}

func runFor(ctx context.Context, args ...string) (status int, out, errOut string) {
	var o, e strings.Builder
	status = run(ctx, args, &o, &e)
	return status, o.String(), e.String()
}

func TestCommandLine(t *testing.T) {
	for _, tt := range []struct {
		name   string
		args   []string
		status int
		out    string // is part of it
		errOut string
	}{
		{"help", []string{"-help"}, statusOK, "", "-scenario regexp"},
		{"list", []string{"-list"}, statusOK, "unary/32B/1\n", ""},
		{"unknown flag", []string{"-fast"}, statusUsage, "", "not defined: -fast"},
		{"argument", []string{"weir"}, statusUsage, "", `expected flags alone; came ["weir"]`},
		{"no scenario", []string{"-scenario", "h3"}, statusUsage, "", `came "h3"`},
		{"broken pattern", []string{"-scenario", "("}, statusUsage, "", "regular expression"},
		{"unknown peer", []string{"-peer", "weir,h3"}, statusUsage, "", `came ["h3"]`},
		{"no rounds", []string{"-rounds", "0"}, statusUsage, "", "-rounds: expected one or more; came 0"},
		{"no duration", []string{"-duration", "0s"}, statusUsage, "", "-duration and -warmup"},
		{"nowhere to", []string{"-contention"}, statusUsage, "", "-contention: expected -profile"},
		{"no number", []string{"-duration", "long"}, statusUsage, "", "invalid value"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, out, errOut := runFor(t.Context(), tt.args...)
			if status != tt.status {
				t.Errorf("exit status %d, want %d", status, tt.status)
			}
			if !strings.Contains(out, tt.out) || !strings.Contains(errOut, tt.errOut) {
				t.Errorf("stdout %q, stderr %q; want %q and %q in them", out, errOut, tt.out, tt.errOut)
			}
		})
	}
}

func TestQuick(t *testing.T) {
	for _, tt := range []struct {
		args     []string
		rounds   int
		duration time.Duration
		budget   time.Duration
		long     bool
	}{
		{nil, 5, time.Second, 0, true},
		{[]string{"-quick"}, quickRounds, quickDuration, quickBudget, false},
		{[]string{"-quick", "-rounds", "7"}, 7, quickDuration, quickBudget, false},
		{[]string{"-quick", "-scenario", "^slow/"}, quickRounds, quickDuration, quickBudget, true},
		{[]string{"-duration", "2s", "-quick"}, quickRounds, 2 * time.Second, quickBudget, false},
	} {
		o, err := parse(tt.args, t.Output())
		if err != nil {
			t.Fatal(err)
		}
		if o.rounds != tt.rounds || o.duration != tt.duration || o.budget != tt.budget {
			t.Errorf("%q: %d rounds of %v in %v, want %d of %v in %v", tt.args, o.rounds, o.duration, o.budget, tt.rounds, tt.duration, tt.budget)
		}
		if got := slices.ContainsFunc(o.scenarios, func(s scenario.Scenario) bool { return s.Long }); got != tt.long {
			t.Errorf("%q: long scenarios are measured: %t", tt.args, got)
		}
	}
}

func TestBenchmark(t *testing.T) {
	dir := t.TempDir()
	status, out, errOut := runFor(t.Context(), "-scenario", "^(unary/32B/1|observed/32B/1)$",
		"-rounds", "2", "-duration", "5ms", "-warmup", "1ms", "-out", filepath.Join(dir, "new"))
	if status != statusOK {
		t.Fatalf("exit status %d: %s", status, errOut)
	}
	for _, want := range []string{"unary/32B/1  calls/s", " weir  ", " grpc-go  ", "without connect-go: connect-go has no stats handlers"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in the table:\n%s", want, out)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "new", resultsFile))
	if err != nil {
		t.Fatal(err)
	}
	var results report.Results
	if err := json.Unmarshal(text, &results); err != nil {
		t.Fatal(err)
	}
	for _, c := range results.Cells {
		if want := 2; c.LeftOut == "" && (len(c.Rounds) != want || len(c.Raw) != want) {
			t.Errorf("%s of %s: %d rounds, and %d raw, want %d", c.Scenario.Name, c.Peer, len(c.Rounds), len(c.Raw), want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "new", plotFile)); err != nil {
		t.Error(err)
	}
}

func TestProfile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	status, _, errOut := runFor(t.Context(), "-scenario", "^unary/32B/1$", "-peer", "weir",
		"-rounds", "1", "-duration", "2ms", "-warmup", "1ms", "-profile", dir, "-contention")
	if status != statusOK {
		t.Fatalf("exit status %d: %s", status, errOut)
	}
	for _, name := range []string{"unary-32B-1.weir.client.cpu.pprof", "unary-32B-1.weir.server.mutex.pprof"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}

// TestPrepared: an open scenario has the rate, and a slow one the turns, of
// this machine.
func TestPrepared(t *testing.T) {
	dir := t.TempDir()
	status, out, errOut := runFor(t.Context(), "-scenario", "^(open/50|slow/cpu/16)$", "-peer", "weir,grpc-go",
		"-rounds", "1", "-duration", "5ms", "-warmup", "1ms", "-out", dir)
	if status != statusOK || !strings.Contains(out, "p99 ×") {
		t.Fatalf("exit status %d: %s\n%s", status, errOut, out)
	}
	text, err := os.ReadFile(filepath.Join(dir, resultsFile))
	if err != nil {
		t.Fatal(err)
	}
	var results report.Results
	if err := json.Unmarshal(text, &results); err != nil {
		t.Fatal(err)
	}
	for _, c := range results.Cells {
		if s := c.Scenario; s.Load > 0 && s.Rate < 1 || s.Burn > 0 && s.Turns < 10 {
			t.Errorf("%s: %v calls a second and %d turns", s.Name, s.Rate, s.Turns)
		}
	}
}

func TestForeignPeerThatIsNotBuilt(t *testing.T) {
	status, out, errOut := runFor(t.Context(), "-scenario", "^unary/32B/1$", "-peer", "grpc-go,grpc-c++",
		"-rounds", "1", "-duration", "2ms", "-warmup", "1ms", "-cpp", filepath.Join(t.TempDir(), "none"))
	if status != statusOK || !strings.Contains(out, "without grpc-c++: expected its program, which `make bench-cpp` builds") {
		t.Errorf("exit status %d, stdout %q, stderr %q; want a line about grpc-c++", status, out, errOut)
	}
}

func TestBenchmarkWithoutABaseline(t *testing.T) {
	dir := t.TempDir()
	status, out, errOut := runFor(t.Context(), "-scenario", "^unary/32B/1$", "-peer", "raw",
		"-rounds", "1", "-duration", "2ms", "-warmup", "1ms", "-out", dir)
	if status != statusOK || !strings.Contains(errOut, "no plot") || !strings.Contains(out, " raw ") {
		t.Errorf("exit status %d, stdout %q, stderr %q; want figures of raw and no plot", status, out, errOut)
	}
}

func TestOutThatCannotBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if status, _, errOut := runFor(t.Context(), "-out", file); status != statusFailed || !strings.Contains(errOut, "not a directory") {
		t.Errorf("exit status %d, stderr %q; want %d before anything is measured", status, errOut, statusFailed)
	}
}

func TestInterrupt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	status, _, errOut := runFor(ctx, "-scenario", "^unary/32B/1$", "-duration", "1m")
	if status != statusInterrupted || !strings.HasSuffix(errOut, "weirbench: interrupted\n") {
		t.Errorf("exit status %d, stderr %q; want %d and that it was interrupted", status, errOut, statusInterrupted)
	}
}

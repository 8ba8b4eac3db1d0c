package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// A verdict is what became of a mutant. Only "red" is as it should be.
type verdict string

const (
	verdictRed      verdict = "red"                // its test ran and failed
	verdictGreen    verdict = "GREEN"              // its test passed: the error is not found
	verdictNoTest   verdict = "NO TEST RAN"        // nothing has that name
	verdictNoBuild  verdict = "DOES NOT COMPILE"   // so nothing was shown
	verdictTooLong  verdict = "TAKES TOO LONG"     // a failure that nobody would wait for
	verdictNoPatch  verdict = "DOES NOT APPLY"     // the code has changed
	verdictNoResult verdict = "COULD NOT BE TRIED" // the machine is at fault
)

type result struct {
	mutant  mutant
	verdict verdict
	output  string
	took    time.Duration
}

// testTimeout is for one go test. The tests run on fake time and take a second
// or two.
const testTimeout = "100s"

// A runner runs tests with the go command.
type runner struct {
	root    string
	timeout string // for one go test
}

// baseline runs the tests of all mutants without any patch. It gives what was
// said if they do not pass.
func (r *runner) baseline(ctx context.Context, all []mutant) (string, error) {
	var bad strings.Builder
	tests := make(map[string][]string)
	for _, m := range all {
		tests[m.pkg] = append(tests[m.pkg], m.test)
	}
	for _, pkg := range slices.Sorted(maps.Keys(tests)) {
		verdict, said, err := r.goTest(ctx, pkg, strings.Join(tests[pkg], "|"))
		if err != nil {
			return "", err
		}
		if verdict != verdictGreen {
			fmt.Fprintf(&bad, "%s: %s\n%s", pkg, verdict, said)
		}
	}
	return bad.String(), nil
}

// mutant applies a patch and runs its test.
func (r *runner) mutant(ctx context.Context, m mutant) (res result) {
	res = result{mutant: m, verdict: verdictNoResult}
	start := time.Now()
	defer func() { res.took = time.Since(start) }()
	dir, err := os.MkdirTemp("", "mutant")
	if err != nil {
		res.output = err.Error()
		return res
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file, err := overlay(ctx, r.root, dir, m)
	if err != nil {
		res.verdict, res.output = verdictNoPatch, err.Error()
		return res
	}
	res.verdict, res.output, err = r.goTest(ctx, m.pkg, m.test, "-overlay="+file)
	if err != nil {
		res.verdict, res.output = verdictNoResult, err.Error()
	}
	return res
}

// goTest runs the tests of a package that an expression names.
func (r *runner) goTest(ctx context.Context, pkg, test string, flags ...string) (verdict, string, error) {
	args := append([]string{"test", "-json", "-vet=off", "-timeout=" + r.timeout}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, "-run="+test, pkg)...)
	cmd.Dir = r.root
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	runErr := cmd.Run()
	if exit := (*exec.ExitError)(nil); runErr != nil && !errors.As(runErr, &exit) {
		return "", "", runErr
	}
	v, said, err := judge(&stdout, runErr == nil)
	return v, stderr.String() + said, err
}

// An event is the part of `go test -json` output that is read here; see
// `go doc test2json`.
type event struct {
	Action string `json:"Action"`
	Test   string `json:"Test"`
	Output string `json:"Output"`
}

// judge reads what `go test -json` wrote. Where a goroutine panics, or a
// TestMain finds a leak, no test is said to fail: it is enough that one began.
func judge(stream io.Reader, passed bool) (verdict, string, error) {
	var said strings.Builder
	began, built := false, true
	for decoder := json.NewDecoder(stream); ; {
		var e event
		if err := decoder.Decode(&e); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return "", said.String(), err
		}
		said.WriteString(e.Output)
		began = began || e.Action == "run" && e.Test != ""
		built = built && e.Action != "build-fail"
	}
	switch text := said.String(); {
	case !built:
		return verdictNoBuild, text, nil
	case !began:
		return verdictNoTest, text, nil
	case passed:
		return verdictGreen, text, nil
	case strings.Contains(text, "panic: test timed out after"):
		return verdictTooLong, text, nil
	default:
		return verdictRed, text, nil
	}
}

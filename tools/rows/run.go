package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// An outcome is what the go command said about one test. Only "pass" proves a
// row: a test that skipped itself, or that never ran, proves nothing.
type outcome string

const (
	outcomePass outcome = "pass"
	outcomeFail outcome = "fail"
	outcomeSkip outcome = "skip"
	outcomeNone outcome = "not run"
)

// A testID names one test function of the workspace.
type testID struct{ dir, test string }

// An event is the part of `go test -json` output that is read here; see
// `go doc test2json`.
type event struct {
	Action string `json:"Action"`
	Test   string `json:"Test"`
	Output string `json:"Output"`
}

// A runner runs tests with the go command.
type runner struct {
	root  string   // directory that claim.dir is relative to
	flags []string // further flags for go test
}

// run runs exactly the tests that are claimed, one go test a package.
// failures holds the output of packages in which anything failed; it is not
// empty when all tests passed and the package failed afterwards, as it does
// when a TestMain finds a leak.
func (r *runner) run(ctx context.Context, claims []claim) (results map[testID]outcome, failures []string, err error) {
	byDir := make(map[string]map[string]bool)
	for _, c := range claims {
		if byDir[c.dir] == nil {
			byDir[c.dir] = make(map[string]bool)
		}
		byDir[c.dir][c.test] = true
	}
	results = make(map[testID]outcome)
	for _, dir := range slices.Sorted(maps.Keys(byDir)) {
		tests := slices.Sorted(maps.Keys(byDir[dir]))
		got, failure, err := r.runPackage(ctx, dir, tests)
		if err != nil {
			return nil, nil, err
		}
		if failure != "" {
			failures = append(failures, failure)
		}
		for _, test := range tests {
			results[testID{dir, test}] = got[test]
		}
	}
	return results, failures, nil
}

func (r *runner) runPackage(ctx context.Context, dir string, tests []string) (map[string]outcome, string, error) {
	quoted := make([]string, len(tests))
	for i, test := range tests {
		quoted[i] = regexp.QuoteMeta(test)
	}
	args := append([]string{"test", "-json", "-count=1", "-vet=off", "-timeout=5m"}, r.flags...)
	args = append(args, "-run=^("+strings.Join(quoted, "|")+")$", ".")
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = filepath.Join(r.root, filepath.FromSlash(dir))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	runErr := cmd.Run()
	if exit := (*exec.ExitError)(nil); runErr != nil && !errors.As(runErr, &exit) {
		return nil, "", fmt.Errorf("go test in %s: %w", dir, runErr)
	}
	if ctx.Err() != nil {
		return nil, "", context.Cause(ctx)
	}
	got, output, err := readEvents(&stdout, tests)
	if err != nil {
		return nil, "", fmt.Errorf("output of go test in %s: %w", dir, err)
	}
	if runErr == nil {
		return got, "", nil
	}
	return got, fmt.Sprintf("%s: %v\n%s%s", dir, runErr, stderr.String(), output), nil
}

// readEvents reads what `go test -json` wrote about the given tests, and
// gathers the text that a person would have seen.
func readEvents(stream io.Reader, tests []string) (map[string]outcome, string, error) {
	got := make(map[string]outcome, len(tests))
	for _, test := range tests {
		got[test] = outcomeNone
	}
	var output strings.Builder
	decoder := json.NewDecoder(stream)
	for {
		var e event
		if err := decoder.Decode(&e); errors.Is(err, io.EOF) {
			return got, output.String(), nil
		} else if err != nil {
			return nil, "", err
		}
		output.WriteString(e.Output)
		if _, asked := got[e.Test]; !asked {
			continue
		}
		switch e.Action {
		case "pass", "fail", "skip":
			got[e.Test] = outcome(e.Action)
		}
	}
}

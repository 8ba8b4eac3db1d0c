// Command h2spec runs h2spec, strictly, against weir's interop server over h2c
// and TLS: `go run ./conformance/h2spec`, or `make h2spec`. What may fail, and
// why, is in h2spec-known.txt; the exit status is 1 if anything else fails or
// is skipped, or if the list is not true any more.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/weir-rpc/weir/conformance/internal/programs"
)

// The exit statuses.
const (
	statusOK     = 0
	statusFailed = 1
	statusUsage  = 2
)

const (
	runTime = 5 * time.Minute // for h2spec to end, which takes half a minute
	cases   = 146             // of the pinned h2spec

	// caseTime is for an answer, in seconds. Over TLS, where no half of a
	// connection can be closed, a server that has drained waits five for its
	// client to close, which h2spec does not: twice that, for a busy machine.
	caseTime = "10"
)

func main() {
	ctx, release := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, release) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main without the process.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	flags := flag.NewFlagSet("h2spec", flag.ContinueOnError)
	flags.SetOutput(errOut)
	race := flags.Bool("race", false, "build weir's server with the race detector")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return statusOK
	case err != nil:
		return statusUsage // Parse has told
	case flags.NArg() > 0:
		fmt.Fprintf(errOut, "h2spec: unexpected argument %q\n", flags.Arg(0))
		return statusUsage
	}
	if err := check(ctx, *race, out); err != nil {
		fmt.Fprintf(errOut, "h2spec: %v\n", err)
		return statusFailed
	}
	return statusOK
}

// A security is what is under HTTP/2.
type security struct {
	name   string
	server []string // flags of the interop server
	h2spec []string // flags of h2spec
}

var securities = []security{
	{name: "h2c"},
	{name: "TLS", server: []string{"-use_tls"}, h2spec: []string{"--tls", "--insecure"}},
}

// check builds what is needed and runs h2spec over each security at once.
func check(ctx context.Context, race bool, out io.Writer) error {
	root, err := programs.Directory(ctx)
	if err != nil {
		return err
	}
	list, err := os.ReadFile(filepath.Join(root, "h2spec-known.txt"))
	if err != nil {
		return err
	}
	known, err := parseKnown(string(list))
	if err != nil {
		return fmt.Errorf("h2spec-known.txt: %w", err)
	}
	dir, err := os.MkdirTemp("", "weir-h2spec-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var flags []string
	if race {
		flags = []string{"-race"}
	}
	h2spec, err := programs.Build(ctx, root, programs.H2spec, dir)
	if err != nil {
		return err
	}
	server, err := programs.Build(ctx, root, programs.InteropServer, dir, flags...)
	if err != nil {
		return err
	}
	verdicts := make([]string, len(securities))
	errs := make([]error, len(securities))
	var wg sync.WaitGroup
	for i, s := range securities {
		wg.Go(func() { verdicts[i], errs[i] = s.check(ctx, h2spec, server, dir, known) })
	}
	wg.Wait()
	for i, s := range securities {
		if errs[i] != nil {
			errs[i] = fmt.Errorf("over %s: %w", s.name, errs[i])
			continue
		}
		fmt.Fprintf(out, "h2spec %s %s\n", s.name, verdicts[i])
	}
	return errors.Join(errs...)
}

// check runs h2spec once and compares its report with what is known.
func (s security) check(ctx context.Context, h2spec, server, dir string, known map[string]verdict) (string, error) {
	srv, err := start(ctx, server, append([]string{"-port", "0"}, s.server...)...)
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, s.name+".xml")
	begin := time.Now()
	said, err := s.run(ctx, h2spec, srv.port, file)
	if stopErr := srv.stop(); stopErr != nil {
		return "", fmt.Errorf("the server: %w", stopErr)
	}
	report, readErr := os.ReadFile(file)
	if readErr != nil {
		return "", fmt.Errorf("h2spec gave no report (%w):\n%s", errors.Join(err, readErr), said)
	}
	results, err := parseReport(report)
	if err != nil {
		return "", err
	}
	if len(results) != cases {
		return "", fmt.Errorf("%d cases ran, not %d: h2spec has changed, or did not end", len(results), cases)
	}
	if err := compare(results, known); err != nil {
		return "", fmt.Errorf("%w\n%s", err, failures(said))
	}
	return fmt.Sprintf("%v (%.1fs)", count(results), time.Since(begin).Seconds()), nil
}

// run runs h2spec to its end and gives what it said. It ends with an error if
// any case failed, as some do.
func (s security) run(ctx context.Context, h2spec, port, file string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, runTime)
	defer cancel()
	args := append([]string{"--strict", "--timeout", caseTime, "--host", "127.0.0.1", "--port", port, "--junit-report", file}, s.h2spec...)
	cmd := exec.CommandContext(ctx, h2spec, args...)
	cmd.WaitDelay = time.Second
	said, err := cmd.CombinedOutput()
	return string(said), err
}

// failures gives the part of h2spec's output that tells what was expected.
func failures(said string) string {
	_, after, _ := strings.Cut(said, "\nFailures:")
	return strings.TrimSpace(after)
}

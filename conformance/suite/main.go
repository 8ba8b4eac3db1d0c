// Command suite runs the connectrpc conformance suite over weir's client,
// weir's server and both together: `go run ./conformance/suite`, or `make
// conformance`. The exit status is 1 if a case failed, or if fewer or more
// cases ran than the configuration is known to have.
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
	"regexp"
	"strconv"
	"strings"
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

// modeTime bounds one mode, of which each takes some seconds.
const modeTime = 5 * time.Minute

// A mode is one run of the suite.
type mode struct {
	name  string
	cases int
	known string // file of the cases that are known to fail, or ""
}

var modes = []mode{
	{"client", 646, "known-failing-client.txt"},
	{"server", 570, "known-failing-server.txt"},
	{"both", 306, ""},
}

func main() {
	ctx, release := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, release) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main without the process.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	flags := flag.NewFlagSet("suite", flag.ContinueOnError)
	flags.SetOutput(errOut)
	race := flags.Bool("race", false, "build weir's programs with the race detector")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return statusOK
	case err != nil:
		return statusUsage // Parse has told
	case flags.NArg() > 0:
		fmt.Fprintf(errOut, "suite: unexpected argument %q\n", flags.Arg(0))
		return statusUsage
	}
	if err := suite(ctx, *race, out); err != nil {
		fmt.Fprintf(errOut, "suite: %v\n", err)
		return statusFailed
	}
	return statusOK
}

// suite builds what is needed and runs all modes.
func suite(ctx context.Context, race bool, out io.Writer) error {
	root, err := programs.Directory(ctx)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "weir-conformance-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var flags []string
	if race {
		flags = []string{"-race"}
	}
	runner, err := programs.Build(ctx, root, programs.Runner, dir)
	if err != nil {
		return err
	}
	client, err := programs.Build(ctx, root, programs.Client, dir, flags...)
	if err != nil {
		return err
	}
	server, err := programs.Build(ctx, root, programs.Server, dir, flags...)
	if err != nil {
		return err
	}
	var failed []string
	for _, m := range modes {
		begin := time.Now()
		report, err := m.run(ctx, root, runner, client, server)
		if err != nil {
			failed = append(failed, m.name)
			fmt.Fprintf(out, "%s\nconformance %s: FAILED: %v\n", strings.TrimSpace(report), m.name, err)
			continue
		}
		fmt.Fprintf(out, "conformance %-6s %s (%.1fs)\n", m.name, parse(report), time.Since(begin).Seconds())
	}
	if len(failed) > 0 {
		return fmt.Errorf("failed: %s", strings.Join(failed, " "))
	}
	return nil
}

// args are those of the runner.
func (m mode) args(root, client, server string) []string {
	args := []string{"--conf", filepath.Join(root, "grpc-full.yaml"), "--mode", m.name}
	if m.known != "" {
		args = append(args, "--known-failing", "@"+filepath.Join(root, m.known))
	}
	args = append(args, "--")
	switch m.name {
	case "client":
		return append(args, client)
	case "server":
		return append(args, server)
	}
	return append(args, client, "----", server)
}

// run runs the suite in one mode and gives what the runner said.
func (m mode) run(ctx context.Context, root, runner, client, server string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, modeTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, runner, m.args(root, client, server)...)
	cmd.WaitDelay = 20 * time.Second // the programs that the runner has started hold its output
	said, err := cmd.CombinedOutput()
	report := string(said)
	switch c := parse(report); {
	case ctx.Err() != nil:
		return report, fmt.Errorf("no end after %v", modeTime)
	case err != nil:
		return report, err
	case c.total != m.cases:
		return report, fmt.Errorf("%d cases ran, not %d: the suite or its configuration has changed", c.total, m.cases)
	case c.passed+c.known != c.total || c.failed > 0:
		return report, fmt.Errorf("%v", c)
	}
	return report, nil
}

// counts are the numbers of the runner's report.
type counts struct{ total, passed, failed, known int }

func (c counts) String() string {
	s := fmt.Sprintf("%d cases: %d passed, %d failed", c.total, c.passed, c.failed)
	if c.known > 0 {
		s += fmt.Sprintf(", %d failed as is known", c.known)
	}
	return s
}

var summary = regexp.MustCompile(`(?m)^Total cases: (\d+)\n(\d+) passed, (\d+) failed(?:\n\(Another (\d+) failed as expected)?`)

// parse gives the numbers of a report, all zero if it has none.
func parse(report string) (c counts) {
	found := summary.FindStringSubmatch(report)
	if found == nil {
		return c
	}
	for i, to := range []*int{&c.total, &c.passed, &c.failed, &c.known} {
		*to, _ = strconv.Atoi(found[i+1]) // digits, or nothing
	}
	return c
}

package main

import (
	"bytes"
	"context"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/weir-rpc/weir/internal/leak"

	"github.com/weir-rpc/weir/cmd/weir/internal/load"
)

// TestMain is also the main of the load's processes: the demo starts the
// program that it runs in, which is here the test.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == load.ServerCommand || os.Args[1] == load.ClientCommand) {
		os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	// A process with the race detector waits for a second before it ends.
	os.Setenv("GORACE", os.Getenv("GORACE")+" atexit_sleep_ms=0")
	// Tests that wait beside each other need no processor of their own.
	flag.Parse()
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	leak.Main(m)
}

// result is what a run of the program leaves.
type result struct {
	status      int
	out, errOut string
}

func runFor(ctx context.Context, args ...string) result {
	var out, errOut bytes.Buffer
	status := run(ctx, args, strings.NewReader(""), &out, &errOut)
	return result{status, out.String(), errOut.String()}
}

func TestCommandLine(t *testing.T) {
	for _, tt := range []struct {
		name   string
		args   []string
		status int
		out    string // is part of it
		errOut string
	}{
		{"no command", []string{}, statusOK, "demo", ""},
		{"help", []string{"demo", "--help"}, statusOK, "--skip-load", ""},
		{"unknown command", []string{"dame"}, statusUsage, "", `unknown command "dame"`},
		{"unknown flag", []string{"demo", "--fast"}, statusUsage, "", "weir demo: unknown flag: --fast"},
		{"argument", []string{"demo", "weir"}, statusUsage, "", `weir demo: expected no argument; came "weir"`},
		{"no time", []string{"demo", "--limit", "0s"}, statusUsage, "", "weir demo: --limit: expected a duration above zero; came 0s"},
		{"less than no time", []string{"demo", "--skip-load", "--limit", "-5s"}, statusUsage, "", "came -5s"},
		{"load over an unknown peer", []string{"demo-load-server", "--peer", "h3"}, statusFailed, "", `expected weir or grpc-go; came "h3"`},
		{"load that ends at once", []string{"demo-load-server", "--peer", "grpc-go"}, statusOK, `{"address":"127.0.0.1:`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := runFor(t.Context(), tt.args...)
			if r.status != tt.status {
				t.Errorf("exit status %d, want %d", r.status, tt.status)
			}
			if !strings.Contains(r.out, tt.out) || !strings.Contains(r.errOut, tt.errOut) {
				t.Errorf("stdout %q, stderr %q; want %q and %q in them", r.out, r.errOut, tt.out, tt.errOut)
			}
			if tt.errOut == "" && r.errOut != "" {
				t.Errorf("stderr %q, want none", r.errOut)
			}
		})
	}
}

func TestHelpHidesTheProcessesOfTheLoad(t *testing.T) {
	if r := runFor(t.Context(), "--help"); strings.Contains(r.out, "demo-load") {
		t.Errorf("help shows a hidden command:\n%s", r.out)
	}
}

// Command matrix runs all interop cases between weir's programs and grpc-go's,
// each as a process of its own, over plain TCP and TLS:
// `go run ./interop/matrix`, or `make interop`. The exit status is 1 if a case
// failed.
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
	"syscall"

	"github.com/weir-rpc/weir/interop/internal/cases"
)

// The exit statuses.
const (
	statusOK     = 0
	statusFailed = 1
	statusUsage  = 2
)

func main() {
	ctx, release := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, release) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// options are what the flags say.
type options struct {
	cases []cases.Case
	race  bool
}

// errUsage says that the flags are wrong, which out has been told.
var errUsage = errors.New("usage")

func parse(args []string, out io.Writer) (*options, error) {
	var o options
	var names string
	flags := flag.NewFlagSet("matrix", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&names, "cases", "", "the `names` of the cases to run, with commas between them (default: all)")
	flags.BoolVar(&o.race, "race", false, "build weir's programs with the race detector")
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return nil, err
	case err != nil:
		return nil, errUsage // Parse has told
	case flags.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case names == "":
		o.cases = cases.All
	default:
		for name := range strings.SplitSeq(names, ",") {
			c := cases.Named(name)
			if c == nil {
				err = fmt.Errorf("unknown test case %q: the cases are %s", name, strings.Join(cases.Names(), " "))
				break
			}
			o.cases = append(o.cases, *c)
		}
	}
	if err != nil {
		fmt.Fprintf(out, "matrix: %v\n", err)
		return nil, errUsage
	}
	return &o, nil
}

// run is main without the process.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	o, err := parse(args, errOut)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return statusOK
	case err != nil:
		return statusUsage
	}
	if err := o.matrix(ctx, out); err != nil {
		fmt.Fprintf(errOut, "matrix: %v\n", err)
		return statusFailed
	}
	return statusOK
}

func (o *options) matrix(ctx context.Context, out io.Writer) error {
	dir, err := os.MkdirTemp("", "weir-interop-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var race []string
	if o.race {
		race = []string{"-race"}
	}
	weir, err := build(ctx, "weir", dir, "github.com/weir-rpc/weir/interop/", race...)
	if err != nil {
		return err
	}
	grpcGo, err := build(ctx, "grpc-go", dir, "google.golang.org/grpc/interop/")
	if err != nil {
		return err
	}
	return runPlan(ctx, out, plan(weir, grpcGo), o.cases)
}

// build builds the programs client and server below an import path.
func build(ctx context.Context, name, dir, path string, flags ...string) (*implementation, error) {
	impl := &implementation{name: name}
	for program, command := range map[string]*[]string{"client": &impl.client, "server": &impl.server} {
		binary := filepath.Join(dir, name+"-"+program)
		args := append([]string{"build", "-o", binary}, flags...)
		built, err := exec.CommandContext(ctx, "go", append(args, path+program)...).CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("go build %s%s: %w\n%s", path, program, err, built)
		}
		*command = []string{binary}
	}
	return impl, nil
}

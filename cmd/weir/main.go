// Command weir shows and measures the weir transport. Its first command is
// demo: `go run ./cmd/weir demo`.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-rpc/weir/cmd/weir/internal/checks"
	"github.com/weir-rpc/weir/cmd/weir/internal/gauge"
)

// The exit statuses.
const (
	statusOK          = 0
	statusFailed      = 1 // something was not as expected
	statusUsage       = 2
	statusInterrupted = 130
)

func main() {
	ctx, release := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A later signal ends the program at once. Those that come with the first,
	// for the group and for the process, do not.
	context.AfterFunc(ctx, func() { time.AfterFunc(time.Second, release) })
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// failure is an error that the command has already shown.
type failure struct{ error }

// run is main without the process. It has stopped all that it started when it
// returns.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	root := rootCommand(
		demoCommand(func() checks.Gauge { return gauge.New() }, demoLimit),
		demoLoadServerCommand(),
		demoLoadClientCommand(),
	)
	return execute(ctx, root, args, in, out, errOut)
}

func rootCommand(commands ...*cobra.Command) *cobra.Command {
	root := &cobra.Command{
		Use:           "weir",
		Short:         "Show and measure the weir transport",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(commands...)
	return root
}

// execute runs the command that the arguments name and gives its exit status.
func execute(ctx context.Context, root *cobra.Command, args []string, in io.Reader, out, errOut io.Writer) int {
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)

	called, err := root.ExecuteContextC(ctx)
	var shown failure
	var measured runError
	switch {
	case err == nil:
		return statusOK
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		fmt.Fprintln(errOut, "interrupted")
		return statusInterrupted
	case errors.As(err, &shown):
		return statusFailed
	case errors.As(err, &measured):
		fmt.Fprintf(errOut, "%s: %v\n", called.CommandPath(), err)
		return statusFailed
	default:
		fmt.Fprintf(errOut, "%s: %v\n\n%s", called.CommandPath(), err, called.UsageString())
		return statusUsage
	}
}

// runError is an error of a command that was called as it should be.
type runError struct{ error }

// runs makes errors of f runErrors, so that they are told from those of the
// command line.
func runs(f func(cmd *cobra.Command) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		if err := f(cmd); err != nil {
			return runError{err}
		}
		return nil
	}
}

func (e runError) Unwrap() error { return e.error }
func (e failure) Unwrap() error  { return e.error }

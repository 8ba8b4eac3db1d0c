// Command client is a gRPC interop client on weir. Its flags are those of all
// gRPC interop clients:
// https://github.com/grpc/grpc/blob/master/doc/interop-test-descriptions.md
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/interop/internal/cases"
)

// The exit statuses. Cases of grpc-go's own end the process with 1 too.
const (
	statusOK     = 0
	statusFailed = 1
	statusUsage  = 2
)

func main() {
	ctx, release := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, release) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stderr))
}

// run is main without the process.
func run(ctx context.Context, args []string, out io.Writer) int {
	o, err := parse(args, out)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return statusOK
	case err != nil:
		return statusUsage
	}
	if err := o.test(ctx, out); err != nil {
		fmt.Fprintf(out, "client: %s: %v\n", o.testCase.Name, err)
		return statusFailed
	}
	return statusOK
}

// test runs the case that the flags name.
func (o *options) test(ctx context.Context, out io.Writer) error {
	dialOptions, err := o.dialOptions()
	if err != nil {
		return err
	}
	dial := func() (*weir.Client, error) { return weir.NewClient(o.address(), dialOptions...) }
	client, err := dial()
	if err != nil {
		return err
	}
	err = o.testCase.Run(ctx, &cases.Target{Client: client, Dial: dial, Soak: o.soak, Log: out})
	return errors.Join(err, client.Close())
}

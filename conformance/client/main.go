// Command client is the client that the connectrpc conformance suite tests. It
// reads ClientCompatRequests from stdin, makes the call that each describes
// with weir, and writes a ClientCompatResponse for each to stdout. It ends when
// stdin has.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"

	_ "google.golang.org/grpc/encoding/gzip" // the suite asks for it

	"github.com/weir-rpc/weir/conformance/internal/conformancepb"
	"github.com/weir-rpc/weir/conformance/internal/pipe"
)

// parallel is how many calls are made at a time.
const parallel = 8

func main() {
	ctx, release := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, release) // a second signal ends the program at once
	if err := run(ctx, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "client: %v\n", err)
		os.Exit(1)
	}
}

// run is main without the process. When ctx ends, so do the calls.
func run(ctx context.Context, in io.Reader, out io.Writer) error {
	var calls sync.WaitGroup
	var mu sync.Mutex // one answer is written at a time
	var failed error  // guarded by mu
	slots := make(chan struct{}, parallel)
	err := requests(in, func(req *conformancepb.ClientCompatRequest) {
		slots <- struct{}{}
		calls.Go(func() {
			defer func() { <-slots }()
			resp := answer(ctx, req)
			mu.Lock()
			defer mu.Unlock()
			failed = errors.Join(failed, pipe.Write(out, resp))
		})
	})
	calls.Wait()
	if err == nil {
		err = failed
	}
	return err
}

// requests calls f for each request until in ends.
func requests(in io.Reader, f func(*conformancepb.ClientCompatRequest)) error {
	for {
		req := new(conformancepb.ClientCompatRequest)
		switch err := pipe.Read(in, req); {
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("the runner's requests on stdin: %w", err)
		}
		f(req)
	}
}

// answer makes the call that req describes.
func answer(ctx context.Context, req *conformancepb.ClientCompatRequest) *conformancepb.ClientCompatResponse {
	resp := &conformancepb.ClientCompatResponse{TestName: req.TestName}
	result, err := perform(ctx, req)
	if err != nil {
		resp.Result = &conformancepb.ClientCompatResponse_Error{Error: &conformancepb.ClientErrorResult{Message: err.Error()}}
	} else {
		resp.Result = &conformancepb.ClientCompatResponse_Response{Response: result}
	}
	return resp
}

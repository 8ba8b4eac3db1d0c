// Mutants shows that tests find the errors they are there for.
//
// Each patch of testdata/mutants brings one error back into the code, and
// names the test that must turn red. It is applied to copies, which the go
// command takes in place of the files (its -overlay), so that the checkout is
// left alone and the build cache serves all of them. The exit status is 1 when
// a patch does not apply or compile, when its test stays green, and when that
// test does not pass without it.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"sync"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code, err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "mutants:", err)
	}
	os.Exit(code)
}

func run(ctx context.Context, args []string, out io.Writer) (int, error) {
	flags := flag.NewFlagSet("mutants", flag.ContinueOnError)
	root := flags.String("root", ".", "directory of the checkout")
	dir := flags.String("dir", "testdata/mutants", "directory of the patches, relative to root")
	only := flags.String("run", "", "only patches whose name matches this expression")
	workers := flags.Int("j", runtime.GOMAXPROCS(0), "patches at a time")
	verbose := flags.Bool("v", false, "print what the go command says of each patch")
	if err := flags.Parse(args); err != nil {
		return 2, err
	}
	match, err := regexp.Compile(*only)
	if err != nil {
		return 2, err
	}
	abs, err := filepath.Abs(*root)
	if err != nil {
		return 2, err
	}
	all, err := readMutants(os.DirFS(filepath.Join(abs, filepath.FromSlash(*dir))), match)
	if err != nil {
		return 2, err
	}
	r := runner{root: abs, timeout: testTimeout}
	start := time.Now()
	if bad, err := r.baseline(ctx, all); err != nil {
		return 2, err
	} else if bad != "" {
		_, _ = fmt.Fprintf(out, "%s\nmutants: without any patch the tests do not pass\n", bad)
		return 1, nil
	}
	results := make([]result, len(all))
	each(max(*workers, 1), len(all), func(i int) { results[i] = r.mutant(ctx, all[i]) })
	if ctx.Err() != nil {
		return 2, context.Cause(ctx)
	}
	if report(out, results, *verbose, time.Since(start)) {
		return 0, nil
	}
	return 1, nil
}

// each calls f with 0 to n-1, on so many goroutines.
func each(workers, n int, f func(int)) {
	next := make(chan int)
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	all.Wait()
}

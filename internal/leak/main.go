package leak

import (
	"flag"
	"fmt"
	"io"
	"os"
	"testing"
)

// Main runs the tests of a package and ends the process: with the tests' own
// verdict if they failed, else with 1 and the stacks on stderr if goroutines
// or pooled buffers are left twenty seconds after the last test.
//
// Buffers are not watched while benchmarks or a fuzz target run, because
// watching costs a stack for each.
func Main(m *testing.M) {
	if !flag.Parsed() {
		flag.Parse()
	}
	os.Exit(run(m, os.Stderr))
}

func run(m interface{ Run() int }, stderr io.Writer) int {
	before := takeCensus()
	outstanding := watchBuffers()
	if code := m.Run(); code != 0 {
		return code // a test that fails halfway may leave things behind
	}
	left := before.waitForEnd()
	for _, g := range left {
		fmt.Fprintf(stderr, "leak: the tests left a goroutine behind:\n%s\n\n", g.stack)
	}
	buffers := outstanding()
	for _, b := range buffers {
		fmt.Fprintf(stderr, "leak: the tests left a buffer behind: %s\n", b)
	}
	if len(left)+len(buffers) > 0 {
		fmt.Fprintf(stderr, "FAIL\tleak: %d goroutines and %d buffers are left\n", len(left), len(buffers))
		return 1
	}
	return 0
}

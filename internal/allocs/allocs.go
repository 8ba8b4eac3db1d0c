// Package allocs holds tests to a budget of allocations: those of the whole
// process, with everything that a call does on either side.
package allocs

import (
	"flag"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"testing"
)

// Alone reports whether allocations can be counted here, and otherwise sees to
// it that they are: it runs the test again, in a process of its own with
// -bench, where nobody else allocates and nobody watches the buffers, for
// which each of them costs a stack. Under the race detector the test is
// skipped.
func Alone(t *testing.T) bool {
	t.Helper()
	if underRace() {
		t.Skip("the race detector makes sync.Pool drop objects at random, and allocates itself")
	}
	if f := flag.Lookup("test.bench"); f.Value.String() != "" {
		return true
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), program, "-test.run=^"+t.Name()+"$", "-test.bench=^$", "-test.v").CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

// rounds is how often calls are counted. What else happens in the process adds
// to some rounds, and takes nothing from any.
const rounds = 5

// PerCall gives how often all goroutines together allocate for one call, in
// the round of calls that allocated least. The garbage collector is off
// meanwhile, for it empties pools, and they would be filled again.
func PerCall(t *testing.T, calls int, call func() error) float64 {
	t.Helper()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	var least uint64
	for round := range rounds + 1 { // the first one warms up
		before := mallocs()
		for range calls {
			if err := call(); err != nil {
				t.Fatal(err)
			}
		}
		if n := mallocs() - before; round == 1 || round > 1 && n < least {
			least = n
		}
		runtime.GC() // no round pays for the garbage of another
	}
	return float64(least) / float64(calls)
}

// Slack is what a call may be above its budget: what is allocated every few
// calls, by the runtime above all.
const Slack = 0.3

// Budget fails the test if a call allocates more often than budget says.
func Budget(t *testing.T, budget float64, calls int, call func() error) {
	t.Helper()
	n := PerCall(t, calls, call)
	t.Logf("%.2f allocations per call", n)
	if n > budget+Slack {
		t.Errorf("%.2f allocations per call, the budget is %v. To see where they are made, here in the package's directory:\n"+
			"\tgo test -run '^%s$' -bench '^$' -memprofile mem.pprof -memprofilerate 1 . && go tool pprof -sample_index=alloc_objects -top mem.pprof\n"+
			"docs/hot-path.md says which of them belong to a call.", n, budget, t.Name())
	}
}

func mallocs() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Mallocs
}

// underRace reports whether the test was built with -race.
func underRace() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

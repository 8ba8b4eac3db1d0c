package allocs

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
)

var sink any

// makes gives a call that allocates n times, on another goroutine, which ends
// with the test.
func makes(t *testing.T, n int) func() error {
	begin, end := make(chan int), make(chan error)
	go func() {
		for n := range begin {
			for range n {
				sink = new([4]int)
			}
			end <- nil
		}
	}()
	t.Cleanup(func() { close(begin) })
	return func() error {
		begin <- n
		return <-end
	}
}

func TestPerCall(t *testing.T) {
	if !Alone(t) {
		return
	}
	for _, n := range []int{0, 1, 7} {
		if got := PerCall(t, 1000, makes(t, n)); got < float64(n) || got > float64(n)+Slack {
			t.Errorf("counted %.2f, want %d", got, n)
		}
	}
}

// What a pool held at the beginning is not counted, and the garbage of a call
// does not empty it.
func TestPerCall_Pool_StaysFull(t *testing.T) {
	if !Alone(t) {
		return
	}
	p := sync.Pool{New: func() any { return new([1 << 10]int) }}
	got := PerCall(t, 1000, func() error {
		p.Put(p.Get())
		return nil
	})
	if got > Slack {
		t.Errorf("counted %.2f, want none", got)
	}
}

func TestPerCall_Collector_IsOnAgain(t *testing.T) {
	PerCall(t, 1, func() error { return nil })
	var before, after runtime.MemStats
	for runtime.ReadMemStats(&before); after.NumGC == before.NumGC || after.NumGC == 0; runtime.ReadMemStats(&after) {
		sink = make([]byte, 1<<20) // until it runs by itself
	}
}

// A budget that does not suffice fails, and says how to find the allocations.
func TestBudget(t *testing.T) {
	const child = "WEIR_ALLOCS_BUDGET"
	switch os.Getenv(child) {
	case "2":
		Budget(t, 2, 1000, makes(t, 3))
	case "3":
		Budget(t, 3, 1000, makes(t, 3))
	default:
		for budget, says := range map[string]string{"2": "the budget is 2", "3": "PASS"} {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestBudget$", "-test.bench=^$", "-test.v")
			cmd.Env = append(os.Environ(), child+"="+budget)
			out, err := cmd.CombinedOutput()
			if failed := err != nil; failed != (budget == "2") {
				t.Errorf("with a budget of %s: %v\n%s", budget, err, out)
			}
			if !strings.Contains(string(out), says) || !strings.Contains(string(out), "3.0") {
				t.Errorf("it does not say %q:\n%s", says, out)
			}
		}
	}
}

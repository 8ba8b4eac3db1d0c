package weir_test

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// A unary call through the generated stub costs at most 12 allocations, those
// of client, server, stub, handler and messages together. What is asked for
// here is less where there is less.
func TestUnaryAllocationBudget(t *testing.T) {
	if underRace() {
		t.Skip("the race detector makes sync.Pool drop objects at random, and allocates itself")
	}
	if flag.Lookup("test.bench").Value.String() == "" {
		allocationsAlone(t)
		return
	}
	c, _ := pairings[0].start(t, mirror{})
	empty, body := new(testpb.Empty), &testpb.SimpleRequest{Payload: &testpb.Payload{Body: make([]byte, 100)}}
	tests := []struct {
		name   string
		budget float64
		call   func(ctx context.Context) error
	}{
		{"empty", 7, func(ctx context.Context) error {
			_, err := c.EmptyCall(ctx, empty)
			return err
		}},
		{"with a deadline", 12, func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, time.Minute) // five are the context's own
			defer cancel()
			_, err := c.EmptyCall(ctx, empty)
			return err
		}},
		{"100 octets each way", 12, func(ctx context.Context) error { // four are payloads and bodies
			_, err := c.UnaryCall(ctx, body)
			return err
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := allocations(t, 5000, func() error { return tt.call(t.Context()) })
			t.Logf("%.2f allocations per call", n)
			if n > tt.budget+0.5 { // the runtime has its own now and then
				t.Errorf("%.2f allocations per call, the budget is %v", n, tt.budget)
			}
		})
	}
}

// mirror answers with the payload that it got.
type mirror struct{ echo }

func (mirror) UnaryCall(_ context.Context, in *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	return &testpb.SimpleResponse{Payload: in.GetPayload()}, nil
}

// allocationsAlone runs the test that calls it in a process of its own with
// -bench, where nobody watches the buffers: a watched one costs a stack.
func allocationsAlone(t *testing.T) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), program, "-test.run=^"+t.Name()+"$", "-test.bench=^$", "-test.v").CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// allocations gives how often all goroutines together allocate for one call.
func allocations(t *testing.T, calls int, call func() error) float64 {
	t.Helper()
	var before, after runtime.MemStats
	for _, m := range []*runtime.MemStats{&before, &after} { // the first round warms up
		for range calls {
			if err := call(); err != nil {
				t.Fatal(err)
			}
		}
		runtime.ReadMemStats(m)
	}
	return float64(after.Mallocs-before.Mallocs) / float64(calls)
}

// underRace reports whether the test was built with -race.
func underRace() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

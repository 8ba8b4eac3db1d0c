package load

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/weir-rpc/weir/cmd/weir/internal/peers"
)

func plan(t *testing.T) Plan {
	t.Helper()
	return Plan{
		Program:     program(t),
		Subject:     peers.Weir(),
		Baseline:    peers.GRPC(),
		Outstanding: 8,
		Rounds:      3,
		Warmup:      10 * time.Millisecond,
		Window:      200 * time.Millisecond,
	}
}

func TestCompare(t *testing.T) {
	p := plan(t)
	var steps []string
	p.Progress = func(step, of int, doing string) {
		if step != len(steps) || of != 8 {
			t.Errorf("step %d of %d, want %d of 8", step, of, len(steps))
		}
		steps = append(steps, doing)
	}
	report, err := Compare(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if len(steps) != 8 || !strings.Contains(steps[2], "round 1 of 3") || !strings.HasPrefix(steps[3], "grpc-go") {
		t.Errorf("the steps were %q, want two starts and then three rounds of each, in turns", steps)
	}
	for _, s := range []Side{report.Subject, report.Baseline} {
		if len(s.Rounds) != 3 {
			t.Errorf("%s has %d rounds, want 3", s.Name, len(s.Rounds))
		}
		for _, f := range append(s.Rounds, s.Median) {
			// A unary call of grpc-go allocates some 140 objects on both sides.
			if f.CallsPerSecond <= 0 || f.CPUPerCall <= 0 || f.AllocsPerCall < 1 || f.AllocsPerCall > 10000 ||
				f.P50 <= 0 || f.P99 < f.P50 {
				t.Errorf("%s measured %+v, which cannot be", s.Name, f)
			}
		}
	}
}

func TestCompareLeavesRoundsOut(t *testing.T) {
	p := plan(t)
	p.Rounds = 1000
	p.Until = time.Now() // which is over when the first round is
	report, err := Compare(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := len(report.Subject.Rounds), len(report.Baseline.Rounds); a != 1 || b != 1 {
		t.Errorf("%d and %d rounds, want one each", a, b)
	}
}

func TestCompareInterrupted(t *testing.T) {
	p := plan(t)
	p.Window = time.Minute
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p.Progress = func(step, _ int, _ string) {
		if step == 2 {
			time.AfterFunc(20*time.Millisecond, cancel)
		}
	}
	started := time.Now()
	if _, err := Compare(ctx, p); !errors.Is(err, context.Canceled) {
		t.Errorf("Compare gave %v, want context.Canceled", err)
	}
	if took := time.Since(started); took > 30*time.Second {
		t.Errorf("Compare took %v to notice that it was interrupted", took)
	}
}

func TestCompareWithoutItsProgram(t *testing.T) {
	p := plan(t)
	p.Program += " of someone else"
	if _, err := Compare(t.Context(), p); err == nil {
		t.Error("Compare gave no error for a program that is not there")
	}
}

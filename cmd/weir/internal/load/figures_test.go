package load

import (
	"testing"
	"time"
)

func TestFiguresAreOfBothProcesses(t *testing.T) {
	got, err := newFigures(
		Window{Calls: 100, Elapsed: 2 * time.Second, P50: 3, P99: 4, Used: Usage{CPU: 600 * time.Microsecond, Allocs: 1000}},
		Usage{CPU: 400 * time.Microsecond, Allocs: 250})
	if err != nil {
		t.Fatal(err)
	}
	want := Figures{CallsPerSecond: 50, CPUPerCall: 10 * time.Microsecond, AllocsPerCall: 12.5, P50: 3, P99: 4}
	if got != want {
		t.Errorf("newFigures() = %+v, want %+v", got, want)
	}
}

func TestWindowWithoutCalls(t *testing.T) {
	if _, err := newFigures(Window{Elapsed: time.Second}, Usage{}); err == nil {
		t.Error("newFigures() gave no error for a window without calls")
	}
}

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		of   []float64
		want float64
	}{
		{nil, 0},
		{[]float64{7}, 7},
		{[]float64{9, 1}, 5},
		{[]float64{100, 1, 2}, 2},
		{[]float64{4, 1, 3, 1000}, 3.5},
	} {
		if got := median(tt.of, func(f float64) float64 { return f }); got != tt.want {
			t.Errorf("median(%v) = %v, want %v", tt.of, got, tt.want)
		}
	}
}

// Each round is set against its neighbour, so a slow moment of the machine that
// meets both does not change the ratio.
func TestRatiosArePaired(t *testing.T) {
	rounds := func(cpu ...time.Duration) Side {
		var s Side
		for _, c := range cpu {
			s.Rounds = append(s.Rounds, Figures{CPUPerCall: c, CallsPerSecond: 1 / float64(c), P50: c, P99: 2 * c})
		}
		return s
	}
	r := newReport(rounds(10, 40, 20), rounds(80, 320, 160)).BaselineOverSubject
	want := Ratios{CPUPerCall: 8, CallsPerSecond: 0.125, P50: 8, P99: 8, AllocsPerCall: 0}
	if r != want {
		t.Errorf("ratios %+v, want %+v", r, want)
	}
}

func TestSpread(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(100 - i)
	}
	for _, tt := range []struct {
		lanes    [][]time.Duration
		n        int
		p50, p99 time.Duration
	}{
		{nil, 0, 0, 0},
		{[][]time.Duration{{}, {5}}, 1, 5, 5},
		{[][]time.Duration{{3, 1}, {2}}, 3, 2, 3},
		{[][]time.Duration{hundred[:30], hundred[30:]}, 100, 50, 99},
	} {
		n, p50, p99 := spread(tt.lanes)
		if n != tt.n || p50 != tt.p50 || p99 != tt.p99 {
			t.Errorf("spread(%v) = %d, %d, %d; want %d, %d, %d", tt.lanes, n, p50, p99, tt.n, tt.p50, tt.p99)
		}
	}
}

package load

import (
	"fmt"
	"slices"
	"time"
)

// Figures are those of one round, or the medians of several.
type Figures struct {
	CallsPerSecond float64       `json:"calls_per_second"`
	CPUPerCall     time.Duration `json:"cpu_ns_per_call"` // client and server
	AllocsPerCall  float64       `json:"allocs_per_call"` // client and server
	P50            time.Duration `json:"latency_p50_ns"`
	P99            time.Duration `json:"latency_p99_ns"`
}

// Side is what was measured of one implementation.
type Side struct {
	Name   string    `json:"name"`
	Median Figures   `json:"median"`
	Rounds []Figures `json:"rounds"`
}

// Ratios are medians of the rounds' ratios, the baseline's figure over the
// subject's. A round of the one is compared with that of the other that ran
// next to it. A ratio is zero when the subject's figure is.
type Ratios struct {
	CallsPerSecond float64 `json:"calls_per_second"`
	CPUPerCall     float64 `json:"cpu_per_call"`
	AllocsPerCall  float64 `json:"allocs_per_call"`
	P50            float64 `json:"latency_p50"`
	P99            float64 `json:"latency_p99"`
}

// Report is what Compare measured.
type Report struct {
	Subject             Side   `json:"subject"`
	Baseline            Side   `json:"baseline"`
	BaselineOverSubject Ratios `json:"baseline_over_subject"`
}

func newFigures(w Window, server Usage) (Figures, error) {
	if w.Calls == 0 {
		return Figures{}, fmt.Errorf("load: expected calls in %v; came none", w.Elapsed)
	}
	used := w.Used.Add(server)
	return Figures{
		CallsPerSecond: float64(w.Calls) / w.Elapsed.Seconds(),
		CPUPerCall:     used.CPU / time.Duration(w.Calls),
		AllocsPerCall:  float64(used.Allocs) / float64(w.Calls),
		P50:            w.P50,
		P99:            w.P99,
	}, nil
}

func medians(rounds []Figures) Figures {
	return Figures{
		CallsPerSecond: median(rounds, func(f Figures) float64 { return f.CallsPerSecond }),
		CPUPerCall:     median(rounds, func(f Figures) time.Duration { return f.CPUPerCall }),
		AllocsPerCall:  median(rounds, func(f Figures) float64 { return f.AllocsPerCall }),
		P50:            median(rounds, func(f Figures) time.Duration { return f.P50 }),
		P99:            median(rounds, func(f Figures) time.Duration { return f.P99 }),
	}
}

func newReport(subject, baseline Side) Report {
	type pair struct{ subject, baseline Figures }
	pairs := make([]pair, len(subject.Rounds))
	for i := range pairs {
		pairs[i] = pair{subject.Rounds[i], baseline.Rounds[i]}
	}
	ratio := func(of func(Figures) float64) float64 {
		return median(pairs, func(p pair) float64 {
			if of(p.subject) == 0 {
				return 0
			}
			return of(p.baseline) / of(p.subject)
		})
	}
	return Report{
		Subject:  subject,
		Baseline: baseline,
		BaselineOverSubject: Ratios{
			CallsPerSecond: ratio(func(f Figures) float64 { return f.CallsPerSecond }),
			CPUPerCall:     ratio(func(f Figures) float64 { return float64(f.CPUPerCall) }),
			AllocsPerCall:  ratio(func(f Figures) float64 { return f.AllocsPerCall }),
			P50:            ratio(func(f Figures) float64 { return float64(f.P50) }),
			P99:            ratio(func(f Figures) float64 { return float64(f.P99) }),
		},
	}
}

// median is the mean of the middle two when there are as many above as below.
// It is zero for none.
func median[E any, T ~int64 | ~float64](elements []E, of func(E) T) T {
	if len(elements) == 0 {
		return 0
	}
	values := make([]T, len(elements))
	for i, e := range elements {
		values[i] = of(e)
	}
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle]
	}
	return (values[middle-1] + values[middle]) / 2
}

package balance

import (
	"fmt"
	"slices"
	"testing"

	estats "google.golang.org/grpc/experimental/stats"
	"google.golang.org/grpc/stats"
)

func metric(name string) estats.MetricDescriptor {
	return estats.MetricDescriptor{Name: "weir.test." + name, Labels: []string{"a"}, OptionalLabels: []string{"b"}}
}

var (
	testCount      = estats.RegisterInt64Count(metric("count"))
	testUpDown     = estats.RegisterInt64UpDownCount(metric("updown"))
	testFloat      = estats.RegisterFloat64Count(metric("float"))
	testHisto      = estats.RegisterInt64Histo(metric("histo"))
	testFloatHisto = estats.RegisterFloat64Histo(metric("float_histo"))
	testGauge      = estats.RegisterInt64Gauge(metric("gauge"))
	testAsync      = estats.RegisterInt64AsyncGauge(metric("async"))
	testOther      = estats.RegisterInt64AsyncGauge(metric("other"))
)

// noted is a stats handler that notes measurements.
type noted struct {
	stats.Handler // nil
	estats.MetricsRecorder

	got      []string
	reporter estats.AsyncMetricReporter
}

func (n *noted) note(d *estats.MetricDescriptor, v any, labels []string) {
	n.got = append(n.got, fmt.Sprintf("%s %v %v", d.Name, v, labels))
}

func (n *noted) RecordInt64Count(h *estats.Int64CountHandle, v int64, labels ...string) {
	n.note(h.Descriptor(), v, labels)
}

func (n *noted) RecordInt64UpDownCount(h *estats.Int64UpDownCountHandle, v int64, labels ...string) {
	n.note(h.Descriptor(), v, labels)
}

func (n *noted) RecordFloat64Count(h *estats.Float64CountHandle, v float64, labels ...string) {
	n.note(h.Descriptor(), v, labels)
}

func (n *noted) RecordInt64Histo(h *estats.Int64HistoHandle, v int64, labels ...string) {
	n.note(h.Descriptor(), v, labels)
}

func (n *noted) RecordFloat64Histo(h *estats.Float64HistoHandle, v float64, labels ...string) {
	n.note(h.Descriptor(), v, labels)
}

func (n *noted) RecordInt64Gauge(h *estats.Int64GaugeHandle, v int64, labels ...string) {
	n.note(h.Descriptor(), v, labels)
}

func (n *noted) RecordInt64AsyncGauge(h *estats.Int64AsyncGaugeHandle, v int64, labels ...string) {
	n.note(h.Descriptor(), v, labels)
}

func (n *noted) RegisterAsyncReporter(r estats.AsyncMetricReporter, _ ...estats.AsyncMetric) func() {
	n.reporter = r
	return func() { n.reporter = nil }
}

// Each handler that records measurements gets each, and none whose labels are not
// those of its metric.
func TestRecorder(t *testing.T) {
	one, two := new(noted), new(noted)
	r := Recorder([]stats.Handler{one, struct{ stats.Handler }{}, two})
	for _, labels := range [][]string{{"x"}, {"x", "y"}, {"x", "y", "z"}} {
		r.RecordInt64Count(testCount, 1, labels...)
		r.RecordInt64UpDownCount(testUpDown, -2, labels...)
		r.RecordFloat64Count(testFloat, 3.5, labels...)
		r.RecordInt64Histo(testHisto, 4, labels...)
		r.RecordFloat64Histo(testFloatHisto, 5.5, labels...)
		r.RecordInt64Gauge(testGauge, 6, labels...)
	}
	end := r.RegisterAsyncReporter(estats.AsyncMetricReporterFunc(func(to estats.AsyncMetricsRecorder) error {
		to.RecordInt64AsyncGauge(testAsync, 7, "x", "y")
		to.RecordInt64AsyncGauge(testAsync, 7, "x")
		to.RecordInt64AsyncGauge(testOther, 8, "x", "y")
		return nil
	}), testAsync)
	want := []string{
		"weir.test.count 1 [x y]", "weir.test.updown -2 [x y]", "weir.test.float 3.5 [x y]",
		"weir.test.histo 4 [x y]", "weir.test.float_histo 5.5 [x y]", "weir.test.gauge 6 [x y]", "weir.test.async 7 [x y]",
	}
	for i, n := range []*noted{one, two} {
		if err := n.reporter.Report(n); err != nil {
			t.Error(err)
		}
		if !slices.Equal(n.got, want) {
			t.Errorf("handler %d got %q, want %q", i, n.got, want)
		}
	}
	end()
	if one.reporter != nil || two.reporter != nil {
		t.Error("a reporter outlives its registration")
	}
}

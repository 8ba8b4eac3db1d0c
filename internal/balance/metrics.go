package balance

import (
	estats "google.golang.org/grpc/experimental/stats"
	"google.golang.org/grpc/stats"
)

// recorders pass the measurements of balancers to all of them. One whose labels
// are not those that its metric was registered with is left out.
type recorders struct {
	estats.UnimplementedMetricsRecorder // of what grpc-go adds later

	all []estats.MetricsRecorder
}

// Recorder gives what balancers and resolvers record measurements with: those of
// handlers hear of them that are an estats.MetricsRecorder.
//
// https://github.com/grpc/proposal/blob/master/A79-non-per-call-metrics-architecture.md
func Recorder(handlers []stats.Handler) estats.MetricsRecorder {
	var r recorders
	for _, h := range handlers {
		if one, ok := h.(estats.MetricsRecorder); ok {
			r.all = append(r.all, one)
		}
	}
	if len(r.all) == 0 {
		return estats.UnimplementedMetricsRecorder{}
	}
	return &r
}

func labelled(d *estats.MetricDescriptor, labels []string) bool {
	return len(labels) == len(d.Labels)+len(d.OptionalLabels)
}

// RecordInt64Count is estats.MetricsRecorder's.
func (r *recorders) RecordInt64Count(h *estats.Int64CountHandle, n int64, labels ...string) {
	if labelled(h.Descriptor(), labels) {
		for _, one := range r.all {
			one.RecordInt64Count(h, n, labels...)
		}
	}
}

// RecordFloat64Count is estats.MetricsRecorder's.
func (r *recorders) RecordFloat64Count(h *estats.Float64CountHandle, n float64, labels ...string) {
	if labelled(h.Descriptor(), labels) {
		for _, one := range r.all {
			one.RecordFloat64Count(h, n, labels...)
		}
	}
}

// RecordInt64Histo is estats.MetricsRecorder's.
func (r *recorders) RecordInt64Histo(h *estats.Int64HistoHandle, n int64, labels ...string) {
	if labelled(h.Descriptor(), labels) {
		for _, one := range r.all {
			one.RecordInt64Histo(h, n, labels...)
		}
	}
}

// RecordFloat64Histo is estats.MetricsRecorder's.
func (r *recorders) RecordFloat64Histo(h *estats.Float64HistoHandle, n float64, labels ...string) {
	if labelled(h.Descriptor(), labels) {
		for _, one := range r.all {
			one.RecordFloat64Histo(h, n, labels...)
		}
	}
}

// RecordInt64Gauge is estats.MetricsRecorder's.
func (r *recorders) RecordInt64Gauge(h *estats.Int64GaugeHandle, n int64, labels ...string) {
	if labelled(h.Descriptor(), labels) {
		for _, one := range r.all {
			one.RecordInt64Gauge(h, n, labels...)
		}
	}
}

// RecordInt64UpDownCount is estats.MetricsRecorder's.
func (r *recorders) RecordInt64UpDownCount(h *estats.Int64UpDownCountHandle, n int64, labels ...string) {
	if labelled(h.Descriptor(), labels) {
		for _, one := range r.all {
			one.RecordInt64UpDownCount(h, n, labels...)
		}
	}
}

// RegisterAsyncReporter is estats.MetricsRecorder's.
func (r *recorders) RegisterAsyncReporter(from estats.AsyncMetricReporter, metrics ...estats.AsyncMetric) func() {
	known := make(map[*estats.MetricDescriptor]bool, len(metrics))
	for _, m := range metrics {
		known[m.Descriptor()] = true
	}
	checked := estats.AsyncMetricReporterFunc(func(to estats.AsyncMetricsRecorder) error {
		return from.Report(gauges{to, known})
	})
	ends := make([]func(), len(r.all))
	for i, one := range r.all {
		ends[i] = one.RegisterAsyncReporter(checked, metrics...)
	}
	return func() {
		for _, end := range ends {
			end()
		}
	}
}

// gauges pass on what a reporter was registered for.
type gauges struct {
	to    estats.AsyncMetricsRecorder
	known map[*estats.MetricDescriptor]bool // immutable
}

// RecordInt64AsyncGauge is estats.AsyncMetricsRecorder's.
func (g gauges) RecordInt64AsyncGauge(h *estats.Int64AsyncGaugeHandle, n int64, labels ...string) {
	if d := h.Descriptor(); g.known[d] && labelled(d, labels) {
		g.to.RecordInt64AsyncGauge(h, n, labels...)
	}
}

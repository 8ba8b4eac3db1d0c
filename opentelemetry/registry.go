package opentelemetry

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	estats "google.golang.org/grpc/experimental/stats"
)

// registry measures what connections, balancers, resolvers and xDS clients record
// (gRFC A79). Immutable.
type registry struct {
	estats.UnimplementedMetricsRecorder

	meter       metric.Meter
	optional    map[string]bool
	instruments map[*estats.MetricDescriptor]any
}

// newRegistry makes the instruments of the metrics that o wants. It is nil if there
// is none.
func newRegistry(o Options) *registry {
	names := o.Metrics
	if names == nil {
		for name := range estats.DefaultMetrics.Metrics() {
			names = append(names, name)
		}
	}
	r := &registry{meter: o.meter(), optional: make(map[string]bool), instruments: make(map[*estats.MetricDescriptor]any)}
	for _, label := range o.OptionalLabels {
		r.optional[label] = true
	}
	for _, name := range names {
		if d := estats.DescriptorForMetric(name); d != nil {
			i, err := r.instrument(d)
			if err != nil {
				otel.Handle(err) // it does nothing then
			}
			r.instruments[d] = i
		}
	}
	if len(r.instruments) == 0 {
		return nil
	}
	return r
}

func (r *registry) instrument(d *estats.MetricDescriptor) (any, error) {
	unit, text := metric.WithUnit(d.Unit), metric.WithDescription(d.Description)
	switch d.Type {
	case estats.MetricTypeIntCount:
		return r.meter.Int64Counter(d.Name, unit, text)
	case estats.MetricTypeFloatCount:
		return r.meter.Float64Counter(d.Name, unit, text)
	case estats.MetricTypeIntHisto:
		return r.meter.Int64Histogram(d.Name, unit, text, metric.WithExplicitBucketBoundaries(d.Bounds...))
	case estats.MetricTypeFloatHisto:
		return r.meter.Float64Histogram(d.Name, unit, text, metric.WithExplicitBucketBoundaries(d.Bounds...))
	case estats.MetricTypeIntGauge:
		return r.meter.Int64Gauge(d.Name, unit, text)
	case estats.MetricTypeIntUpDownCount:
		return r.meter.Int64UpDownCounter(d.Name, unit, text)
	case estats.MetricTypeIntAsyncGauge:
		return r.meter.Int64ObservableGauge(d.Name, unit, text)
	}
	return nil, nil
}

// with gives the attributes of a measurement: of the optional ones, those that are
// wanted. There are as many labels as d has names.
func (r *registry) with(d *estats.MetricDescriptor, labels []string) metric.MeasurementOption {
	all := make([]attribute.KeyValue, 0, len(labels))
	for i, name := range d.Labels {
		all = append(all, attribute.String(name, labels[i]))
	}
	for i, name := range d.OptionalLabels {
		if r.optional[name] {
			all = append(all, attribute.String(name, labels[len(d.Labels)+i]))
		}
	}
	return metric.WithAttributeSet(attribute.NewSet(all...))
}

// RecordInt64Count is estats.MetricsRecorder's.
func (r *registry) RecordInt64Count(h *estats.Int64CountHandle, n int64, labels ...string) {
	if i, ok := r.instruments[h.Descriptor()].(metric.Int64Counter); ok {
		i.Add(context.Background(), n, r.with(h.Descriptor(), labels))
	}
}

// RecordInt64UpDownCount is estats.MetricsRecorder's.
func (r *registry) RecordInt64UpDownCount(h *estats.Int64UpDownCountHandle, n int64, labels ...string) {
	if i, ok := r.instruments[h.Descriptor()].(metric.Int64UpDownCounter); ok {
		i.Add(context.Background(), n, r.with(h.Descriptor(), labels))
	}
}

// RecordFloat64Count is estats.MetricsRecorder's.
func (r *registry) RecordFloat64Count(h *estats.Float64CountHandle, n float64, labels ...string) {
	if i, ok := r.instruments[h.Descriptor()].(metric.Float64Counter); ok {
		i.Add(context.Background(), n, r.with(h.Descriptor(), labels))
	}
}

// RecordInt64Histo is estats.MetricsRecorder's.
func (r *registry) RecordInt64Histo(h *estats.Int64HistoHandle, n int64, labels ...string) {
	if i, ok := r.instruments[h.Descriptor()].(metric.Int64Histogram); ok {
		i.Record(context.Background(), n, r.with(h.Descriptor(), labels))
	}
}

// RecordFloat64Histo is estats.MetricsRecorder's.
func (r *registry) RecordFloat64Histo(h *estats.Float64HistoHandle, n float64, labels ...string) {
	if i, ok := r.instruments[h.Descriptor()].(metric.Float64Histogram); ok {
		i.Record(context.Background(), n, r.with(h.Descriptor(), labels))
	}
}

// RecordInt64Gauge is estats.MetricsRecorder's.
func (r *registry) RecordInt64Gauge(h *estats.Int64GaugeHandle, n int64, labels ...string) {
	if i, ok := r.instruments[h.Descriptor()].(metric.Int64Gauge); ok {
		i.Record(context.Background(), n, r.with(h.Descriptor(), labels))
	}
}

// RegisterAsyncReporter is estats.MetricsRecorder's.
func (r *registry) RegisterAsyncReporter(from estats.AsyncMetricReporter, metrics ...estats.AsyncMetric) func() {
	var all []metric.Observable
	for _, m := range metrics {
		if i, ok := r.instruments[m.Descriptor()].(metric.Int64ObservableGauge); ok {
			all = append(all, i)
		}
	}
	if len(all) == 0 {
		return func() {}
	}
	registration, err := r.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		return from.Report(observer{r, o})
	}, all...)
	if err != nil {
		otel.Handle(err)
		return func() {}
	}
	return func() { _ = registration.Unregister() } // which does not fail the second time
}

// observer is told of gauges when they are read.
type observer struct {
	r  *registry
	to metric.Observer
}

// RecordInt64AsyncGauge is estats.AsyncMetricsRecorder's.
func (o observer) RecordInt64AsyncGauge(h *estats.Int64AsyncGaugeHandle, n int64, labels ...string) {
	if i, ok := o.r.instruments[h.Descriptor()].(metric.Int64ObservableGauge); ok {
		o.to.ObserveInt64(i, n, o.r.with(h.Descriptor(), labels))
	}
}

// recording is the stats handler of a client that has a registry.
type recording struct {
	attempts
	*registry
}

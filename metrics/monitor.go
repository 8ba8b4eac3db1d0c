package metrics

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weir-rpc/weir/inspect"
)

// Options says what a FlowControlMonitor shows. The zero value means the
// defaults.
type Options struct {
	// Registry has the Clients and Servers. Nil means inspect.Default.
	Registry *inspect.Registry
	// MaxEndpoints is how many endpoints of each side have a label of their own.
	// What is beyond is together under the endpoint "other". Zero and less mean
	// DefaultMaxEndpoints.
	MaxEndpoints int
}

// DefaultMaxEndpoints is the default of Options.MaxEndpoints.
const DefaultMaxEndpoints = 100

// The endpoints of those that are too many, and of servers that have had calls
// and no listener, but in-process clients or net/http.
const (
	other = "other"
	none  = "none"
)

// A FlowControlMonitor is a prometheus.Collector for the Clients and Servers of
// weir: connections, streams, the credit that they have, what they wait for, and
// what was counted. Its methods may be called by several goroutines at a time.
//
// Clients of one target are one endpoint, and so are Servers of one address.
// Counters do not fall when one of several is closed; what such a one counted
// after the last scrape is lost. When the last is closed the series end.
type FlowControlMonitor struct {
	registry *inspect.Registry
	most     int

	mu sync.Mutex
	// Guarded by mu.
	endpoints map[key]*endpoint
	members   map[int64]*endpoint // by the ids of Clients and Servers
}

var _ prometheus.Collector = (*FlowControlMonitor)(nil)

// NewFlowControlMonitor makes a FlowControlMonitor, for prometheus.Register.
func NewFlowControlMonitor(o Options) *FlowControlMonitor {
	m := &FlowControlMonitor{registry: o.Registry, most: o.MaxEndpoints, endpoints: make(map[key]*endpoint), members: make(map[int64]*endpoint)}
	if m.registry == nil {
		m.registry = inspect.Default
	}
	if m.most <= 0 {
		m.most = DefaultMaxEndpoints
	}
	return m
}

// key names an endpoint.
type key struct{ side, name string }

// keyOf replaces what is not UTF-8: Prometheus has no such labels, and a scrape
// fails as a whole.
func keyOf(side, name string) key { return key{side, strings.ToValidUTF8(name, "\uFFFD")} }

// endpoint is what has the same labels.
type endpoint struct {
	key
	past    inspect.Counters            // of members that are gone
	members map[int64]*inspect.Counters // as they were at the last scrape
	now     gauges
}

// member is a Client or Server.
type member struct {
	id       int64
	key      key
	counters inspect.Counters
	gauges   gauges
}

// look takes the snapshots.
func (m *FlowControlMonitor) look() []member {
	var all []member
	for _, c := range m.registry.Clients(inspect.Connections) {
		g := gaugesOf(c.Connections, c.Open)
		g.ready = c.State == "READY"
		g.slotWaiters += c.SlotWaiters
		all = append(all, member{c.ID, keyOf("client", c.Target), c.Counters, g})
	}
	for _, s := range m.registry.Servers(inspect.Connections) {
		k := key{side: "server"}
		if len(s.Listeners) > 0 {
			k = keyOf(k.side, s.Listeners[0].Address.Text)
		}
		g := gaugesOf(s.Connections, s.Open)
		g.ready = s.State == "serving"
		g.handshakes = s.Handshakes
		all = append(all, member{s.ID, k, s.Counters, g})
	}
	return all
}

// gather brings the endpoints up to date and gives them in order.
func (m *FlowControlMonitor) gather() []*endpoint {
	all := m.look()
	seen := make(map[int64]bool, len(all))
	for _, e := range m.endpoints {
		e.now = gauges{}
	}
	for i := range all {
		one := &all[i]
		e := m.members[one.id]
		if e == nil {
			if one.key.name == "" {
				if one.counters.Calls.Started == 0 {
					continue // a server that has never served
				}
				one.key.name = none
			}
			e = m.endpoint(one.key)
			m.members[one.id] = e
		}
		seen[one.id] = true
		e.members[one.id] = &one.counters
		e.now.add(one.gauges)
	}
	for id, e := range m.members {
		if !seen[id] {
			e.past.Add(e.members[id])
			delete(e.members, id)
			delete(m.members, id)
		}
	}
	maps.DeleteFunc(m.endpoints, func(_ key, e *endpoint) bool { return len(e.members) == 0 })
	return slices.SortedFunc(maps.Values(m.endpoints), func(a, b *endpoint) int {
		return cmp.Or(cmp.Compare(a.side, b.side), cmp.Compare(a.name, b.name))
	})
}

// endpoint gives the endpoint of a new member. A member stays with it.
func (m *FlowControlMonitor) endpoint(k key) *endpoint {
	if e := m.endpoints[k]; e != nil {
		return e
	}
	own := 0
	for have := range m.endpoints {
		if have.side == k.side && have.name != other {
			own++
		}
	}
	if own >= m.most {
		k.name = other
		if e := m.endpoints[k]; e != nil {
			return e
		}
	}
	e := &endpoint{key: k, members: make(map[int64]*inspect.Counters)}
	m.endpoints[k] = e
	return e
}

// total is what all members have counted, those that are gone among them.
func (e *endpoint) total() *inspect.Counters {
	sum := e.past
	for _, c := range e.members {
		sum.Add(c)
	}
	return &sum
}

// Describe implements prometheus.Collector.
func (m *FlowControlMonitor) Describe(out chan<- *prometheus.Desc) {
	for _, c := range counters {
		out <- c.desc
	}
	for _, g := range gaugeMetrics {
		out <- g.desc
	}
	for _, c := range codeCounters {
		out <- c.desc
	}
}

// Collect implements prometheus.Collector.
func (m *FlowControlMonitor) Collect(out chan<- prometheus.Metric) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.gather() {
		sum := e.total()
		for _, c := range counters {
			for _, s := range c.samples(sum) {
				out <- prometheus.MustNewConstMetric(c.desc, prometheus.CounterValue, float64(s.n), append([]string{e.side, e.name}, s.labels...)...)
			}
		}
		for _, c := range codeCounters {
			for direction, by := range c.read(sum) {
				for code, n := range by.All() {
					if n > 0 {
						out <- prometheus.MustNewConstMetric(c.desc, prometheus.CounterValue, float64(n), e.side, e.name, direction, code)
					}
				}
			}
		}
		for _, g := range gaugeMetrics {
			for _, s := range g.samples(&e.now) {
				out <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, s.v, append([]string{e.side, e.name}, s.labels...)...)
			}
		}
	}
}

// Package metrics gives Prometheus what package inspect shows.
//
//	prometheus.MustRegister(metrics.NewFlowControlMonitor(metrics.Options{}))
//
// Nothing is pushed, and nothing runs between two scrapes: a scrape takes the
// snapshots that it needs. Each metric has the labels "side", which is "client"
// or "server", and "endpoint": the target of a Client, the address of a Server's
// first listener, or "none" if it has no listener. There are no labels for connections or streams, of which there
// is no end: where one of many matters there are a sum, a minimum and a maximum.
package metrics

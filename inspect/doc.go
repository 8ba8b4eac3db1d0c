// Package inspect shows what weir's Clients and Servers do: plain snapshots of
// them, their connections, streams and windows, and the Registry of those that
// live.
//
//	for _, c := range inspect.Default.Clients(inspect.Connections) {
//		fmt.Println(c.Target, c.State, c.Calls.Failed, len(c.Connections))
//	}
//
// A snapshot is a copy: it holds nothing of what it shows and may be kept. To
// take one costs the lock of each connection that it covers, for a moment; what
// is counted costs a call next to nothing, whether anybody looks or not. There
// is no goroutine and no timer behind it.
//
// The snapshot of a connection agrees in itself but for FramesIn, OctetsIn and
// MessagesIn: what a read brings is added to them when all of it is handled.
// Connections of one snapshot are looked at one after the other.
//
// Package channelz serves these snapshots as grpc.channelz.v1, module metrics
// gives them to Prometheus.
package inspect

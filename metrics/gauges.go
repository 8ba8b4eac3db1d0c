package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weir-rpc/weir/inspect"
)

// gauges is how an endpoint stands.
type gauges struct {
	members     int
	ready       bool // of one member
	readies     int
	handshakes  int
	connections int
	draining    int
	send        spread // of connections, octets
	receive     int64
	pending     int
	slotWaiters int
	open        inspect.Open
	measured    int // connections with a round trip
	rtt         struct{ min, max time.Duration }
	bdp         int64
}

// spread is what several numbers amount to.
type spread struct{ n, sum, min, max int64 }

func (s *spread) add(v int64) {
	if s.n == 0 || v < s.min {
		s.min = v
	}
	if s.n == 0 || v > s.max {
		s.max = v
	}
	s.n++
	s.sum += v
}

func (s *spread) merge(o spread) {
	if o.n == 0 {
		return
	}
	n, sum := s.n+o.n, s.sum+o.sum
	s.add(o.min)
	s.add(o.max)
	s.n, s.sum = n, sum
}

// gaugesOf is how one member stands.
func gaugesOf(conns []inspect.Conn, open inspect.Open) gauges {
	g := gauges{members: 1, connections: len(conns), open: open}
	for i := range conns {
		c := &conns[i]
		if c.State == "draining" {
			g.draining++
		}
		g.send.add(c.Window.Send)
		g.receive += c.Window.Receive
		g.pending += c.Pending
		g.slotWaiters += c.SlotWaiters
		if c.RoundTrip > 0 {
			g.measure(1, c.RoundTrip, c.RoundTrip, c.BDP)
		}
	}
	return g
}

// measure adds connections whose round trips lie between least and most.
func (g *gauges) measure(n int, least, most time.Duration, bdp int64) {
	if n == 0 {
		return
	}
	if g.measured == 0 || least < g.rtt.min {
		g.rtt.min = least
	}
	g.rtt.max = max(g.rtt.max, most)
	g.bdp = max(g.bdp, bdp)
	g.measured += n
}

// add adds a member.
func (g *gauges) add(o gauges) {
	g.members += o.members
	if o.ready {
		g.readies++
	}
	g.handshakes += o.handshakes
	g.connections += o.connections
	g.draining += o.draining
	g.send.merge(o.send)
	g.receive += o.receive
	g.pending += o.pending
	g.slotWaiters += o.slotWaiters
	g.open.Add(o.open)
	g.measure(o.measured, o.rtt.min, o.rtt.max, o.bdp)
}

// A gaugeMetric is a metric of one or several numbers of gauges.
type gaugeMetric struct {
	desc    *prometheus.Desc
	samples func(*gauges) []sample
}

type sample struct {
	labels []string
	v      float64
}

func number[T int | int64](n T) []sample { return []sample{{nil, float64(n)}} }

// some gives a number if there is anything that it is the number of.
func some[T int | int64](n T, of int) []sample {
	if of == 0 {
		return nil
	}
	return number(n)
}

func seconds(d time.Duration, of int) []sample {
	if of == 0 {
		return nil
	}
	return []sample{{nil, d.Seconds()}}
}

var gaugeMetrics = []gaugeMetric{
	{desc("members", "Clients or Servers of the endpoint."), func(g *gauges) []sample { return number(g.members) }},
	{desc("members_ready", "Clients that are READY, Servers that serve."), func(g *gauges) []sample { return number(g.readies) }},
	{desc("handshakes", "Connections that a server has accepted and that are not ready."), func(g *gauges) []sample { return number(g.handshakes) }},
	{desc("connections", "Connections that have not ended."), func(g *gauges) []sample { return number(g.connections) }},
	{desc("connections_draining", "Connections on which no new streams are opened."), func(g *gauges) []sample { return number(g.draining) }},
	{desc("connection_send_quota_bytes", "Credit of connections, granted by their peers and left, together."), func(g *gauges) []sample { return number(g.send.sum) }},
	{desc("connection_send_quota_min_bytes", "Credit of the connection that has the least."), func(g *gauges) []sample { return some(g.send.min, int(g.send.n)) }},
	{desc("connection_send_quota_max_bytes", "Credit of the connection that has the most."), func(g *gauges) []sample { return some(g.send.max, int(g.send.n)) }},
	{desc("connection_receive_window_bytes", "Credit granted to the peers of connections and left, together."), func(g *gauges) []sample { return number(g.receive) }},
	{desc("connection_pending_bytes", "Bytes that wait for the sockets."), func(g *gauges) []sample { return number(g.pending) }},
	{desc("streams", "Open streams."), func(g *gauges) []sample { return number(g.open.Streams) }},
	{desc("stream_send_quota_bytes", "Credit of open streams, granted by their peers and left, together."), func(g *gauges) []sample { return number(g.open.SendSum) }},
	{desc("stream_send_quota_min_bytes", "Credit of the stream that has the least. It may be below zero."), func(g *gauges) []sample { return some(g.open.SendMin, g.open.Streams) }},
	{desc("stream_send_quota_max_bytes", "Credit of the stream that has the most."), func(g *gauges) []sample { return some(g.open.SendMax, g.open.Streams) }},
	{desc("stream_queued_bytes", "Bytes of messages that wait in their streams for credit or the socket."), func(g *gauges) []sample { return number(g.open.Queued) }},
	{desc("stream_unread_bytes", "Bytes that have come and that the application has not taken."), func(g *gauges) []sample { return number(g.open.Unread) }},
	{desc("stream_slot_waiters", "Calls that wait because the server allows no more streams."), func(g *gauges) []sample { return number(g.slotWaiters) }},
	{
		desc("streams_waiting", "Open streams by what they wait for: credit (stream_window, connection_window), the socket, the peer, or the application.", "reason"),
		func(g *gauges) []sample {
			w := g.open.Waits
			return []sample{
				{[]string{"stream_window"}, float64(w.StreamWindow)},
				{[]string{"connection_window"}, float64(w.ConnWindow)},
				{[]string{"socket"}, float64(w.Socket)},
				{[]string{"peer"}, float64(w.Peer)},
				{[]string{"application"}, float64(w.Application)},
			}
		},
	},
	{desc("round_trip_min_seconds", "Round trip of the nearest connection on which much came in lately."), func(g *gauges) []sample { return seconds(g.rtt.min, g.measured) }},
	{desc("round_trip_max_seconds", "Round trip of the farthest connection on which much came in lately."), func(g *gauges) []sample { return seconds(g.rtt.max, g.measured) }},
	{desc("bandwidth_delay_product_max_bytes", "Largest bandwidth-delay product of what came in lately."), func(g *gauges) []sample { return some(g.bdp, g.measured) }},
}

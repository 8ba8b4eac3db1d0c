package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/weir-rpc/weir/inspect"
)

// A counter is a metric of one or several numbers of inspect.Counters.
type counter struct {
	desc    *prometheus.Desc
	samples func(*inspect.Counters) []count
}

type count struct {
	labels []string
	n      uint64
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("weir_"+name, help, append([]string{"side", "endpoint"}, labels...), nil)
}

// both are the two directions, as this side sees them.
func both(sent, received uint64) []count {
	return []count{{[]string{"sent"}, sent}, {[]string{"received"}, received}}
}

func one(n uint64) []count { return []count{{nil, n}} }

var counters = []counter{
	{
		desc("window_updates_total", "WINDOW_UPDATE frames, by direction and by what they grant credit for.", "direction", "level"),
		func(c *inspect.Counters) []count {
			return []count{
				{[]string{"sent", "connection"}, c.WindowUpdatesOut.Connection},
				{[]string{"sent", "stream"}, c.WindowUpdatesOut.Stream},
				{[]string{"received", "connection"}, c.WindowUpdatesIn.Connection},
				{[]string{"received", "stream"}, c.WindowUpdatesIn.Stream},
			}
		},
	},
	{
		desc("calls_started_total", "Calls that were started: on a server those it received. A retried call counts for each attempt."),
		func(c *inspect.Counters) []count { return one(c.Calls.Started) },
	},
	{
		desc("calls_finished_total", "Calls that are over: succeeded with status OK, failed otherwise.", "result"),
		func(c *inspect.Counters) []count {
			return []count{{[]string{"succeeded"}, c.Calls.Succeeded}, {[]string{"failed"}, c.Calls.Failed}}
		},
	},
	{
		desc("bytes_total", "Bytes of HTTP/2, those of TLS not included.", "direction"),
		func(c *inspect.Counters) []count { return both(c.OctetsOut, c.OctetsIn) },
	},
	{
		desc("frames_total", "Frames of HTTP/2 of any type.", "direction"),
		func(c *inspect.Counters) []count { return both(c.FramesOut, c.FramesIn) },
	},
	{
		desc("messages_total", "Messages of gRPC.", "direction"),
		func(c *inspect.Counters) []count { return both(c.MessagesOut, c.MessagesIn) },
	},
	{
		desc("pings_total", "PING frames that are no acknowledgements.", "direction"),
		func(c *inspect.Counters) []count { return both(c.PingsOut, c.PingsIn) },
	},
	{
		desc("keepalives_total", "PING frames sent to ask whether the peer lives."),
		func(c *inspect.Counters) []count { return one(c.Keepalives) },
	},
}

// A codeCounter counts by the error code of HTTP/2. Codes that never came have
// no series.
type codeCounter struct {
	desc *prometheus.Desc
	read func(*inspect.Counters) map[string]*inspect.ByCode // by direction
}

var codeCounters = []codeCounter{
	{
		desc("resets_total", "RST_STREAM frames, by direction and error code.", "direction", "code"),
		func(c *inspect.Counters) map[string]*inspect.ByCode {
			return map[string]*inspect.ByCode{"sent": &c.ResetsOut, "received": &c.ResetsIn}
		},
	},
	{
		desc("goaways_total", "GOAWAY frames, by direction and error code.", "direction", "code"),
		func(c *inspect.Counters) map[string]*inspect.ByCode {
			return map[string]*inspect.ByCode{"sent": &c.GoAwaysOut, "received": &c.GoAwaysIn}
		},
	},
}

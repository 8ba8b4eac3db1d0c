package leak

import (
	"flag"

	"github.com/weir-rpc/weir/internal/buffer"
)

// watchBuffers starts to watch the pooled buffers of the process. What it
// gives tells which of those taken since then are not returned, after some
// patience with those who still hold them, and ends the watch.
func watchBuffers() (outstanding func() []string) {
	if set("test.bench") || set("test.fuzz") {
		return func() []string { return nil }
	}
	stop := buffer.Default.Track()
	return func() []string {
		defer stop()
		settle(patience, func() bool { return len(buffer.Default.Outstanding()) == 0 })
		var left []string
		for _, l := range buffer.Default.Outstanding() {
			left = append(left, l.String())
		}
		return left
	}
}

// set says whether a flag of the test binary has a value.
func set(name string) bool {
	f := flag.Lookup(name)
	return f != nil && f.Value.String() != ""
}

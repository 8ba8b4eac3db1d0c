package process

import (
	"os"
	"testing"
	"time"

	"github.com/weir-rpc/weir/bench/internal/peers"
	"github.com/weir-rpc/weir/bench/internal/scenario"
)

// TestCPlusPlus measures the foreign peer for a moment, if it has been built.
func TestCPlusPlus(t *testing.T) {
	const built = "../../../bin/weirbench-cpp"
	if _, err := os.Stat(built); err != nil {
		t.Skip("make bench-cpp builds it: ", err)
	}
	p, err := peers.Named(peers.CPlusPlus)
	if err != nil {
		t.Fatal(err)
	}
	some, err := scenario.Select(scenario.All(), "^(unary/32B/128x8|unary/1MiB/1|deadline/32B/1|tls/32B/1|bidi/32B/16|stream/64KiB/16)$")
	if err != nil {
		t.Fatal(err)
	}
	with := programs(t)
	with.Foreign = built
	for _, s := range some {
		t.Run(s.Name, func(t *testing.T) { runForeign(t, with, p, s) })
	}
}

func runForeign(t *testing.T, with Programs, p peers.Peer, s scenario.Scenario) {
	t.Helper()
	pair, err := Start(t.Context(), with, p, s)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		r, err := pair.Run(20 * time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		if r.Client.Calls < s.Outstanding || r.Client.Used.CPU <= 0 || r.Server.Used.CPU <= 0 {
			t.Errorf("%+v", r)
		}
		if s.Burst > 0 && r.Client.Calls%s.Burst != 0 {
			t.Errorf("%d messages in bursts of %d", r.Client.Calls, s.Burst)
		}
	}
	if err := pair.Stop(); err != nil {
		t.Error(err)
	}
}

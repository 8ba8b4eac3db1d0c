package weir_test

import (
	"testing"
	"testing/synctest"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/inspect"
)

// A subchannel shows all its connections, and counts those that have ended, too,
// with a balancer and without.
func TestConnections_Inspect(t *testing.T) {
	for name, balancer := range map[string][]weir.DialOption{
		"pick_first":  nil,
		"round_robin": {weir.WithDefaultServiceConfig(policyOf("round_robin"))},
	} {
		t.Run(name, func(t *testing.T) {
			inCrowd(t, "passthrough:///a:1", 2, 3, 0, func(t *testing.T, w *crowd) {
				look := func(connections, streams int, started uint64) {
					t.Helper()
					synctest.Wait()
					c := w.c.InspectClient(inspect.Connections)
					if c.Balancer != name || len(c.Subchannels) != 1 {
						t.Fatalf("%s has %+v", c.Balancer, c.Subchannels)
					}
					if s := &c.Subchannels[0]; len(s.Connections) != connections || s.Open.Streams != streams || s.Calls.Started != started || connections > 0 && s.Addresses[0] != "a:1" {
						t.Errorf("%+v, want %d connections, %d open streams, %d calls", s, connections, streams, started)
					}
				}
				look(1, 0, 1)
				all := w.hold(6)
				look(3, 6, 7)
				for _, h := range all {
					h.end(t)
				}
				look(3, 0, 7)
				w.srv[0].Stop()
				look(0, 0, 7)
			}, balancer...)
		})
	}
}

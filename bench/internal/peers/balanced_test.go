package peers

import (
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"

	"github.com/weir-rpc/weir/bench/internal/benchpb"
	"github.com/weir-rpc/weir/bench/internal/scenario"
)

// TestReach: clients of several addresses call each in its turn.
func TestReach(t *testing.T) {
	const addresses, turns = 4, 5
	each(t, scenario.Scenario{Shape: scenario.Unary, Addresses: addresses}, func(t *testing.T, p Peer) {
		server, err := p.Server.NewServer(Config{})
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error, addresses)
		var list []string
		for range addresses {
			lis, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, lis.Addr().String())
			go func() { served <- server.Serve(lis) }()
		}
		t.Cleanup(func() {
			server.Stop()
			for range addresses {
				if err := <-served; err != nil {
					t.Errorf("Serve: %v", err)
				}
			}
		})
		client, err := p.Client.Dial(strings.Join(list, ","), Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { client.Close() })
		several := client.(*stubClient)
		if err := Reach(t.Context(), client, addresses); err != nil {
			t.Fatal(err)
		}
		calls := make(map[string]int)
		for range turns * addresses {
			var from peer.Peer
			if _, err := several.stub.Echo(t.Context(), new(benchpb.Message), grpc.Peer(&from)); err != nil {
				t.Fatal(err)
			}
			calls[from.Addr.String()]++
		}
		for _, address := range list {
			if calls[address] != turns {
				t.Errorf("%d calls to %s, want %d of %d", calls[address], address, turns, turns*addresses)
			}
		}
	})
}

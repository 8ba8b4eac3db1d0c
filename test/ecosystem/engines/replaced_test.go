//go:build linux

package engines

import (
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/rolling"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// Each of five servers is replaced by one with an address of its own, as pods are:
// the new one serves, the name has it in the place of the old one, and the old one
// gets SIGTERM at once. Balancers look a name up twice in 30 s at most, unless an
// option says otherwise; without a balancer each connection that ends has it
// looked up.
func TestRolling_NewAddresses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, config string
		opts         []weir.DialOption
	}{
		{"round_robin", roundRobin, []weir.DialOption{weir.WithDNS(weir.DNS{MinInterval: 500 * time.Millisecond})}},
		{"pick_first", "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n, all := startDNS(t), hosts(2*fleet)
			var servers []*rolling.Process
			for _, a := range at(all[:fleet]...) {
				servers = append(servers, rolling.Start(t, a))
			}
			n.set(shelf, all[:fleet])
			cc := dial(t, n.target(shelf), tt.config, tt.opts...)
			stop := load(t, cc)
			defer stop()
			for i, s := range servers {
				if err := pause(t.Context(), between); err != nil {
					t.Fatal(err)
				}
				rolling.Start(t, at(all...)[fleet+i])
				n.set(shelf, all[i+1:fleet+i+1])
				s.Terminate()
			}
			if tt.config != "" {
				wantSpread(t, cc, at(all[fleet:]...))
			}
		})
	}
}

// Each server ends as soon as the one before it serves again, within the backoff of
// that one. A balancer would find all of them in their backoff, and calls would
// fail, if it were not cut short when the last connection goes.
func TestRolling_WithoutPause(t *testing.T) {
	t.Parallel()
	for _, f := range engines {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			h := hosts(fleet)
			target, args, opts := f.start(t, h)
			var servers []*rolling.Process
			for _, a := range at(h...) {
				servers = append(servers, rolling.Start(t, a, args...))
			}
			cc := dial(t, target, roundRobin, opts...)
			wantSpread(t, cc, at(h...))
			defer load(t, cc)()
			for range 4 * *rounds {
				for _, s := range servers {
					s.Terminate()
					s.Start()
				}
			}
		})
	}
}

// Servers of grpc-go are replaced by weir's, one after the other, while clients of
// both call them; in every other round it is the other way round.
func TestRolling_FromGRPCGo(t *testing.T) {
	t.Parallel()
	n, h := startDNS(t), hosts(fleet)
	n.set(shelf, h)
	var servers []*rolling.Process
	for _, a := range at(h...) {
		servers = append(servers, rolling.Start(t, a, "-grpc-go"))
	}
	defer load(t, dial(t, n.target(shelf), roundRobin))()
	cc, err := grpc.NewClient(n.target(shelf), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultServiceConfig(roundRobin))
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	defer load(t, cc)()
	for round := range *rounds {
		var args []string
		if round%2 == 1 {
			args = []string{"-grpc-go"}
		}
		for _, s := range servers {
			if err := pause(t.Context(), between); err != nil {
				t.Fatal(err)
			}
			s.Terminate()
			s.Args = args
			s.Start()
		}
	}
}

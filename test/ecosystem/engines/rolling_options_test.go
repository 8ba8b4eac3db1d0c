//go:build linux

package engines

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/rolling"
	"google.golang.org/grpc"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/keepalive"
)

// large makes a call whose messages are larger than the windows of a stream.
func large(cc grpc.ClientConnInterface) func(context.Context) error {
	c := testgrpc.NewTestServiceClient(cc)
	const size = 1 << 20
	body := make([]byte, size)
	return func(ctx context.Context) error {
		answer, err := c.UnaryCall(ctx, &testgrpc.SimpleRequest{Payload: &testgrpc.Payload{Body: body}})
		if err == nil && len(answer.Payload.Body) != size {
			err = fmt.Errorf("the answer has %d octets", len(answer.Payload.Body))
		}
		return err
	}
}

// Rolling restarts, and calls of a megabyte, where options make connections come
// and go for other reasons, too. Of several connections two would do for the load,
// but not for what a machine that is busy has to make up for.
func TestRolling_WithOptions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, config string
		servers      []string
		opts         []weir.DialOption
	}{
		{"several connections, pick_first", "", []string{"-slots", "20", "-takes", "50ms"}, []weir.DialOption{weir.WithMaxConnectionsPerAddress(20)}},
		{"several connections, round_robin", roundRobin, []string{"-slots", "8", "-takes", "50ms"}, []weir.DialOption{weir.WithMaxConnectionsPerAddress(20)}},
		{"MaxConnectionAge, pick_first", "", []string{"-age", "300ms"}, nil},
		{"MaxConnectionAge, round_robin", roundRobin, []string{"-age", "300ms"}, nil},
		{"early calls and keepalive", roundRobin, nil, []weir.DialOption{weir.WithEarlyCalls(), weir.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second})}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n, h := startDNS(t), hosts(3)
			var servers []*rolling.Process
			for _, a := range at(h...) {
				servers = append(servers, rolling.Start(t, a, tt.servers...))
			}
			n.set(shelf, h)
			cc := dial(t, n.target(shelf), tt.config, tt.opts...)
			defer load(t, cc)()
			calls := rolling.Load{Rate: largeRate, Timeout: timeout, Call: large(cc)}.Start()
			defer func() {
				r := calls.Stop()
				t.Logf("large: %v", r)
				if len(r.Failed) > 0 {
					t.Errorf("%d large calls of %d failed", len(r.Failed), len(r.Calls))
				}
			}()
			for range *rounds {
				for _, s := range servers {
					if err := pause(t.Context(), between); err != nil {
						t.Fatal(err)
					}
					s.Terminate()
					s.Start()
				}
			}
		})
	}
}

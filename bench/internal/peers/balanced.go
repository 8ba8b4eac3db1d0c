package peers

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"

	"github.com/weir-rpc/weir/bench/internal/benchpb"
)

// patience is how long Reach waits.
const patience = 30 * time.Second

// roundRobin is the service config of clients with several addresses. The
// balancer is grpc-go's, in weir as well.
const roundRobin = `{"loadBalancingConfig": [{"round_robin": {}}]}`

// targetOf gives what to dial, and a resolver where that is several addresses.
func targetOf(target string) (name string, list resolver.Builder) {
	addresses := strings.Split(target, ",")
	if len(addresses) == 1 {
		return "passthrough:///" + target, nil
	}
	r := manual.NewBuilderWithScheme("listed")
	var state resolver.State
	for _, a := range addresses {
		state.Endpoints = append(state.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{{Addr: a}}})
	}
	r.InitialState(state)
	return r.Scheme() + ":///servers", r
}

// Reach awaits a connection to each of a client's addresses, if they are several.
func Reach(ctx context.Context, c Client, addresses int) error {
	if addresses < 2 {
		return nil
	}
	stub, ok := c.(*stubClient)
	if !ok {
		return fmt.Errorf("expected a client with balancers; came a %T", c)
	}
	return stub.reach(ctx, addresses)
}

// reach calls until as many addresses have answered: connections are made one by
// one, and those that stand take the calls.
func (c *stubClient) reach(ctx context.Context, addresses int) error {
	if c.cfg.Observed {
		ctx = withMetadata(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	answered := make(map[string]bool)
	for len(answered) < addresses {
		var from peer.Peer
		if _, err := c.stub.Echo(ctx, new(benchpb.Message), grpc.Peer(&from)); err != nil {
			return err
		}
		answered[from.Addr.String()] = true
	}
	return nil
}

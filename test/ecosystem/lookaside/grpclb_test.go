package lookaside

import (
	"net/netip"
	"testing"

	"google.golang.org/grpc"
	_ "google.golang.org/grpc/balancer/grpclb" // registers it
	lbpb "google.golang.org/grpc/balancer/grpclb/grpc_lb_v1"
	"google.golang.org/grpc/balancer/grpclb/state"
	"google.golang.org/grpc/resolver"
)

// lookup is a load balancer that tells its clients of servers.
type lookup struct {
	lbpb.UnimplementedLoadBalancerServer

	names chan string // of services that were asked for
	lists chan []*lbpb.Server
}

// BalanceLoad is the protocol of one client.
func (l *lookup) BalanceLoad(s lbpb.LoadBalancer_BalanceLoadServer) error {
	in, err := s.Recv()
	if err != nil {
		return err
	}
	l.names <- in.GetInitialRequest().GetName()
	if err := s.Send(&lbpb.LoadBalanceResponse{LoadBalanceResponseType: &lbpb.LoadBalanceResponse_InitialResponse{
		InitialResponse: &lbpb.InitialLoadBalanceResponse{},
	}}); err != nil {
		return err
	}
	for {
		select {
		case list := <-l.lists:
			if err := s.Send(&lbpb.LoadBalanceResponse{LoadBalanceResponseType: &lbpb.LoadBalanceResponse_ServerList{
				ServerList: &lbpb.ServerList{Servers: list},
			}}); err != nil {
				return err
			}
		case <-s.Context().Done():
			return nil
		}
	}
}

func serverOf(t *testing.T, address string) *lbpb.Server {
	t.Helper()
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return &lbpb.Server{IpAddress: at.Addr().AsSlice(), Port: int32(at.Port()), LoadBalanceToken: "token-" + address}
}

// Feature: grpclb
//
// A load balancer says which servers there are, then others: calls go to these in
// turns, and to nobody else.
func TestGRPCLB(t *testing.T) {
	all := backends(t, 3)
	l := &lookup{names: make(chan string, 100), lists: make(chan []*lbpb.Server, 1)}
	srv := grpc.NewServer()
	lbpb.RegisterLoadBalancerServer(srv, l)
	at := serve(t, srv)
	l.lists <- []*lbpb.Server{serverOf(t, all[0]), serverOf(t, all[1])}
	c := client(t, state.Set(resolver.State{}, &state.State{BalancerAddresses: []resolver.Address{{Addr: at, ServerName: "balancer"}}}),
		`{"loadBalancingConfig": [{"grpclb": {"childPolicy": [{"round_robin": {}}]}}]}`)
	await(t.Context(), t, c, 5, all[0], all[1])
	if name := <-l.names; name != "shop" {
		t.Errorf("the balancer was asked for %q, want shop", name)
	}
	l.lists <- []*lbpb.Server{serverOf(t, all[2])}
	await(t.Context(), t, c, 5, all[2])
}

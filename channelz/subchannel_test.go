package channelz_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/channelz"
	"github.com/weir-rpc/weir/inspect"
	"google.golang.org/grpc"
	channelzpb "google.golang.org/grpc/channelz/grpc_channelz_v1"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
)

// Feature: channelz: subchannels of a balancer
//
// A Client with a balancer has a subchannel for each address, with what is
// connected to it, what it counts, or why it has no connection.
func TestChannelz_Subchannels(t *testing.T) {
	r := inspect.NewRegistry()
	served := make(chan error, 2)
	var state resolver.State
	for range 2 {
		lis, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		srv := weir.NewServer()
		testpb.RegisterTestServiceServer(srv, handler{})
		go func() { served <- srv.Serve(lis) }()
		t.Cleanup(func() {
			srv.Stop()
			<-served
		})
		state.Addresses = append(state.Addresses, resolver.Address{Addr: lis.Addr().String()})
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	nobody := closed.Addr().String()
	state.Addresses = append(state.Addresses, resolver.Address{Addr: nobody})
	names := manual.NewBuilderWithScheme("three")
	names.InitialState(state)
	c, err := weir.NewClient("three:///svc", weir.WithResolvers(names), weir.WithTransportCredentials(insecure.NewCredentials()),
		weir.WithInspectRegistry(r), weir.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"round_robin": {}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	calls := make(map[string]int64)
	for len(calls) < 2 {
		var at peer.Peer
		if _, err := testpb.NewTestServiceClient(c).EmptyCall(ctx, new(testpb.Empty), grpc.WaitForReady(true), grpc.Peer(&at)); err != nil {
			t.Fatal(err)
		}
		calls[at.Addr.String()]++
	}

	z := channelz.New(r)
	look := func() (all map[string]*channelzpb.Subchannel) {
		t.Helper()
		channel, err := z.GetChannel(ctx, &channelzpb.GetChannelRequest{ChannelId: c.InspectID()})
		if err != nil {
			t.Fatal(err)
		}
		all = make(map[string]*channelzpb.Subchannel)
		for _, ref := range channel.GetChannel().GetSubchannelRef() {
			sub, err := z.GetSubchannel(ctx, &channelzpb.GetSubchannelRequest{SubchannelId: ref.GetSubchannelId()})
			if err != nil {
				t.Fatal(err)
			}
			all[ref.GetName()] = sub.GetSubchannel()
		}
		return all
	}
	all := look()
	for ; all[nobody].GetData().GetState().GetState() != channelzpb.ChannelConnectivityState_TRANSIENT_FAILURE; all = look() {
		if ctx.Err() != nil {
			t.Fatalf("there are the subchannels %v", all)
		}
	}
	if trace := all[nobody].GetData().GetTrace().GetEvents(); len(all) != 3 || len(trace) != 1 || trace[0].GetSeverity() != channelzpb.ChannelTraceEvent_CT_WARNING {
		t.Errorf("there are the subchannels %v", all)
	}
	for at, n := range calls {
		sub := all[at]
		if sub.GetData().GetCallsSucceeded() != n || sub.GetData().GetState().GetState() != channelzpb.ChannelConnectivityState_READY || len(sub.GetSocketRef()) != 1 {
			t.Errorf("%d calls went to %s, whose subchannel is %v", n, at, sub)
			continue
		}
		socket, err := z.GetSocket(ctx, &channelzpb.GetSocketRequest{SocketId: sub.GetSocketRef()[0].GetSocketId()})
		if err != nil || socket.GetSocket().GetData().GetStreamsSucceeded() != n {
			t.Errorf("its socket is %v, %v", socket, err)
		}
	}
}

// Package channelz serves grpc.channelz.v1 over the snapshots of package
// inspect, so that the tools for channelz, grpcdebug for one, show the Clients
// and Servers of weir. It takes the place of google.golang.org/grpc/channelz/service,
// which shows those of grpc-go and cannot show others; a server can have one of
// the two.
//
// Each Client is a top channel. Its subchannels are what its balancer chooses from;
// without a balancer there is one, which has all connections.
// Sockets tell no time of their latest messages, for that is not noted. As the
// protocol has it, a socket's local_flow_control_window is what its peer granted
// to it and is left, and remote_flow_control_window what it granted to its peer;
// grpc-go gives them the other way round, and of the latter the size, not what is
// left.
package channelz

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/weir-rpc/weir/inspect"
	"google.golang.org/grpc"
	channelzpb "google.golang.org/grpc/channelz/grpc_channelz_v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Register adds the service to s, a Server of weir or of grpc-go, before it
// serves. The service shows what is in inspect.Default: addresses, methods and
// certificates of the whole process. So not everybody should be able to reach
// it.
func Register(s grpc.ServiceRegistrar) {
	channelzpb.RegisterChannelzServer(s, New(inspect.Default))
}

// New gives a service that shows the Clients and Servers in r, for
// RegisterChannelzServer.
func New(r *inspect.Registry) channelzpb.ChannelzServer { return &service{r: r} }

type service struct {
	channelzpb.UnimplementedChannelzServer
	r *inspect.Registry
}

// The entries of a page: without a wish, as in grpc-go, and at most.
const (
	defaultPage = 50
	largestPage = 1000
)

// page gives the entries of a page, which begins with the first id that is not
// below start, and whether there are no more. All are in the order of their ids.
func page[T any](all []T, id func(T) int64, start, most int64) (some []T, end bool) {
	if most <= 0 {
		most = defaultPage
	}
	most = min(most, largestPage)
	all = all[sort.Search(len(all), func(i int) bool { return id(all[i]) >= start }):]
	n := min(int(most), len(all))
	return all[:n], n == len(all)
}

func (s *service) GetTopChannels(_ context.Context, in *channelzpb.GetTopChannelsRequest) (*channelzpb.GetTopChannelsResponse, error) {
	clients, end := page(s.r.Clients(inspect.Connections), func(c inspect.Client) int64 { return c.ID }, in.GetStartChannelId(), in.GetMaxResults())
	out := &channelzpb.GetTopChannelsResponse{End: end}
	for i := range clients {
		out.Channel = append(out.Channel, channel(&clients[i]))
	}
	return out, nil
}

func (s *service) GetChannel(_ context.Context, in *channelzpb.GetChannelRequest) (*channelzpb.GetChannelResponse, error) {
	c, ok := s.r.Client(in.GetChannelId(), inspect.Connections)
	if !ok {
		return nil, notFound("channel", in.GetChannelId())
	}
	return &channelzpb.GetChannelResponse{Channel: channel(&c)}, nil
}

func (s *service) GetSubchannel(_ context.Context, in *channelzpb.GetSubchannelRequest) (*channelzpb.GetSubchannelResponse, error) {
	for _, c := range s.r.Clients(inspect.Connections) {
		for i := range c.Subchannels {
			if sub := &c.Subchannels[i]; sub.ID == in.GetSubchannelId() {
				return &channelzpb.GetSubchannelResponse{Subchannel: subchannel(&c, sub)}, nil
			}
		}
	}
	return nil, notFound("subchannel", in.GetSubchannelId())
}

func (s *service) GetServers(_ context.Context, in *channelzpb.GetServersRequest) (*channelzpb.GetServersResponse, error) {
	servers, end := page(s.r.Servers(inspect.Totals), func(c inspect.Server) int64 { return c.ID }, in.GetStartServerId(), in.GetMaxResults())
	out := &channelzpb.GetServersResponse{End: end}
	for i := range servers {
		out.Server = append(out.Server, server(&servers[i]))
	}
	return out, nil
}

func (s *service) GetServer(_ context.Context, in *channelzpb.GetServerRequest) (*channelzpb.GetServerResponse, error) {
	c, ok := s.r.Server(in.GetServerId(), inspect.Totals)
	if !ok {
		return nil, notFound("server", in.GetServerId())
	}
	return &channelzpb.GetServerResponse{Server: server(&c)}, nil
}

func (s *service) GetServerSockets(_ context.Context, in *channelzpb.GetServerSocketsRequest) (*channelzpb.GetServerSocketsResponse, error) {
	all, ok := s.r.ServerConnections(in.GetServerId())
	if !ok {
		return nil, notFound("server", in.GetServerId())
	}
	some, end := page(all, inspect.Connection.InspectID, in.GetStartSocketId(), in.GetMaxResults())
	out := &channelzpb.GetServerSocketsResponse{End: end}
	for _, c := range some {
		one := c.Inspect(false)
		out.SocketRef = append(out.SocketRef, socketRef(&one))
	}
	return out, nil
}

func (s *service) GetSocket(_ context.Context, in *channelzpb.GetSocketRequest) (*channelzpb.GetSocketResponse, error) {
	if c, ok := s.r.Conn(in.GetSocketId()); ok {
		return &channelzpb.GetSocketResponse{Socket: socket(&c, in.GetSummary())}, nil
	}
	for _, srv := range s.r.Servers(inspect.Totals) {
		for _, l := range srv.Listeners {
			if l.ID == in.GetSocketId() {
				return &channelzpb.GetSocketResponse{Socket: &channelzpb.Socket{Ref: listenerRef(l), Local: address(l.Address), Data: new(channelzpb.SocketData)}}, nil
			}
		}
	}
	return nil, notFound("socket", in.GetSocketId())
}

func notFound(what string, id int64) error {
	return status.Errorf(codes.NotFound, "there is no %s %d here, or no more", what, id)
}

func channel(c *inspect.Client) *channelzpb.Channel {
	out := &channelzpb.Channel{Ref: &channelzpb.ChannelRef{ChannelId: c.ID, Name: text(c.Target)}}
	out.Data = channelData(text(c.Target), c.State, &c.Counters, c.Since, c.LastCall)
	out.Data.Trace = trace(c)
	for i := range c.Subchannels {
		out.SubchannelRef = append(out.SubchannelRef, subchannelRef(c, &c.Subchannels[i]))
	}
	return out
}

// subchannelRef names a subchannel by its addresses, or else by the target.
func subchannelRef(c *inspect.Client, sub *inspect.Subchannel) *channelzpb.SubchannelRef {
	name := c.Target
	if len(sub.Addresses) > 0 {
		name = strings.Join(sub.Addresses, ", ")
	}
	return &channelzpb.SubchannelRef{SubchannelId: sub.ID, Name: text(name)}
}

// subchannel is one of c. A trace has that of the Client alone, if it has no other.
func subchannel(c *inspect.Client, sub *inspect.Subchannel) *channelzpb.Subchannel {
	ref := subchannelRef(c, sub)
	out := &channelzpb.Subchannel{Ref: ref, Data: channelData(ref.Name, sub.State, &sub.Counters, sub.Since, sub.LastCall)}
	switch {
	case len(c.Subchannels) == 1:
		out.Data.Trace = trace(c)
	case sub.Err != "":
		out.Data.Trace.NumEventsLogged = 1
		out.Data.Trace.Events = []*channelzpb.ChannelTraceEvent{{
			Description: fmt.Sprintf("the state is %s; the latest failure, %d in a row by now: %s", sub.State, sub.Failures, text(sub.Err)),
			Severity:    channelzpb.ChannelTraceEvent_CT_WARNING, Timestamp: timestamp(sub.StateSince),
		}}
	}
	for i := range c.Connections {
		if slices.Contains(sub.Connections, c.Connections[i].ID) {
			out.SocketRef = append(out.SocketRef, socketRef(&c.Connections[i]))
		}
	}
	return out
}

func channelData(target, state string, counted *inspect.Counters, since, lastCall time.Time) *channelzpb.ChannelData {
	known := channelzpb.ChannelConnectivityState_State_value[state] // UNKNOWN is 0
	return &channelzpb.ChannelData{
		State:                    &channelzpb.ChannelConnectivityState{State: channelzpb.ChannelConnectivityState_State(known)},
		Target:                   target,
		Trace:                    &channelzpb.ChannelTrace{CreationTimestamp: timestamp(since)},
		CallsStarted:             int64(counted.Calls.Started),
		CallsSucceeded:           int64(counted.Calls.Succeeded),
		CallsFailed:              int64(counted.Calls.Failed),
		LastCallStartedTimestamp: timestamp(lastCall),
	}
}

func trace(c *inspect.Client) *channelzpb.ChannelTrace {
	t := &channelzpb.ChannelTrace{NumEventsLogged: int64(c.EventsCount), CreationTimestamp: timestamp(c.Since)}
	for _, e := range c.Events {
		severity := channelzpb.ChannelTraceEvent_CT_INFO
		if e.Warning {
			severity = channelzpb.ChannelTraceEvent_CT_WARNING
		}
		t.Events = append(t.Events, &channelzpb.ChannelTraceEvent{Description: text(e.Text), Severity: severity, Timestamp: timestamp(e.Time)})
	}
	return t
}

func server(s *inspect.Server) *channelzpb.Server {
	out := &channelzpb.Server{
		Ref: &channelzpb.ServerRef{ServerId: s.ID},
		Data: &channelzpb.ServerData{
			CallsStarted:             int64(s.Calls.Started),
			CallsSucceeded:           int64(s.Calls.Succeeded),
			CallsFailed:              int64(s.Calls.Failed),
			LastCallStartedTimestamp: timestamp(s.LastCall),
			Trace:                    &channelzpb.ChannelTrace{CreationTimestamp: timestamp(s.Since)},
		},
	}
	for i, l := range s.Listeners {
		if i == 0 {
			out.Ref.Name = text(l.Address.Text)
		}
		out.ListenSocket = append(out.ListenSocket, listenerRef(l))
	}
	return out
}

func listenerRef(l inspect.Listener) *channelzpb.SocketRef {
	return &channelzpb.SocketRef{SocketId: l.ID, Name: text(l.Address.Text)}
}

// text replaces what is not UTF-8, of errors for example that tell what a peer has
// sent: protobuf takes no message with such a string, and one Client's would hide
// all others.
func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// timestamp gives nil for the zero Time, which means never.
func timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// address gives nil for what has none.
func address(a inspect.Address) *channelzpb.Address {
	switch {
	case a.Text == "":
		return nil
	case strings.HasPrefix(a.Network, "unix"):
		return &channelzpb.Address{Address: &channelzpb.Address_UdsAddress_{UdsAddress: &channelzpb.Address_UdsAddress{Filename: text(a.Text)}}}
	}
	at, err := netip.ParseAddrPort(a.Text)
	if err != nil {
		return &channelzpb.Address{Address: &channelzpb.Address_OtherAddress_{OtherAddress: &channelzpb.Address_OtherAddress{Name: text(a.Network + " " + a.Text)}}}
	}
	return &channelzpb.Address{Address: &channelzpb.Address_TcpipAddress{TcpipAddress: &channelzpb.Address_TcpIpAddress{
		IpAddress: at.Addr().Unmap().AsSlice(), Port: int32(at.Port()),
	}}}
}

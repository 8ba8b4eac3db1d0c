// Package channelz serves grpc.channelz.v1 over the snapshots of package
// inspect, so that the tools for channelz, grpcdebug for one, show the Clients
// and Servers of weir. It takes the place of google.golang.org/grpc/channelz/service,
// which shows those of grpc-go and cannot show others; a server can have one of
// the two.
//
// Each Client is a top channel with one subchannel, which has all connections.
// Sockets tell no time of their latest messages, for that is not noted. As the
// protocol has it, a socket's local_flow_control_window is what its peer granted
// to it and is left, and remote_flow_control_window what it granted to its peer;
// grpc-go gives them the other way round, and of the latter the size, not what is
// left.
package channelz

import (
	"context"
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

// Register adds the service to s, a Server of weir or of grpc-go. It shows what
// is in inspect.Default: addresses, methods and certificates of the whole
// process, so that not everybody should reach it.
func Register(s grpc.ServiceRegistrar) {
	channelzpb.RegisterChannelzServer(s, New(inspect.Default))
}

// New gives a service that shows what is in r, for RegisterChannelzServer.
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
	clients, end := page(s.r.Clients(inspect.Totals), func(c inspect.Client) int64 { return c.ID }, in.GetStartChannelId(), in.GetMaxResults())
	out := &channelzpb.GetTopChannelsResponse{End: end}
	for i := range clients {
		out.Channel = append(out.Channel, channel(&clients[i]))
	}
	return out, nil
}

func (s *service) GetChannel(_ context.Context, in *channelzpb.GetChannelRequest) (*channelzpb.GetChannelResponse, error) {
	c, ok := s.r.Client(in.GetChannelId(), inspect.Totals)
	if !ok {
		return nil, notFound("channel", in.GetChannelId())
	}
	return &channelzpb.GetChannelResponse{Channel: channel(&c)}, nil
}

func (s *service) GetSubchannel(_ context.Context, in *channelzpb.GetSubchannelRequest) (*channelzpb.GetSubchannelResponse, error) {
	all := s.r.Clients(inspect.Totals)
	i := slices.IndexFunc(all, func(c inspect.Client) bool { return c.SubchannelID == in.GetSubchannelId() })
	if i < 0 {
		return nil, notFound("subchannel", in.GetSubchannelId())
	}
	c, ok := s.r.Client(all[i].ID, inspect.Connections)
	if !ok {
		return nil, notFound("subchannel", in.GetSubchannelId())
	}
	out := &channelzpb.Subchannel{Ref: subchannelRef(&c), Data: channelData(&c)}
	for i := range c.Connections {
		out.SocketRef = append(out.SocketRef, socketRef(&c.Connections[i]))
	}
	return &channelzpb.GetSubchannelResponse{Subchannel: out}, nil
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
	return &channelzpb.Channel{
		Ref:           &channelzpb.ChannelRef{ChannelId: c.ID, Name: c.Target},
		Data:          channelData(c),
		SubchannelRef: []*channelzpb.SubchannelRef{subchannelRef(c)},
	}
}

func subchannelRef(c *inspect.Client) *channelzpb.SubchannelRef {
	return &channelzpb.SubchannelRef{SubchannelId: c.SubchannelID, Name: c.Target}
}

func channelData(c *inspect.Client) *channelzpb.ChannelData {
	state := channelzpb.ChannelConnectivityState_State_value[c.State] // UNKNOWN is 0
	data := &channelzpb.ChannelData{
		State:                    &channelzpb.ChannelConnectivityState{State: channelzpb.ChannelConnectivityState_State(state)},
		Target:                   c.Target,
		Trace:                    &channelzpb.ChannelTrace{NumEventsLogged: int64(c.EventsCount), CreationTimestamp: timestamp(c.Since)},
		CallsStarted:             int64(c.Calls.Started),
		CallsSucceeded:           int64(c.Calls.Succeeded),
		CallsFailed:              int64(c.Calls.Failed),
		LastCallStartedTimestamp: timestamp(c.LastCall),
	}
	for _, e := range c.Events {
		severity := channelzpb.ChannelTraceEvent_CT_INFO
		if e.Warning {
			severity = channelzpb.ChannelTraceEvent_CT_WARNING
		}
		data.Trace.Events = append(data.Trace.Events, &channelzpb.ChannelTraceEvent{Description: e.Text, Severity: severity, Timestamp: timestamp(e.Time)})
	}
	return data
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
			out.Ref.Name = l.Address.Text
		}
		out.ListenSocket = append(out.ListenSocket, listenerRef(l))
	}
	return out
}

func listenerRef(l inspect.Listener) *channelzpb.SocketRef {
	return &channelzpb.SocketRef{SocketId: l.ID, Name: l.Address.Text}
}

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
		return &channelzpb.Address{Address: &channelzpb.Address_UdsAddress_{UdsAddress: &channelzpb.Address_UdsAddress{Filename: a.Text}}}
	}
	at, err := netip.ParseAddrPort(a.Text)
	if err != nil {
		return &channelzpb.Address{Address: &channelzpb.Address_OtherAddress_{OtherAddress: &channelzpb.Address_OtherAddress{Name: a.Network + " " + a.Text}}}
	}
	return &channelzpb.Address{Address: &channelzpb.Address_TcpipAddress{TcpipAddress: &channelzpb.Address_TcpIpAddress{
		IpAddress: at.Addr().Unmap().AsSlice(), Port: int32(at.Port()),
	}}}
}

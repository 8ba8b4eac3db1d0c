package channelz_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/channelz"
	"github.com/weir-rpc/weir/inspect"
	"github.com/weir-rpc/weir/internal/leak"
	"google.golang.org/grpc"
	channelzpb "google.golang.org/grpc/channelz/grpc_channelz_v1"
	channelzservice "google.golang.org/grpc/channelz/service"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

func TestMain(m *testing.M) { leak.Main(m) }

type handler struct {
	testpb.UnimplementedTestServiceServer
}

func (handler) EmptyCall(context.Context, *testpb.Empty) (*testpb.Empty, error) {
	return new(testpb.Empty), nil
}

func (handler) FullDuplexCall(s testpb.TestService_FullDuplexCallServer) error {
	for {
		if _, err := s.Recv(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := s.Send(new(testpb.StreamingOutputCallResponse)); err != nil {
			return err
		}
	}
}

type server interface {
	grpc.ServiceRegistrar
	Serve(net.Listener) error
	Stop()
}

type client interface {
	grpc.ClientConnInterface
	Close() error
}

// scene is a server with the service, and a client of it with a call of each
// kind: two that succeeded, one that failed, one open stream with a message each
// way. The service is asked through that client.
type scene struct {
	client client
	z      channelzpb.ChannelzClient
	target string
}

func newScene(t *testing.T, srv server, dial func(target string) (client, error)) *scene {
	t.Helper()
	testpb.RegisterTestServiceServer(srv, handler{})
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	s := &scene{target: "passthrough:///" + lis.Addr().String()}
	if s.client, err = dial(s.target); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.client.Close()
		srv.Stop()
		<-served
	})
	s.z = channelzpb.NewChannelzClient(s.client)
	calls := testpb.NewTestServiceClient(s.client)
	for range 2 {
		if _, err := calls.EmptyCall(t.Context(), new(testpb.Empty)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := calls.UnimplementedCall(t.Context(), new(testpb.Empty)); err == nil {
		t.Fatal("a method that is not implemented succeeded")
	}
	stream, err := calls.FullDuplexCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(new(testpb.StreamingOutputCallRequest)); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	return s
}

func weirScene(t *testing.T) *scene {
	t.Helper()
	r := inspect.NewRegistry()
	srv := weir.NewServer(weir.InspectRegistry(r))
	channelzpb.RegisterChannelzServer(srv, channelz.New(r))
	return newScene(t, srv, func(target string) (client, error) {
		return weir.NewClient(target, weir.WithTransportCredentials(insecure.NewCredentials()), weir.WithInspectRegistry(r))
	})
}

func grpcScene(t *testing.T) *scene {
	t.Helper()
	srv := grpc.NewServer()
	channelzservice.RegisterChannelzServiceToServer(srv)
	return newScene(t, srv, func(target string) (client, error) {
		return grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	})
}

// read is all that the service says of a scene.
type read struct {
	channel      *channelzpb.Channel
	subchannel   *channelzpb.Subchannel
	server       *channelzpb.Server
	clientSocket *channelzpb.Socket
	serverSocket *channelzpb.Socket
	listenSocket *channelzpb.Socket
}

// must takes what a call of the service gave.
func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func (s *scene) read(t *testing.T) (r read) {
	t.Helper()
	ctx := t.Context()
	for _, c := range must[*channelzpb.GetTopChannelsResponse](t)(s.z.GetTopChannels(ctx, &channelzpb.GetTopChannelsRequest{})).GetChannel() {
		if c.GetData().GetTarget() == s.target {
			r.channel = must[*channelzpb.GetChannelResponse](t)(s.z.GetChannel(ctx, &channelzpb.GetChannelRequest{ChannelId: c.GetRef().GetChannelId()})).GetChannel()
		}
	}
	r.subchannel = must[*channelzpb.GetSubchannelResponse](t)(s.z.GetSubchannel(ctx, &channelzpb.GetSubchannelRequest{SubchannelId: r.channel.GetSubchannelRef()[0].GetSubchannelId()})).GetSubchannel()
	socket := func(ref *channelzpb.SocketRef) *channelzpb.Socket {
		return must[*channelzpb.GetSocketResponse](t)(s.z.GetSocket(ctx, &channelzpb.GetSocketRequest{SocketId: ref.GetSocketId()})).GetSocket()
	}
	r.clientSocket = socket(r.subchannel.GetSocketRef()[0])
	for _, sv := range must[*channelzpb.GetServersResponse](t)(s.z.GetServers(ctx, &channelzpb.GetServersRequest{})).GetServer() {
		l := socket(sv.GetListenSocket()[0])
		if !proto.Equal(l.GetLocal(), r.clientSocket.GetRemote()) {
			continue // another test's
		}
		r.listenSocket = l
		r.server = must[*channelzpb.GetServerResponse](t)(s.z.GetServer(ctx, &channelzpb.GetServerRequest{ServerId: sv.GetRef().GetServerId()})).GetServer()
		sockets := must[*channelzpb.GetServerSocketsResponse](t)(s.z.GetServerSockets(ctx, &channelzpb.GetServerSocketsRequest{ServerId: sv.GetRef().GetServerId()}))
		r.serverSocket = socket(sockets.GetSocketRef()[0])
	}
	return r
}

// shape gives the paths of the fields that a message has. Which options of a
// socket there are is told by their names.
func shape(m protoreflect.Message, at string, paths map[string]bool) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		path := at + "." + string(f.Name())
		switch {
		case string(f.Name()) == "option":
			for i := range v.List().Len() {
				paths[path+" "+v.List().Get(i).Message().Interface().(*channelzpb.SocketOption).GetName()] = true
			}
		case f.IsList():
			for i := range v.List().Len() {
				paths[path] = true
				shape(v.List().Get(i).Message(), path, paths)
			}
		case f.Message() != nil && !strings.HasPrefix(string(f.Message().FullName()), "google."):
			shape(v.Message(), path, paths)
		default:
			paths[path] = true
		}
		return true
	})
}

// Feature: channelz service: channels, subchannels, servers, sockets, flow-control windows, socket options
//
// The service says of weir what grpc-go's says of grpc-go, by grpc-go's
// generated client: the same fields of the same messages, but for those that are
// named here.
func TestChannelz_SaysWhatGRPCsSays(t *testing.T) {
	ours, theirs := weirScene(t).read(t), grpcScene(t).read(t)
	more := map[string]bool{
		"server.ref.name": true, "server.data.trace.creation_timestamp": true, // of a server grpc-go tells neither
		"client socket.remote_name": true, // grpc-go tells it of TLS only
	}
	for _, ref := range []string{"channel.subchannel_ref", "subchannel.ref", "subchannel.socket_ref", "client socket.ref", "server socket.ref"} {
		more[ref+".name"] = true
	}
	for _, option := range []string{"TCP_NODELAY", "TCP_USER_TIMEOUT", "SO_SNDBUF", "SO_RCVBUF"} {
		more["client socket.data.option "+option], more["server socket.data.option "+option] = true, true
	}
	less := map[string]bool{
		// What a subchannel does, weir tells of its channel.
		"channel.data.trace.events.subchannel_ref.subchannel_id": true,
	}
	for _, side := range []string{"client", "server"} {
		for _, field := range []string{"last_message_sent_timestamp", "last_message_received_timestamp", "option SO_RCVTIMEO", "option SO_SNDTIMEO"} {
			less[side+" socket.data."+field] = true
		}
	}
	// grpc-go writes 1970 where there was no such thing.
	for _, x := range []string{"client socket.data.last_remote_stream_created_timestamp", "server socket.data.last_local_stream_created_timestamp"} {
		less[x] = true
	}
	for _, x := range []string{"option SO_LINGER", "option SO_RCVTIMEO", "option SO_SNDTIMEO", "option TCP_INFO", "last_local_stream_created_timestamp", "last_remote_stream_created_timestamp", "last_message_sent_timestamp", "last_message_received_timestamp"} {
		less["listen socket.data."+x] = true
	}
	for _, m := range []struct {
		what         string
		ours, theirs proto.Message
	}{
		{"channel", ours.channel, theirs.channel},
		{"subchannel", ours.subchannel, theirs.subchannel},
		{"server", ours.server, theirs.server},
		{"client socket", ours.clientSocket, theirs.clientSocket},
		{"server socket", ours.serverSocket, theirs.serverSocket},
		{"listen socket", ours.listenSocket, theirs.listenSocket},
	} {
		have, want := make(map[string]bool), make(map[string]bool)
		shape(m.ours.ProtoReflect(), m.what, have)
		shape(m.theirs.ProtoReflect(), m.what, want)
		for _, path := range slices.Sorted(maps.Keys(want)) {
			if !have[path] && !less[path] {
				t.Errorf("grpc-go tells %s, and weir does not", path)
			}
			if !have[path] {
				delete(less, path)
			}
		}
		for _, path := range slices.Sorted(maps.Keys(have)) {
			if !want[path] && !more[path] {
				t.Errorf("weir tells %s, and grpc-go does not", path)
			}
			if !want[path] {
				delete(more, path)
			}
		}
	}
	for path := range less {
		t.Errorf("%s is said to be missing, and is not", path)
	}
	for path := range more {
		t.Errorf("%s is said to be more than grpc-go's, and is not", path)
	}
}

// What is said is true.
func TestChannelz_Values(t *testing.T) {
	start := time.Now()
	s := weirScene(t)
	r := s.read(t)
	data := r.channel.GetData()
	// Some calls of the service itself have succeeded meanwhile, one is open.
	if data.GetState().GetState() != channelzpb.ChannelConnectivityState_READY || data.GetTarget() != s.target ||
		data.GetCallsFailed() != 1 || data.GetCallsSucceeded() < 3 || data.GetCallsStarted() != data.GetCallsSucceeded()+data.GetCallsFailed()+2 {
		t.Errorf("the channel: %v", data)
	}
	if at := data.GetLastCallStartedTimestamp().AsTime(); at.Before(start) || at.After(time.Now()) {
		t.Errorf("the last call started at %v, the test at %v", at, start)
	}
	if tr := data.GetTrace(); tr.GetNumEventsLogged() != 2 || !strings.Contains(tr.GetEvents()[1].GetDescription(), "READY") || tr.GetEvents()[1].GetSeverity() != channelzpb.ChannelTraceEvent_CT_INFO {
		t.Errorf("the channel's events: %v", tr)
	}
	if d := r.server.GetData(); d.GetCallsFailed() != 1 || d.GetCallsStarted() < 6 {
		t.Errorf("the server: %v", d)
	}
	if !proto.Equal(r.clientSocket.GetLocal(), r.serverSocket.GetRemote()) || !proto.Equal(r.clientSocket.GetRemote(), r.serverSocket.GetLocal()) {
		t.Errorf("sockets: %v and %v", r.clientSocket, r.serverSocket)
	}
	for what, d := range map[string]*channelzpb.SocketData{"client": r.clientSocket.GetData(), "server": r.serverSocket.GetData()} {
		if d.GetStreamsStarted() < 6 || d.GetStreamsFailed() != 0 || d.GetStreamsSucceeded() < 5 || d.GetMessagesSent() < 5 || d.GetMessagesReceived() < 5 {
			t.Errorf("the %s's socket: %v", what, d)
		}
		if d.GetLocalFlowControlWindow().GetValue() <= 65535 || d.GetRemoteFlowControlWindow().GetValue() <= 65535 {
			t.Errorf("the %s's windows: %v", what, d)
		}
	}
	var info channelzpb.SocketOptionTcpInfo
	for _, o := range r.clientSocket.GetData().GetOption() {
		if o.GetName() == "TCP_INFO" {
			if err := o.GetAdditional().UnmarshalTo(&info); err != nil {
				t.Fatal(err)
			}
		}
	}
	if info.GetTcpiState() != 1 || info.GetTcpiSndCwnd() == 0 || info.GetTcpiRtt() == 0 {
		t.Errorf("TCP_INFO: %v", &info)
	}
	summary := must[*channelzpb.GetSocketResponse](t)(s.z.GetSocket(t.Context(), &channelzpb.GetSocketRequest{SocketId: r.clientSocket.GetRef().GetSocketId(), Summary: true}))
	if got := summary.GetSocket().GetData(); got.GetOption() != nil || got.GetStreamsStarted() == 0 {
		t.Errorf("a summary: %v", got)
	}
}

// What is not there is NOT_FOUND.
func TestChannelz_Unknown(t *testing.T) {
	s := weirScene(t)
	ctx := t.Context()
	for name, ask := range map[string]func() error{
		"channel": func() error {
			_, err := s.z.GetChannel(ctx, &channelzpb.GetChannelRequest{ChannelId: 1 << 40})
			return err
		},
		"subchannel": func() error {
			_, err := s.z.GetSubchannel(ctx, &channelzpb.GetSubchannelRequest{SubchannelId: 1 << 40})
			return err
		},
		"server": func() error {
			_, err := s.z.GetServer(ctx, &channelzpb.GetServerRequest{ServerId: 1 << 40})
			return err
		},
		"server's sockets": func() error {
			_, err := s.z.GetServerSockets(ctx, &channelzpb.GetServerSocketsRequest{ServerId: 1 << 40})
			return err
		},
		"socket": func() error {
			_, err := s.z.GetSocket(ctx, &channelzpb.GetSocketRequest{SocketId: 1 << 40})
			return err
		},
	} {
		if err := ask(); status.Code(err) != codes.NotFound {
			t.Errorf("a %s that is not there: %v", name, err)
		}
	}
}

// Pages begin at an id and have an end.
func TestChannelz_Pages(t *testing.T) {
	r := inspect.NewRegistry()
	z := channelz.New(r)
	const clients = 120
	for range clients {
		c, err := weir.NewClient("passthrough:///x", weir.WithTransportCredentials(insecure.NewCredentials()), weir.WithInspectRegistry(r))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	for _, tt := range []struct {
		most  int64
		pages []int
	}{
		{0, []int{50, 50, 20}},
		{-3, []int{50, 50, 20}},
		{60, []int{60, 60}},
		{1000, []int{120}},
		{1 << 40, []int{120}},
	} {
		var got []int
		var last int64
		for end := false; !end; {
			out, err := z.GetTopChannels(t.Context(), &channelzpb.GetTopChannelsRequest{StartChannelId: last + 1, MaxResults: tt.most})
			if err != nil || len(got) == clients {
				t.Fatal(len(got), err)
			}
			for _, c := range out.GetChannel() {
				if id := c.GetRef().GetChannelId(); id <= last {
					t.Errorf("channel %d after %d", id, last)
				}
				last = c.GetRef().GetChannelId()
			}
			got = append(got, len(out.GetChannel()))
			end = out.GetEnd()
		}
		if !slices.Equal(got, tt.pages) {
			t.Errorf("pages of %d: %v, want %v", tt.most, got, tt.pages)
		}
	}
	empty, err := z.GetServers(t.Context(), &channelzpb.GetServersRequest{})
	if err != nil || !empty.GetEnd() || len(empty.GetServer()) != 0 {
		t.Errorf("no servers: %v, %v", empty, err)
	}
}

// Whatever octets are in targets, errors and addresses: what one Client says hides
// no other.
func TestChannelz_AnyText(t *testing.T) {
	r := inspect.NewRegistry()
	z := channelz.New(r)
	c, err := weir.NewClient("passthrough:///a\xff", weir.WithTransportCredentials(insecure.NewCredentials()), weir.WithInspectRegistry(r),
		weir.WithContextDialer(func(context.Context, string) (net.Conn, error) { return nil, errors.New("no \xfe") }))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := testpb.NewTestServiceClient(c).EmptyCall(t.Context(), new(testpb.Empty)); status.Code(err) != codes.Unavailable {
		t.Fatal(err)
	}
	all := must[*channelzpb.GetTopChannelsResponse](t)(z.GetTopChannels(t.Context(), new(channelzpb.GetTopChannelsRequest)))
	id := all.GetChannel()[0].GetSubchannelRef()[0].GetSubchannelId()
	sub := must[*channelzpb.GetSubchannelResponse](t)(z.GetSubchannel(t.Context(), &channelzpb.GetSubchannelRequest{SubchannelId: id}))
	for _, m := range []proto.Message{all, sub} {
		if _, err := proto.Marshal(m); err != nil {
			t.Errorf("%T: %v", m, err)
		}
	}
	if events := sub.GetSubchannel().GetData().GetTrace().GetEvents(); !strings.Contains(events[len(events)-1].GetDescription(), "no \uFFFD") {
		t.Errorf("the events are %v", events)
	}
}

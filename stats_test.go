package weir_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
)

type tagKey struct{}

// recorder is a stats handler that writes down what it is told, without times
// and what two stacks rightly differ in.
type recorder struct {
	name string
	add  string // metadata that TagRPC adds, if any

	mu     sync.Mutex
	rpc    []string
	conns  []string
	faults []string
	ended  chan struct{} // one for each end of a call
	gone   chan struct{} // one for each end of a connection
}

func newRecorder(name string) *recorder {
	return &recorder{name: name, ended: make(chan struct{}, 16), gone: make(chan struct{}, 16)}
}

func (r *recorder) faultf(format string, args ...any) {
	r.faults = append(r.faults, fmt.Sprintf(format, args...))
}

func (r *recorder) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rpc = append(r.rpc, "tag "+info.FullMethodName)
	if r.add != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "x-echo", r.add)
	}
	return context.WithValue(ctx, tagKey{}, r)
}

func (r *recorder) HandleRPC(ctx context.Context, s stats.RPCStats) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ctx.Value(tagKey{}) != r {
		r.faultf("%T has another context than TagRPC gave", s)
	}
	line := r.described(s)
	switch s := s.(type) {
	case *stats.OutHeader:
		if s.Client && (s.RemoteAddr == nil || s.LocalAddr == nil) {
			r.faultf("OutHeader has no addresses")
		}
	case *stats.InHeader:
		if !s.Client && (s.RemoteAddr == nil || s.LocalAddr == nil) {
			r.faultf("InHeader has no addresses")
		}
	case *stats.End:
		if s.EndTime.Before(s.BeginTime) {
			r.faultf("End from %v to %v", s.BeginTime, s.EndTime)
		}
		defer func() { r.ended <- struct{}{} }()
	}
	if s.IsClient() != (r.name == "client") {
		r.faultf("%T says that it is of the client: %v", s, s.IsClient())
	}
	r.rpc = append(r.rpc, line)
}

func (r *recorder) TagConn(ctx context.Context, info *stats.ConnTagInfo) context.Context {
	if info.RemoteAddr == nil || info.LocalAddr == nil {
		r.faultf("TagConn has no addresses")
	}
	return context.WithValue(ctx, tagKey{}, r)
}

func (r *recorder) HandleConn(ctx context.Context, s stats.ConnStats) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ctx.Value(tagKey{}) != r {
		r.faultf("%T has another context than TagConn gave", s)
	}
	r.conns = append(r.conns, fmt.Sprintf("%T %v", s, s.IsClient()))
	if _, ok := s.(*stats.ConnEnd); ok {
		r.gone <- struct{}{}
	}
}

// tagged has handlers see the context that TagRPC gave.
type tagged struct {
	*streamer
	t *testing.T
}

func (h tagged) UnaryCall(ctx context.Context, in *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	if ctx.Value(tagKey{}) == nil {
		h.t.Error("the handler has another context than TagRPC gave")
	}
	if len(metadata.ValueFromIncomingContext(ctx, "grpc-previous-rpc-attempts")) > 0 {
		in.ResponseStatus = nil
	}
	return h.streamer.UnaryCall(ctx, in)
}

func (h tagged) FullDuplexCall(s grpc.BidiStreamingServer[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]) error {
	if s.Context().Value(tagKey{}) == nil {
		h.t.Error("the handler has another context than TagRPC gave")
	}
	return h.streamer.FullDuplexCall(s)
}

// conn has a service that is there and one that is not.
type conn struct {
	testpb.TestServiceClient
	testpb.UnimplementedServiceClient
}

func (c conn) UnimplementedCall(ctx context.Context, in *testpb.Empty, opts ...grpc.CallOption) (*testpb.Empty, error) {
	return c.TestServiceClient.UnimplementedCall(ctx, in, opts...)
}

// observedCall makes a call with client and server of one stack, and gives what
// their handlers heard.
func observedCall(t *testing.T, ours bool, call func(context.Context, testpb.TestServiceClient), ends int) (client, server *recorder) {
	t.Helper()
	client, server = newRecorder("client"), newRecorder("server")
	client.add = "by the tag"
	lis := listen(t)
	var srv anyServer
	var c anyClient
	var err error
	if ours {
		srv = weir.NewServer(weir.StatsHandler(server))
		c, err = weir.NewClient(lis.Addr().String(), weir.WithTransportCredentials(insecure.NewCredentials()), weir.WithStatsHandler(client), weir.WithDefaultServiceConfig(retried))
	} else {
		srv = grpc.NewServer(grpc.StatsHandler(server))
		c, err = grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithStatsHandler(client), grpc.WithDefaultServiceConfig(retried))
	}
	if err != nil {
		t.Fatal(err)
	}
	testpb.RegisterTestServiceServer(srv, tagged{newStreamer(), t})
	served := make(chan error, 1)
	go func(lis net.Listener) { served <- srv.Serve(lis) }(lis)
	call(t.Context(), conn{testpb.NewTestServiceClient(c), testpb.NewUnimplementedServiceClient(c)})
	<-client.ended
	for range ends {
		<-server.ended
	}
	_ = c.Close()
	srv.GracefulStop()
	<-served
	<-client.gone // as the reader of a connection may tell, in its time
	<-server.gone
	for _, r := range []*recorder{client, server} {
		for _, fault := range r.faults {
			t.Errorf("%s: %s", r.name, fault)
		}
	}
	return client, server
}

// Both sides hear of a call what they hear with grpc-go.
func TestStatsHandler_HearsWhatGRPCGoTells(t *testing.T) {
	body := func(n int) *testpb.Payload { return &testpb.Payload{Body: make([]byte, n)} }
	tests := []struct {
		name string
		ends int // of calls, on the server
		call func(context.Context, testpb.TestServiceClient)
	}{
		{"unary", 1, func(ctx context.Context, c testpb.TestServiceClient) {
			ctx = metadata.AppendToOutgoingContext(ctx, "x-echo-bin", "bin")
			_, _ = c.UnaryCall(ctx, &testpb.SimpleRequest{Payload: body(1000), ResponseSize: 3000})
		}},
		{"compressed", 1, func(ctx context.Context, c testpb.TestServiceClient) {
			_, _ = c.UnaryCall(ctx, &testpb.SimpleRequest{Payload: body(1000), ResponseSize: 3000}, grpc.UseCompressor("gzip"))
		}},
		{"failed", 1, func(ctx context.Context, c testpb.TestServiceClient) {
			_, _ = c.UnaryCall(ctx, &testpb.SimpleRequest{ResponseStatus: &testpb.EchoStatus{Code: int32(codes.NotFound)}}, grpc.WaitForReady(true))
		}},
		{"no such method", 0, func(ctx context.Context, c testpb.TestServiceClient) {
			_, _ = c.(conn).UnimplementedServiceClient.UnimplementedCall(ctx, &testpb.Empty{})
		}},
		{"client streaming", 1, func(ctx context.Context, c testpb.TestServiceClient) {
			s, _ := c.StreamingInputCall(ctx)
			for n := range 3 {
				_ = s.Send(&testpb.StreamingInputCallRequest{Payload: body(n * 100)})
			}
			_, _ = s.CloseAndRecv()
		}},
		{"server streaming", 1, func(ctx context.Context, c testpb.TestServiceClient) {
			s, _ := c.StreamingOutputCall(ctx, &testpb.StreamingOutputCallRequest{ResponseParameters: []*testpb.ResponseParameters{{Size: 10}, {Size: 2000}}})
			for err := error(nil); err == nil; _, err = s.Recv() {
			}
		}},
		{"both ways", 1, func(ctx context.Context, c testpb.TestServiceClient) {
			s, _ := c.FullDuplexCall(ctx)
			for range 2 {
				_ = s.Send(&testpb.StreamingOutputCallRequest{ResponseParameters: []*testpb.ResponseParameters{{Size: 10}}})
				_, _ = s.Recv()
			}
			_, _ = s.Header()
			_ = s.CloseSend()
			if _, err := s.Recv(); err != io.EOF {
				t.Error(err)
			}
		}},
	}
	for _, tt := range tests {
		var passing []stats.RPCStats
		if tt.ends == 0 {
			// grpc-go's client may get the answer before it has sent its message,
			// and then says that neither is so, or that there was no error.
			passing = []stats.RPCStats{new(stats.OutPayload), new(stats.InTrailer), new(stats.End)}
		}
		t.Run(tt.name, func(t *testing.T) { sameEvents(t, tt.call, tt.ends, passing...) })
	}
}

// inOrder checks what the options promise.
func inOrder(t *testing.T, name string, events []string) {
	t.Helper()
	at := func(kind string) int {
		return slices.IndexFunc(events, func(s string) bool { return len(s) >= len(kind) && s[:len(kind)] == kind })
	}
	order := []string{"tag", "*stats.Begin", "*stats.OutHeader", "*stats.OutPayload", "*stats.InHeader", "*stats.InPayload", "*stats.InTrailer", "*stats.End"}
	if name == "server" {
		order = []string{"tag", "*stats.InHeader", "*stats.Begin", "*stats.InPayload", "*stats.OutHeader", "*stats.OutPayload", "*stats.OutTrailer", "*stats.End"}
	}
	last := -1
	for _, kind := range order {
		if i := at(kind); i >= 0 {
			if i < last {
				t.Errorf("%s: %s is too early in %q", name, kind, events)
			}
			last = i
		}
	}
}

// A call that gets no connection begins and ends, with what it failed with.
func TestStatsHandler_NoConnection(t *testing.T) {
	lis := listen(t)
	address := lis.Addr().String()
	_ = lis.Close()
	r := newRecorder("client")
	c, err := weir.NewClient(address, weir.WithTransportCredentials(insecure.NewCredentials()), weir.WithStatsHandler(r), weir.WithStatsHandler(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = testpb.NewTestServiceClient(c).EmptyCall(t.Context(), &testpb.Empty{})
	_, _ = testpb.NewTestServiceClient(c).FullDuplexCall(t.Context())
	want := []string{
		"tag /grpc.testing.TestService/EmptyCall",
		"*stats.Begin Client=true FailFast=true IsClientStream=false IsServerStream=false IsTransparentRetryAttempt=false", "*stats.End Client=true Trailer={} code=Unavailable",
		"tag /grpc.testing.TestService/FullDuplexCall",
		"*stats.Begin Client=true FailFast=true IsClientStream=true IsServerStream=true IsTransparentRetryAttempt=false", "*stats.End Client=true Trailer={} code=Unavailable",
	}
	if !slices.Equal(r.rpc, want) {
		t.Errorf("the events are\n%q, want\n%q", r.rpc, want)
	}
}

// Several handlers hear the same, each with the contexts of those before it.
func TestStatsHandler_Several(t *testing.T) {
	lis := listen(t)
	outer, inner, server := newRecorder("client"), newRecorder("client"), newRecorder("server")
	outer.add, inner.add = "outer", "inner"
	srv := weir.NewServer(weir.StatsHandler(server))
	testpb.RegisterTestServiceServer(srv, echo{})
	background(t, srv, lis)
	c, err := weir.NewClient(lis.Addr().String(), weir.WithTransportCredentials(insecure.NewCredentials()), weir.WithStatsHandler(outer), weir.WithStatsHandler(untagged{inner}))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := testpb.NewTestServiceClient(c).EmptyCall(t.Context(), &testpb.Empty{}); err != nil {
		t.Fatal(err)
	}
	<-server.ended
	if !slices.ContainsFunc(server.rpc, func(l string) bool {
		return kind(l) == "*stats.InHeader" && strings.Contains(l, `x-echo=["outer" "inner"]`)
	}) {
		t.Errorf("the server heard %q", server.rpc)
	}
	if len(outer.rpc) < 5 || len(outer.faults) > 0 || !slices.Equal(outer.rpc, inner.rpc) {
		t.Errorf("one heard %q (%q), the other %q", outer.rpc, outer.faults, inner.rpc)
	}
}

// stuck is a stats handler that hears nothing of EmptyCall before it may.
type stuck struct {
	may     chan struct{}
	entered chan struct{} // has room for one
}

type stuckKey struct{}

func (s stuck) wait() {
	select {
	case s.entered <- struct{}{}:
	default:
	}
	<-s.may
}

func (s stuck) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	if !strings.HasSuffix(info.FullMethodName, "EmptyCall") {
		return ctx
	}
	s.wait()
	return context.WithValue(ctx, stuckKey{}, true)
}

func (s stuck) HandleRPC(ctx context.Context, _ stats.RPCStats) {
	if ctx.Value(stuckKey{}) != nil {
		s.wait()
	}
}

func (stuck) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

func (stuck) HandleConn(context.Context, stats.ConnStats) {}

// Row A21: a stats handler that is stuck, on either side, holds up its own call
// and no other on the connection: it runs on no reader and under no lock.
func TestStatsHandler_Stuck_HoldsUpItsCallOnly(t *testing.T) {
	for _, side := range []string{"client", "server"} {
		t.Run(side, func(t *testing.T) {
			h := stuck{may: make(chan struct{}), entered: make(chan struct{}, 1)}
			lis := listen(t)
			srv := weir.NewServer()
			opts := []weir.DialOption{weir.WithTransportCredentials(insecure.NewCredentials())}
			if side == "server" {
				srv = weir.NewServer(weir.StatsHandler(h))
			} else {
				opts = append(opts, weir.WithStatsHandler(h))
			}
			testpb.RegisterTestServiceServer(srv, echo{})
			background(t, srv, lis)
			c, err := weir.NewClient(lis.Addr().String(), opts...)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			client := testpb.NewTestServiceClient(c)
			held := make(chan error, 1)
			go func() {
				_, err := client.EmptyCall(t.Context(), &testpb.Empty{})
				held <- err
			}()
			<-h.entered
			for range 50 {
				if _, err := client.UnaryCall(t.Context(), &testpb.SimpleRequest{}); err != nil {
					t.Fatal(err)
				}
			}
			select {
			case err := <-held:
				t.Errorf("the call whose handler is stuck gave %v", err)
			default:
			}
			close(h.may)
			if err := <-held; err != nil {
				t.Errorf("the call gave %v", err)
			}
		})
	}
}

// untagged is a recorder that leaves the tag of another in the context.
type untagged struct{ *recorder }

func (u untagged) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	return context.WithValue(u.recorder.TagRPC(ctx, info), tagKey{}, ctx.Value(tagKey{}))
}

func (u untagged) HandleRPC(ctx context.Context, s stats.RPCStats) {
	u.recorder.HandleRPC(context.WithValue(ctx, tagKey{}, u.recorder), s)
}

func (u untagged) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

func (u untagged) HandleConn(context.Context, stats.ConnStats) {}

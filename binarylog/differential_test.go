package binarylog_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/inproc"
	"google.golang.org/grpc"
	theirs "google.golang.org/grpc/binarylog"
	pb "google.golang.org/grpc/binarylog/grpc_binarylog_v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/encoding/gzip"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
)

// memory is a sink that remembers.
type memory struct {
	mu      sync.Mutex
	entries []*pb.GrpcLogEntry
}

func (m *memory) Write(e *pb.GrpcLogEntry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries = append(m.entries, proto.CloneOf(e))
	return nil
}

func (*memory) Close() error { return nil }

// take gives what was logged by one side since the last time, without what no
// two calls have in common: times, ids of calls and ports.
func (m *memory) take(t *testing.T, side pb.GrpcLogEntry_Logger) (lines []string) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	var id uint64
	for _, e := range m.entries {
		if e.GetLogger() != side {
			continue
		}
		if id == 0 {
			id = e.GetCallId()
		}
		if e.GetTimestamp() == nil || e.GetCallId() != id || id == 0 {
			t.Errorf("an entry of call %d at %v among those of call %d", e.GetCallId(), e.GetTimestamp(), id)
		}
		e.Timestamp, e.CallId = nil, 0
		if e.GetPeer() != nil {
			e.Peer.IpPort = 0
		}
		if h := e.GetClientHeader(); h != nil {
			h.Authority = strings.TrimRight(h.GetAuthority(), "0123456789")
			if d := h.GetTimeout().AsDuration(); d > 0 {
				h.Timeout = nil
				h.MethodName += " in " + d.Round(time.Minute).String()
			}
		}
		if e.GetType() == pb.GrpcLogEntry_EVENT_TYPE_CANCEL || codes.Code(e.GetTrailer().GetStatusCode()) == codes.Canceled {
			// grpc-go's client calls it the one or the other, as it happens, and
			// servers say it in their own words.
			lines = append(lines, "cancelled")
			continue
		}
		for _, md := range []*pb.Metadata{e.GetClientHeader().GetMetadata(), e.GetServerHeader().GetMetadata(), e.GetTrailer().GetMetadata()} {
			if md != nil && e.GetPayloadTruncated() {
				md.Entry = nil // grpc-go leaves out one thing or another, as maps come
			}
			slices.SortStableFunc(md.GetEntry(), func(a, b *pb.MetadataEntry) int { return strings.Compare(a.GetKey(), b.GetKey()) })
		}
		lines = append(lines, e.GetType().String()+" "+strings.ReplaceAll(prototext.MarshalOptions{}.Format(e), "  ", " "))
	}
	return lines
}

// service answers as it is asked.
type service struct {
	testpb.UnimplementedTestServiceServer

	ended chan struct{} // one for each call
}

func (s service) say(ctx context.Context, in *testpb.SimpleRequest) error {
	if in.GetFillUsername() {
		_ = grpc.SetHeader(ctx, metadata.Pairs("h", "in the header", "long", strings.Repeat("x", 30)))
	}
	_ = grpc.SetTrailer(ctx, metadata.Pairs("t-bin", "in the trailer"))
	if code := codes.Code(in.GetResponseStatus().GetCode()); code != codes.OK {
		st, _ := status.New(code, in.GetResponseStatus().GetMessage()).WithDetails(&testpb.Payload{Body: []byte("details")})
		return st.Err()
	}
	return nil
}

func (s service) UnaryCall(ctx context.Context, in *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	defer func() { s.ended <- struct{}{} }()
	if in.GetResponseSize() < 0 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if err := s.say(ctx, in); err != nil {
		return nil, err
	}
	return &testpb.SimpleResponse{Payload: &testpb.Payload{Body: make([]byte, in.GetResponseSize())}}, nil
}

func (s service) StreamingInputCall(st grpc.ClientStreamingServer[testpb.StreamingInputCallRequest, testpb.StreamingInputCallResponse]) error {
	defer func() { s.ended <- struct{}{} }()
	for {
		if _, err := st.Recv(); errors.Is(err, io.EOF) {
			return st.SendAndClose(&testpb.StreamingInputCallResponse{AggregatedPayloadSize: 7})
		} else if err != nil {
			return err
		}
	}
}

func (s service) StreamingOutputCall(in *testpb.StreamingOutputCallRequest, st grpc.ServerStreamingServer[testpb.StreamingOutputCallResponse]) error {
	defer func() { s.ended <- struct{}{} }()
	_ = st.SendHeader(metadata.Pairs("h", "sent early"))
	for _, p := range in.GetResponseParameters() {
		if err := st.Send(&testpb.StreamingOutputCallResponse{Payload: &testpb.Payload{Body: make([]byte, p.GetSize())}}); err != nil {
			return err
		}
	}
	return nil
}

func (s service) FullDuplexCall(st grpc.BidiStreamingServer[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]) error {
	defer func() { s.ended <- struct{}{} }()
	for {
		in, err := st.Recv()
		if errors.Is(err, io.EOF) {
			return status.Error(codes.Aborted, "that was all")
		}
		if err != nil {
			return err
		}
		if err := st.Send(&testpb.StreamingOutputCallResponse{Payload: in.GetPayload()}); err != nil {
			return err
		}
	}
}

// calls are what both stacks are to log alike.
var calls = []struct {
	name string
	call func(ctx context.Context, c testpb.TestServiceClient)
}{
	{"unary", func(ctx context.Context, c testpb.TestServiceClient) {
		ctx = metadata.AppendToOutgoingContext(ctx, "key", "value", "key", "another", "bin-bin", "\x00\x01", "authorization", "secret", "grpc-trace-bin", strings.Repeat("t", 50))
		_, _ = c.UnaryCall(ctx, &testpb.SimpleRequest{ResponseSize: 100, FillUsername: true})
	}},
	{"unary without headers", func(ctx context.Context, c testpb.TestServiceClient) {
		_, _ = c.UnaryCall(ctx, &testpb.SimpleRequest{})
	}},
	{"compressed", func(ctx context.Context, c testpb.TestServiceClient) {
		_, _ = c.UnaryCall(ctx, &testpb.SimpleRequest{Payload: &testpb.Payload{Body: make([]byte, 1000)}, ResponseSize: 1000}, grpc.UseCompressor("gzip"))
	}},
	{"failed", func(ctx context.Context, c testpb.TestServiceClient) {
		_, _ = c.UnaryCall(ctx, &testpb.SimpleRequest{ResponseStatus: &testpb.EchoStatus{Code: int32(codes.NotFound), Message: "there is none"}})
	}},
	{"failed with headers", func(ctx context.Context, c testpb.TestServiceClient) {
		_, _ = c.UnaryCall(ctx, &testpb.SimpleRequest{FillUsername: true, ResponseStatus: &testpb.EchoStatus{Code: int32(codes.NotFound), Message: "there is none"}})
	}},
	{"deadline", func(ctx context.Context, c testpb.TestServiceClient) {
		ctx, cancel := context.WithTimeout(ctx, time.Hour)
		defer cancel()
		_, _ = c.UnaryCall(ctx, &testpb.SimpleRequest{})
	}},
	{"client streaming", func(ctx context.Context, c testpb.TestServiceClient) {
		st, err := c.StreamingInputCall(ctx)
		for n := range 3 {
			if err == nil {
				err = st.Send(&testpb.StreamingInputCallRequest{Payload: &testpb.Payload{Body: make([]byte, 10*n)}})
			}
		}
		_, _ = st.CloseAndRecv()
	}},
	{"server streaming", func(ctx context.Context, c testpb.TestServiceClient) {
		st, err := c.StreamingOutputCall(ctx, &testpb.StreamingOutputCallRequest{ResponseParameters: []*testpb.ResponseParameters{{Size: 3}, {Size: 50}}})
		for err == nil {
			_, err = st.Recv()
		}
	}},
	{"both ways", func(ctx context.Context, c testpb.TestServiceClient) {
		st, err := c.FullDuplexCall(ctx)
		for range 2 {
			if err == nil {
				err = st.Send(&testpb.StreamingOutputCallRequest{Payload: &testpb.Payload{Body: []byte("there and back")}})
			}
			if err == nil {
				_, err = st.Recv()
			}
		}
		_ = st.CloseSend()
		_, _ = st.Recv()
	}},
	{"cancelled stream", func(ctx context.Context, c testpb.TestServiceClient) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		st, err := c.FullDuplexCall(ctx)
		if err == nil {
			err = st.Send(&testpb.StreamingOutputCallRequest{})
		}
		if err == nil {
			_, err = st.Recv()
		}
		if err == nil {
			cancel()
			_, _ = st.Recv()
		}
	}},
}

// serving is a server of either kind.
type serving interface {
	grpc.ServiceRegistrar
	Serve(net.Listener) error
	GracefulStop()
}

const filterVariable = "GRPC_BINARY_LOG_FILTER"

// Feature: binary log (gRFC A16) with grpc-go's filter syntax
//
// For the same calls weir logs what grpc-go logs, entry for entry, under each
// filter, and within the process the same but for addresses. grpc-go reads its filter once, when a process starts: the test runs
// itself again with each.
func TestLogsWhatGRPCGoLogs(t *testing.T) {
	if os.Getenv(filterVariable) != "" {
		compareLogs(t, os.Getenv(filterVariable))
		return
	}
	const test = "grpc.testing.TestService"
	for _, filter := range []string{
		"*", "*{h}", "*{m}", "*{m:20}", "*{h:50;m:3}", "*{h:20;m}", "*{h;m:0}",
		test + "/*", test + "/UnaryCall", test + "/*,-" + test + "/UnaryCall", "*{h:1},-" + test + "/FullDuplexCall," + test + "/UnaryCall{m:5}",
		"other.Service/*",
	} {
		t.Run(filter, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLogsWhatGRPCGoLogs$")
			cmd.Env = append(os.Environ(), filterVariable+"="+filter)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			if none := strings.Contains(string(out), "entries logged: 0\n"); none != strings.HasPrefix(filter, "other") {
				t.Errorf("%s", out)
			}
		})
	}
}

var place = regexp.MustCompile(` *(peer:\{[^}]*\}|authority:"[^"]*") *`)

// nowhere gives entries without addresses, of which two transports have others.
func nowhere(lines []string) (out []string) {
	for _, l := range lines {
		out = append(out, place.ReplaceAllString(l, " "))
	}
	return out
}

func compareLogs(t *testing.T, filter string) {
	ours, others, inside := new(memory), new(memory), new(memory)
	theirs.SetSink(others)
	defer theirs.SetSink(nil)
	ended := make(chan struct{}, 1)
	run := func(srv serving, call func(ctx context.Context, c testpb.TestServiceClient), dial func(target string) (grpc.ClientConnInterface, io.Closer, error)) {
		lis, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		testpb.RegisterTestServiceServer(srv, service{ended: ended})
		served := make(chan error, 1)
		go func() { served <- srv.Serve(lis) }()
		cc, closer, err := dial(lis.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		call(t.Context(), testpb.NewTestServiceClient(cc))
		<-ended
		_ = closer.Close()
		srv.GracefulStop()
		// A call within the process may be over before there is a listener.
		if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Error(err)
		}
	}
	total := 0
	for _, tt := range calls {
		run(weir.NewServer(weir.BinaryLog(filter, ours)), tt.call, func(target string) (grpc.ClientConnInterface, io.Closer, error) {
			cc, err := weir.NewClient(target, weir.WithTransportCredentials(insecure.NewCredentials()), weir.WithBinaryLog(filter, ours))
			return cc, cc, err
		})
		run(grpc.NewServer(), tt.call, func(target string) (grpc.ClientConnInterface, io.Closer, error) {
			cc, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
			return cc, cc, err
		})
		srv := weir.NewServer(weir.BinaryLog(filter, inside))
		run(srv, tt.call, func(string) (grpc.ClientConnInterface, io.Closer, error) {
			cc, err := inproc.NewClient(srv, weir.WithBinaryLog(filter, inside))
			return cc, cc, err
		})
		for _, side := range []pb.GrpcLogEntry_Logger{pb.GrpcLogEntry_LOGGER_CLIENT, pb.GrpcLogEntry_LOGGER_SERVER} {
			got, want := ours.take(t, side), others.take(t, side)
			if in := inside.take(t, side); !slices.Equal(nowhere(in), nowhere(got)) {
				t.Errorf("%s, %v: within the process logged\n%s\nwant\n%s", tt.name, side, strings.Join(nowhere(in), "\n"), strings.Join(nowhere(got), "\n"))
			}
			total += len(want)
			if !slices.Equal(got, want) {
				t.Errorf("%s, %v: logged\n%s\nwant\n%s", tt.name, side, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
		ours.entries, others.entries, inside.entries = nil, nil, nil
	}
	fmt.Fprintf(os.Stderr, "entries logged: %d\n", total)
}

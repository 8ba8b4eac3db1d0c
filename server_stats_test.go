package weir_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// methods has the functions of a test for methods.
type methods struct {
	testpb.UnimplementedTestServiceServer
	unary  func(ctx context.Context) (*testpb.SimpleResponse, error)
	stream func(ss grpc.ServerStream) error
}

func (s methods) UnaryCall(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	return s.unary(ctx)
}

func (s methods) FullDuplexCall(ss grpc.BidiStreamingServer[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]) error {
	return s.stream(ss)
}

// serverEvents gives what a server's stats handler hears of one call: the kinds
// of the events, and the code of the end.
func serverEvents(t *testing.T, srv anyServer, heard *recorder, s methods, call func(context.Context, testpb.TestServiceClient)) []string {
	t.Helper()
	lis := listen(t)
	testpb.RegisterTestServiceServer(srv, s)
	background(t, srv, lis)
	c, err := grpc.NewClient("passthrough:///"+lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	call(t.Context(), testpb.NewTestServiceClient(c))
	<-heard.ended
	heard.mu.Lock()
	defer heard.mu.Unlock()
	var events []string
	for _, line := range heard.rpc {
		event := strings.TrimPrefix(kind(line), "*stats.")
		if event == "End" {
			_, code, _ := strings.Cut(line, "code=")
			event += " " + code
		}
		events = append(events, event)
	}
	return events
}

// A unary call whose client has left did not succeed, though its handler has an
// answer: nothing of that was sent.
func TestStatsHandler_AnswerThatNobodyGets(t *testing.T) {
	begun := make(chan struct{})
	s := methods{unary: func(ctx context.Context) (*testpb.SimpleResponse, error) {
		close(begun)
		<-ctx.Done()
		return new(testpb.SimpleResponse), nil
	}}
	call := func(ctx context.Context, c testpb.TestServiceClient) {
		ctx, cancel := context.WithCancel(ctx)
		go func() { <-begun; cancel() }()
		_, _ = c.UnaryCall(ctx, new(testpb.SimpleRequest))
	}
	ours, theirs := newRecorder("server"), newRecorder("server")
	got := serverEvents(t, weir.NewServer(weir.StatsHandler(ours)), ours, s, call)
	begun = make(chan struct{})
	want := serverEvents(t, grpc.NewServer(grpc.StatsHandler(theirs)), theirs, s, call)
	if !slices.Equal(got, want) || !strings.HasPrefix(got[len(got)-1], "End "+codes.Canceled.String()) {
		t.Errorf("the handler heard\n%q, grpc-go's\n%q", got, want)
	}
}

// The end of a call that a SendMsg or RecvMsg has aborted is the status that the
// client got, and is told once.
func TestStatsHandler_AbortedStream(t *testing.T) {
	for name, fail := range map[string]func(ss grpc.ServerStream) error{
		"sent":     func(ss grpc.ServerStream) error { return ss.SendMsg(payload(2000)) },
		"received": func(ss grpc.ServerStream) error { return ss.RecvMsg(new(testpb.SimpleRequest)) },
	} {
		t.Run(name, func(t *testing.T) {
			s := methods{stream: func(ss grpc.ServerStream) error {
				if err := fail(ss); status.Code(err) != codes.ResourceExhausted {
					t.Errorf("the handler got %v", err)
				}
				return nil
			}}
			heard := newRecorder("server")
			srv := weir.NewServer(weir.StatsHandler(heard), weir.MaxSendMsgSize(1000), weir.MaxRecvMsgSize(1000))
			got := serverEvents(t, srv, heard, s, func(ctx context.Context, c testpb.TestServiceClient) {
				cs, err := c.FullDuplexCall(ctx)
				if err != nil {
					t.Error(err)
					return
				}
				_ = cs.Send(&testpb.StreamingOutputCallRequest{Payload: payload(2000).GetPayload()})
				if _, err := cs.Recv(); status.Code(err) != codes.ResourceExhausted {
					t.Errorf("the client got %v", err)
				}
			})
			if want := []string{"tag", "InHeader", "Begin", "OutTrailer", "End " + codes.ResourceExhausted.String()}; !slices.Equal(got, want) {
				t.Errorf("the handler heard %q, want %q", got, want)
			}
		})
	}
}

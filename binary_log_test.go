package weir_test

import (
	"errors"
	"io"
	"maps"
	"strings"
	"sync"
	"testing"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc"
	pb "google.golang.org/grpc/binarylog/grpc_binarylog_v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// logged is a sink that counts entries by their type.
type logged struct {
	mu    sync.Mutex
	types map[pb.GrpcLogEntry_EventType]int
}

func (l *logged) Write(e *pb.GrpcLogEntry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.types == nil {
		l.types = make(map[pb.GrpcLogEntry_EventType]int)
	}
	l.types[e.GetType()]++
	return io.ErrShortWrite
}

func (*logged) Close() error { return errors.New("closed by nobody but its owner") }

// A wrong filter is told where the option is used, by its name.
func TestBinaryLog_WrongFilter(t *testing.T) {
	insecurely := weir.WithTransportCredentials(insecure.NewCredentials())
	if _, err := weir.NewClient("host:1", insecurely, weir.WithBinaryLog("*{", new(logged))); err == nil || !strings.Contains(err.Error(), "WithBinaryLog") {
		t.Errorf("NewClient gave %v", err)
	}
	if err := weir.NewServer(weir.BinaryLog("a/b/", new(logged))).Serve(listen(t)); err == nil || !strings.Contains(err.Error(), "BinaryLog") {
		t.Errorf("Serve gave %v", err)
	}
}

// A call that gets to no server is not logged, and one that does is, though
// the sink fails; grpc-go does the same.
func TestBinaryLog_ReachesAServer(t *testing.T) {
	lis := listen(t)
	address := lis.Addr().String()
	_ = lis.Close()
	sink := new(logged)
	c, err := weir.NewClient(address, weir.WithTransportCredentials(insecure.NewCredentials()), weir.WithBinaryLog("*", sink))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := testpb.NewTestServiceClient(c).EmptyCall(t.Context(), &testpb.Empty{}); err == nil || len(sink.types) > 0 {
		t.Errorf("the call gave %v, and is logged as %v", err, sink.types)
	}

	srv := weir.NewServer(weir.BinaryLog("*", sink))
	testpb.RegisterTestServiceServer(srv, echo{})
	lis = listen(t)
	background(t, srv, lis)
	plain, err := weir.NewClient(lis.Addr().String(), weir.WithTransportCredentials(insecure.NewCredentials()), weir.WithBinaryLog("other/*", sink))
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if _, err := testpb.NewTestServiceClient(plain).EmptyCall(t.Context(), &testpb.Empty{}); err != nil {
		t.Error(err)
	}
	srv.GracefulStop()
	if len(sink.types) != 5 || sink.types[pb.GrpcLogEntry_EVENT_TYPE_SERVER_TRAILER] != 1 {
		t.Errorf("the server's log has %v", sink.types)
	}
}

// A call that is retried is logged once on the client, with the headers and the
// status of its last attempt, and as two calls on the server.
func TestBinaryLog_Retries(t *testing.T) {
	for _, kind := range []string{"unary", "stream"} {
		t.Run(kind, func(t *testing.T) {
			client, server := new(logged), new(logged)
			srv := weir.NewServer(weir.BinaryLog("*", server), weir.StatsHandler(newRecorder("server")))
			testpb.RegisterTestServiceServer(srv, tagged{newStreamer(), t})
			lis := listen(t)
			background(t, srv, lis)
			c, err := weir.NewClient(lis.Addr().String(), weir.WithTransportCredentials(insecure.NewCredentials()),
				weir.WithBinaryLog("*", client), weir.WithDefaultServiceConfig(retried), weir.WithStatsHandler(newRecorder("client")))
			if err != nil {
				t.Fatal(err)
			}
			in := &testpb.SimpleRequest{ResponseStatus: &testpb.EchoStatus{Code: int32(codes.Unavailable)}}
			if kind == "unary" {
				_, err = testpb.NewTestServiceClient(c).UnaryCall(t.Context(), in)
			} else {
				var st grpc.ClientStream
				if st, err = c.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, testpb.TestService_UnaryCall_FullMethodName); err == nil {
					err = errors.Join(st.SendMsg(in), st.CloseSend(), st.RecvMsg(new(testpb.SimpleResponse)))
				}
				if err == nil {
					err = st.RecvMsg(new(testpb.SimpleResponse))
				}
				if err == io.EOF {
					err = nil
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			_ = c.Close()
			srv.GracefulStop()
			for _, of := range []struct {
				log  *logged
				want map[pb.GrpcLogEntry_EventType]int
			}{
				{client, map[pb.GrpcLogEntry_EventType]int{
					pb.GrpcLogEntry_EVENT_TYPE_CLIENT_HEADER: 1, pb.GrpcLogEntry_EVENT_TYPE_CLIENT_MESSAGE: 1, pb.GrpcLogEntry_EVENT_TYPE_SERVER_HEADER: 1,
					pb.GrpcLogEntry_EVENT_TYPE_SERVER_MESSAGE: 1, pb.GrpcLogEntry_EVENT_TYPE_SERVER_TRAILER: 1,
				}},
				{server, map[pb.GrpcLogEntry_EventType]int{
					pb.GrpcLogEntry_EVENT_TYPE_CLIENT_HEADER: 2, pb.GrpcLogEntry_EVENT_TYPE_CLIENT_MESSAGE: 2, pb.GrpcLogEntry_EVENT_TYPE_SERVER_HEADER: 1,
					pb.GrpcLogEntry_EVENT_TYPE_SERVER_MESSAGE: 1, pb.GrpcLogEntry_EVENT_TYPE_SERVER_TRAILER: 2,
				}},
			} {
				if !maps.Equal(of.log.types, of.want) {
					t.Errorf("the log has %v, want %v", of.log.types, of.want)
				}
			}
		})
	}
}

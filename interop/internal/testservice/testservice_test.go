package testservice

import (
	"context"
	"io"
	"net"
	"slices"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	reflectiongrpc "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/interop/internal/compressedflag"
)

// serve gives a client of a server with all services.
func serve(t *testing.T) *weir.Client {
	t.Helper()
	server := weir.NewServer()
	Register(server)
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(lis) }()
	client, err := weir.NewClient(lis.Addr().String(), weir.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return client
}

var (
	yes = &testgrpc.BoolValue{Value: true}
	no  = &testgrpc.BoolValue{Value: false}
)

func compressed(v bool) []grpc.CallOption {
	if v {
		return []grpc.CallOption{grpc.UseCompressor("gzip")}
	}
	return nil
}

func TestExpectCompressed(t *testing.T) {
	service := testgrpc.NewTestServiceClient(serve(t))
	body := &testgrpc.Payload{Body: make([]byte, 1000)}
	calls := map[string]func(*testgrpc.BoolValue, bool) error{
		"unary": func(expect *testgrpc.BoolValue, compress bool) error {
			_, err := service.UnaryCall(t.Context(), &testgrpc.SimpleRequest{ExpectCompressed: expect, Payload: body}, compressed(compress)...)
			return err
		},
		"stream": func(expect *testgrpc.BoolValue, compress bool) error {
			stream, err := service.StreamingInputCall(t.Context(), compressed(compress)...)
			if err != nil {
				return err
			}
			_ = stream.Send(&testgrpc.StreamingInputCallRequest{ExpectCompressed: expect, Payload: body}) // CloseAndRecv tells
			_, err = stream.CloseAndRecv()
			return err
		},
	}
	for kind, call := range calls {
		for _, tt := range []struct {
			name     string
			expect   *testgrpc.BoolValue
			compress bool
			want     codes.Code
		}{
			{"yes, and it is", yes, true, codes.OK},
			{"yes, but it is not", yes, false, codes.InvalidArgument},
			{"no, and it is not", no, false, codes.OK},
			{"no, but it is", no, true, codes.InvalidArgument},
			{"not a word, and it is", nil, true, codes.OK},
			{"not a word, and it is not", nil, false, codes.OK},
		} {
			t.Run(kind+": "+tt.name, func(t *testing.T) {
				if err := call(tt.expect, tt.compress); status.Code(err) != tt.want {
					t.Errorf("%v, want %v", err, tt.want)
				}
			})
		}
	}
}

// answers gives the messages of a server stream.
func answers(ctx context.Context, service testgrpc.TestServiceClient, compress bool, parameters ...*testgrpc.ResponseParameters) ([]*testgrpc.StreamingOutputCallResponse, error) {
	stream, err := service.StreamingOutputCall(ctx, &testgrpc.StreamingOutputCallRequest{
		ResponseParameters: parameters,
		Payload:            &testgrpc.Payload{Body: make([]byte, 1000)},
	}, compressed(compress)...)
	if err != nil {
		return nil, err
	}
	var all []*testgrpc.StreamingOutputCallResponse
	for {
		out, err := stream.Recv()
		if err != nil {
			if err == io.EOF {
				err = nil
			}
			return all, err
		}
		all = append(all, out)
	}
}

func TestAnswersOfStreamsAreCompressed(t *testing.T) {
	service := testgrpc.NewTestServiceClient(serve(t))
	for _, tt := range []struct {
		name     string
		ask      []*testgrpc.BoolValue
		compress bool // the request
		want     []bool
	}{
		{"yes", []*testgrpc.BoolValue{yes, yes}, false, []bool{true, true}},
		{"no to a compressed request", []*testgrpc.BoolValue{no, no}, true, []bool{false, false}},
		{"as the request, compressed", []*testgrpc.BoolValue{nil, nil}, true, []bool{true, true}},
		{"as the request, uncompressed", []*testgrpc.BoolValue{nil, nil}, false, []bool{false, false}},
		{"both", []*testgrpc.BoolValue{yes, no, yes}, false, []bool{true, false, true}},
		{"both, the other first", []*testgrpc.BoolValue{no, yes}, false, []bool{false, true}},
		{"both, of a compressed request", []*testgrpc.BoolValue{nil, no, yes}, true, []bool{true, false, true}},
		{"not a word and no", []*testgrpc.BoolValue{nil, no}, false, []bool{false, false}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var parameters []*testgrpc.ResponseParameters
			for _, c := range tt.ask {
				parameters = append(parameters, &testgrpc.ResponseParameters{Size: 2000, Compressed: c})
			}
			all, err := answers(t.Context(), service, tt.compress, parameters...)
			if err != nil || len(all) != len(tt.ask) {
				t.Fatalf("%d responses, %v, want %d", len(all), err, len(tt.ask))
			}
			for i, out := range all {
				if got := compressedflag.Of(out); got != tt.want[i] {
					t.Errorf("response %d: compressed is %v, want %v", i, got, tt.want[i])
				}
			}
		})
	}
}

func TestUnaryAnswerIsCompressedAsTheRequest(t *testing.T) {
	service := testgrpc.NewTestServiceClient(serve(t))
	for _, tt := range []struct {
		name     string
		ask      *testgrpc.BoolValue
		compress bool // the request
		want     bool
	}{
		{"compressed", nil, true, true},
		{"uncompressed", nil, false, false},
		{"no to a compressed request", no, true, false},
		{"yes to a compressed request", yes, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := service.UnaryCall(t.Context(), &testgrpc.SimpleRequest{ResponseCompressed: tt.ask, ResponseSize: 1000, Payload: &testgrpc.Payload{Body: make([]byte, 10)}}, compressed(tt.compress)...)
			if err != nil {
				t.Fatal(err)
			}
			if got := compressedflag.Of(out); got != tt.want {
				t.Errorf("compressed is %v, want %v", got, tt.want)
			}
		})
	}
}

func TestHealth(t *testing.T) {
	health := healthgrpc.NewHealthClient(serve(t))
	for _, service := range []string{"", "grpc.testing.TestService"} {
		out, err := health.Check(t.Context(), &healthgrpc.HealthCheckRequest{Service: service})
		if err != nil || out.GetStatus() != healthgrpc.HealthCheckResponse_SERVING {
			t.Errorf("%q: %v, %v", service, out, err)
		}
	}
	_, err := health.Check(t.Context(), &healthgrpc.HealthCheckRequest{Service: "nobody.Has"})
	if status.Code(err) != codes.NotFound {
		t.Errorf("a service that is not there: %v", err)
	}
}

func TestReflectionListsTheServices(t *testing.T) {
	stream, err := reflectiongrpc.NewServerReflectionClient(serve(t)).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&reflectiongrpc.ServerReflectionRequest{MessageRequest: &reflectiongrpc.ServerReflectionRequest_ListServices{}}); err != nil {
		t.Fatal(err)
	}
	out, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range out.GetListServicesResponse().GetService() {
		names = append(names, s.GetName())
	}
	for _, want := range []string{"grpc.testing.TestService", "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"} {
		if !slices.Contains(names, want) {
			t.Errorf("no %s in %v", want, names)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != io.EOF {
		t.Errorf("after the end: %v", err)
	}
}

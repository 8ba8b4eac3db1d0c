package weir_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// patient lets calls that read be made again, and gives the others one second.
type patient struct{}

func (patient) SelectConfig(call weir.RPCInfo) (*weir.RPCConfig, error) {
	config := new(grpc.MethodConfig) //nolint:staticcheck // see RPCConfig
	if strings.HasSuffix(call.Method, "/EmptyCall") {
		p := made(&config.RetryPolicy)
		p.MaxAttempts, p.BackoffMultiplier = 3, 2
		p.InitialBackoff, p.MaxBackoff = 10*time.Millisecond, time.Second
		p.RetryableStatusCodes = map[codes.Code]bool{codes.Unavailable: true}
	} else {
		config.Timeout = new(time.Second)
	}
	return &weir.RPCConfig{MethodConfig: config}, nil
}

// made makes what a pointer points to: the type of a retry policy has no public name.
func made[T any](p **T) *T {
	*p = new(T)
	return *p
}

// A resolver says of each call how long it may take, and whether it is made again.
func ExampleSetConfigSelector() {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	srv := weir.NewServer()
	testpb.RegisterTestServiceServer(srv, hesitant{})
	go func() { _ = srv.Serve(lis) }()
	defer srv.Stop()

	r := manual.NewBuilderWithScheme("shelf") // one of the user's own
	r.InitialState(weir.SetConfigSelector(resolver.State{
		Addresses: []resolver.Address{{Addr: lis.Addr().String()}},
	}, patient{}))
	c, err := weir.NewClient("shelf:///books", weir.WithResolvers(r), weir.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		panic(err)
	}
	defer c.Close()
	service := testpb.NewTestServiceClient(c)
	_, err = service.EmptyCall(context.Background(), &testpb.Empty{})
	fmt.Println("read:", err)
	_, err = service.UnaryCall(context.Background(), &testpb.SimpleRequest{})
	fmt.Println("write:", err)
	// Output:
	// read: <nil>
	// write: rpc error: code = Unavailable desc = try again
}

// hesitant fails with UNAVAILABLE, but for attempts after the first.
type hesitant struct {
	testpb.UnimplementedTestServiceServer
}

func (hesitant) EmptyCall(ctx context.Context, _ *testpb.Empty) (*testpb.Empty, error) {
	if len(metadata.ValueFromIncomingContext(ctx, "grpc-previous-rpc-attempts")) == 0 {
		return nil, status.Error(codes.Unavailable, "try again")
	}
	return &testpb.Empty{}, nil
}

func (hesitant) UnaryCall(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	return nil, status.Error(codes.Unavailable, "try again")
}

package grpcconn_test

import (
	"context"
	"fmt"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/grpcconn"
	"github.com/weir-rpc/weir/inproc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// oldLibrary stands for code that takes the type, and nothing else.
func oldLibrary(conn *grpc.ClientConn) (string, error) {
	request := &testpb.SimpleRequest{Payload: &testpb.Payload{Body: []byte("still of use")}}
	reply, err := testpb.NewTestServiceClient(conn).UnaryCall(context.Background(), request)
	return string(reply.GetPayload().GetBody()), err
}

func ExampleOf() {
	srv := weir.NewServer()
	defer srv.Stop()
	testpb.RegisterTestServiceServer(srv, echo{})

	client, err := inproc.NewClient(srv, weir.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		fmt.Println(err)
		return
	}
	conn, err := grpcconn.Of(client)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close() // and with it the Client
	fmt.Println(oldLibrary(conn))
	// Output: still of use <nil>
}

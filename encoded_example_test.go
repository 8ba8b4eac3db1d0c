package weir_test

import (
	"context"
	"fmt"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/inproc"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// ticker sends all its subscribers the same news.
type ticker struct {
	testpb.UnimplementedTestServiceServer
	news *weir.Encoded
}

func (t ticker) StreamingOutputCall(_ *testpb.StreamingOutputCallRequest, s grpc.ServerStreamingServer[testpb.StreamingOutputCallResponse]) error {
	return s.SendMsg(t.news) // not Send, which takes a message of its type alone
}

// A server encodes its news once. Of its subscribers the second wants it
// compressed, which is done once, too, however many there are like it.
func ExampleNewEncoded() {
	news := weir.NewEncoded(&testpb.StreamingOutputCallResponse{Payload: &testpb.Payload{Body: []byte("spring has come")}})
	srv := weir.NewServer()
	defer srv.Stop()
	testpb.RegisterTestServiceServer(srv, ticker{news: news})
	client, err := inproc.NewClient(srv)
	if err != nil {
		panic(err)
	}
	defer client.Close()
	for _, opts := range [][]grpc.CallOption{nil, {grpc.UseCompressor("gzip")}} {
		s, err := testpb.NewTestServiceClient(client).StreamingOutputCall(context.Background(), &testpb.StreamingOutputCallRequest{}, opts...)
		if err != nil {
			panic(err)
		}
		out, err := s.Recv()
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s\n", out.GetPayload().GetBody())
	}
	// Output:
	// spring has come
	// spring has come
}

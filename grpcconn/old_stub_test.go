package grpcconn_test

import (
	"context"

	"google.golang.org/grpc"
	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// oldStub is what was generated before grpc.ClientConnInterface came, for it
// demands the type; the free functions are older still.
type oldStub struct{ cc *grpc.ClientConn }

var oldStream = grpc.StreamDesc{StreamName: "FullDuplexCall", ServerStreams: true, ClientStreams: true}

func (c *oldStub) UnaryCall(ctx context.Context, in *testpb.SimpleRequest, opts ...grpc.CallOption) (*testpb.SimpleResponse, error) {
	out := new(testpb.SimpleResponse)
	err := c.cc.Invoke(ctx, "/grpc.testing.TestService/UnaryCall", in, out, opts...)
	return out, err
}

func (c *oldStub) UnaryCallOf2016(ctx context.Context, in *testpb.SimpleRequest, opts ...grpc.CallOption) (*testpb.SimpleResponse, error) {
	out := new(testpb.SimpleResponse)
	err := grpc.Invoke(ctx, "/grpc.testing.TestService/UnaryCall", in, out, c.cc, opts...)
	return out, err
}

func (c *oldStub) FullDuplexCall(ctx context.Context, opts ...grpc.CallOption) (oldDuplex, error) {
	s, err := c.cc.NewStream(ctx, &oldStream, "/grpc.testing.TestService/FullDuplexCall", opts...)
	return oldDuplex{s}, err
}

func (c *oldStub) FullDuplexCallOf2016(ctx context.Context, opts ...grpc.CallOption) (oldDuplex, error) {
	s, err := grpc.NewClientStream(ctx, &oldStream, c.cc, "/grpc.testing.TestService/FullDuplexCall", opts...)
	return oldDuplex{s}, err
}

type oldDuplex struct{ grpc.ClientStream }

func (x oldDuplex) Send(m *testpb.StreamingOutputCallRequest) error { return x.SendMsg(m) }

func (x oldDuplex) Recv() (*testpb.StreamingOutputCallResponse, error) {
	m := new(testpb.StreamingOutputCallResponse)
	return m, x.RecvMsg(m)
}

package inproc_test

import (
	"context"
	"strings"
	"testing"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/inproc"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"
)

// handed makes a client of service that hands messages over.
func handed(t *testing.T, service testpb.TestServiceServer, opts ...any) *weir.Client {
	t.Helper()
	dial := []weir.DialOption{weir.WithHandOver()}
	var serve []weir.ServerOption
	for _, o := range opts {
		switch o := o.(type) {
		case weir.DialOption:
			dial = append(dial, o)
		case weir.ServerOption:
			serve = append(serve, o)
		}
	}
	srv := weir.NewServer(serve...)
	if service != nil {
		testpb.RegisterTestServiceServer(srv, service)
	}
	c, err := inproc.NewClient(srv, dial...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(); srv.Stop() })
	return c
}

// The receiver's message is another one with the sender's fields, and what they
// point to is the same.
//
// Feature: messages handed over without a codec.
func TestHandOver(t *testing.T) {
	c := testpb.NewTestServiceClient(handed(t, echo{}))
	in := &testpb.SimpleRequest{Payload: payload(100), ResponseSize: 7}
	in.ProtoReflect().SetUnknown([]byte{0xf8, 0x7f, 1})
	out, err := c.UnaryCall(t.Context(), in)
	if err != nil || out.GetPayload() != in.GetPayload() {
		t.Errorf("the payload is not the sender's: %v", err)
	}
	s, err := c.FullDuplexCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		message := &testpb.StreamingOutputCallRequest{Payload: payload(10)}
		if err := s.Send(message); err != nil {
			t.Fatal(err)
		}
		if out, err := s.Recv(); err != nil || out.GetPayload() != message.GetPayload() {
			t.Fatalf("the payload is not the sender's: %v", err)
		}
	}
	_ = s.CloseSend()
	if _, err := s.Recv(); err == nil {
		t.Error("a message after the end")
	}
}

// All of a message is handed over, and nothing of it is changed.
func TestHandOverIsComplete(t *testing.T) {
	got := make(chan *testpb.SimpleRequest, 1)
	c := testpb.NewTestServiceClient(handed(t, keeps{got: got}))
	in := &testpb.SimpleRequest{
		Payload: payload(3), ResponseSize: 7, ResponseType: testpb.PayloadType(5), FillUsername: true,
		ResponseCompressed: &testpb.BoolValue{Value: true}, OrcaPerQueryReport: &testpb.TestOrcaReport{Utilization: map[string]float64{"a": 1}},
	}
	in.ProtoReflect().SetUnknown([]byte{0xf8, 0x7f, 1})
	was := proto.Clone(in)
	if _, err := c.UnaryCall(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	if out := <-got; out == in || !proto.Equal(out, was) || !proto.Equal(in, was) {
		t.Errorf("got %v of %v, which is now %v", out, was, in)
	}
}

type keeps struct {
	testpb.UnimplementedTestServiceServer
	got chan *testpb.SimpleRequest
}

func (k keeps) UnaryCall(_ context.Context, in *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	k.got <- in
	return new(testpb.SimpleResponse), nil
}

// Where a message cannot be handed over, it is marshalled.
func TestHandOverOrMarshal(t *testing.T) {
	in := &testpb.SimpleRequest{Payload: payload(100)}
	want, err := proto.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("another type", func(t *testing.T) {
		c := handed(t, echo{})
		out := dynamicpb.NewMessage(new(testpb.SimpleResponse).ProtoReflect().Descriptor())
		err := c.Invoke(t.Context(), testpb.TestService_UnaryCall_FullMethodName, in, out)
		if body := out.Get(out.Descriptor().Fields().ByName("payload")); err != nil || len(body.Message().Get(body.Message().Descriptor().Fields().ByName("body")).Bytes()) != 100 {
			t.Errorf("got %v, %v", out, err)
		}
	})
	t.Run("a proxy", func(t *testing.T) {
		c := handed(t, nil, weir.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
			var raw weir.Raw
			if err := s.RecvMsg(&raw); err != nil {
				return err
			}
			if string(raw.Bytes()) != string(want) {
				t.Errorf("the proxy got %x, want %x", raw.Bytes(), want)
			}
			return s.SendMsg(&raw)
		}))
		out := new(testpb.SimpleRequest)
		if err := c.Invoke(t.Context(), "/any/Method", in, out); err != nil || !proto.Equal(in, out) || out.GetPayload() == in.GetPayload() {
			t.Errorf("got %v, %v", out, err)
		}
	})
	t.Run("no message of protobuf", func(t *testing.T) {
		c := handed(t, echo{})
		if err := c.Invoke(t.Context(), testpb.TestService_UnaryCall_FullMethodName, 5, new(testpb.SimpleResponse)); status.Code(err) != codes.Internal {
			t.Errorf("got %v", err)
		}
	})
	t.Run("encoded once", func(t *testing.T) {
		c := handed(t, echo{})
		out := new(testpb.SimpleResponse)
		if err := c.Invoke(t.Context(), testpb.TestService_UnaryCall_FullMethodName, weir.NewEncoded(in), out); err != nil || len(out.GetPayload().GetBody()) != 100 {
			t.Errorf("got %v", err)
		}
	})
}

// Connections that leave the process are none for it.
func TestHandOverNeedsTheProcess(t *testing.T) {
	far := func(context.Context, string, transport.ClientConfig) (transport.ClientTransport, error) {
		c, _ := inproc.Pipe(transport.ClientConfig{}, transport.ServerConfig{})
		return struct{ transport.ClientTransport }{c}, nil
	}
	for _, o := range []weir.DialOption{weir.WithTransport(far), weir.WithTransportCredentials(insecure.NewCredentials())} {
		c, err := weir.NewClient("passthrough:///far", o, weir.WithHandOver())
		if err != nil {
			t.Fatal(err)
		}
		_, err = testpb.NewTestServiceClient(c).EmptyCall(t.Context(), new(testpb.Empty))
		if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "WithHandOver") {
			t.Errorf("got %v", err)
		}
		_ = c.Close()
	}
}

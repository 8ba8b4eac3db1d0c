// Package testservice is grpc.testing.TestService with all that the interop
// test descriptions ask of a server and weir can do:
// https://github.com/grpc/grpc/blob/master/doc/interop-test-descriptions.md
package testservice

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/health"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/interop/internal/compressedflag"
)

// Register registers the service, reflection and health, which is SERVING for
// all of them.
func Register(s *weir.Server) {
	testgrpc.RegisterTestServiceServer(s, service{interop.NewTestServer()})
	checks := health.NewServer()
	checks.SetServingStatus(testgrpc.TestService_ServiceDesc.ServiceName, healthgrpc.HealthCheckResponse_SERVING)
	healthgrpc.RegisterHealthServer(s, checks)
	reflection.Register(s)
}

// service adds the features CompressedRequest and CompressedResponse to
// grpc-go's TestService. Without a word about compression in the request the
// server answers as it always does: compressed as the request is.
type service struct{ testgrpc.TestServiceServer }

func (s service) UnaryCall(ctx context.Context, in *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	if err := expect(in.GetExpectCompressed(), in); err != nil {
		return nil, err
	}
	if err := answer(ctx, in.GetResponseCompressed()); err != nil {
		return nil, err
	}
	return s.TestServiceServer.UnaryCall(ctx, in)
}

func (s service) StreamingInputCall(stream testgrpc.TestService_StreamingInputCallServer) error {
	return s.TestServiceServer.StreamingInputCall(expectant{stream})
}

func (s service) StreamingOutputCall(in *testgrpc.StreamingOutputCallRequest, stream testgrpc.TestService_StreamingOutputCallServer) error {
	for _, p := range in.GetResponseParameters() {
		if p.GetCompressed().GetValue() {
			if err := answer(stream.Context(), p.GetCompressed()); err != nil {
				return err
			}
			break
		}
	}
	return s.TestServiceServer.StreamingOutputCall(in, &choosing{stream, in.GetResponseParameters()})
}

// choosing leaves those responses uncompressed for which the client wants that.
type choosing struct {
	testgrpc.TestService_StreamingOutputCallServer
	next []*testgrpc.ResponseParameters
}

func (c *choosing) Send(m *testgrpc.StreamingOutputCallResponse) error {
	p := c.next[0]
	c.next = c.next[1:]
	if p.GetCompressed() != nil && !p.GetCompressed().GetValue() {
		return c.SendMsg(weir.Uncompressed(m))
	}
	return c.TestService_StreamingOutputCallServer.Send(m)
}

// expectant checks of each message what it says about itself.
type expectant struct {
	testgrpc.TestService_StreamingInputCallServer
}

func (e expectant) Recv() (*testgrpc.StreamingInputCallRequest, error) {
	in, err := e.TestService_StreamingInputCallServer.Recv()
	if err == nil {
		err = expect(in.GetExpectCompressed(), in)
	}
	return in, err
}

// expect fails if a message did not come as it says that it would.
func expect(compressed *testgrpc.BoolValue, m proto.Message) error {
	if compressed == nil || compressed.GetValue() == compressedflag.Of(m) {
		return nil
	}
	return status.Errorf(codes.InvalidArgument, "the request has expect_compressed %v and a Compressed-Flag that says otherwise", compressed.GetValue())
}

// answer compresses the answers of a call or not, if the client wants to have
// it its way.
func answer(ctx context.Context, compressed *testgrpc.BoolValue) error {
	switch {
	case compressed == nil:
		return nil
	case compressed.GetValue():
		return weir.SetSendCompressor(ctx, gzip.Name)
	default:
		return weir.SetSendCompressor(ctx, encoding.Identity)
	}
}

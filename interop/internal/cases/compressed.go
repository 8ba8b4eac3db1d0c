package cases

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/protobuf/proto"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/interop/internal/compressedflag"
)

func boolean(v bool) *testgrpc.BoolValue { return &testgrpc.BoolValue{Value: v} }

// compressing gives the options of a call whose messages are compressed or not.
func compressing(v bool) []grpc.CallOption {
	if v {
		return []grpc.CallOption{grpc.UseCompressor(gzip.Name)}
	}
	return nil
}

// cameAs fails unless a message came compressed or not, as it should.
func cameAs(compressed bool, m proto.Message) error {
	if got := compressedflag.Of(m); got != compressed {
		return fmt.Errorf("a response with Compressed-Flag %v, want %v", got, compressed)
	}
	return nil
}

const probe = "an uncompressed request with expect_compressed"

func clientCompressedUnary(ctx context.Context, t *Target) error {
	service := t.service()
	call := func(expect, compress bool) error {
		_, err := large(ctx, service, &testgrpc.SimpleRequest{
			ExpectCompressed: boolean(expect),
			ResponseSize:     largeResponse,
			Payload:          zeros(largeRequest),
		}, compressing(compress)...)
		return err
	}
	if err := failsWith(probe, codes.InvalidArgument, call(true, false)); err != nil {
		return err
	}
	if err := call(true, true); err != nil {
		return fmt.Errorf("a compressed request: %w", err)
	}
	if err := call(false, false); err != nil {
		return fmt.Errorf("an uncompressed request: %w", err)
	}
	return nil
}

func serverCompressedUnary(ctx context.Context, t *Target) error {
	for _, compressed := range []bool{true, false} {
		out, err := large(ctx, t.service(), &testgrpc.SimpleRequest{
			ResponseCompressed: boolean(compressed),
			ResponseSize:       largeResponse,
			Payload:            zeros(largeRequest),
		})
		if err != nil {
			return fmt.Errorf("response_compressed %v: %w", compressed, err)
		}
		if err := cameAs(compressed, out); err != nil {
			return err
		}
	}
	return nil
}

func clientCompressedStreaming(ctx context.Context, t *Target) error {
	stream, err := t.service().StreamingInputCall(ctx, compressing(false)...)
	if err != nil {
		return err
	}
	message := func(size int, expect bool) *testgrpc.StreamingInputCallRequest {
		return &testgrpc.StreamingInputCallRequest{ExpectCompressed: boolean(expect), Payload: zeros(size)}
	}
	// If it fails because the server has answered, CloseAndRecv tells.
	if err := stream.Send(message(27182, true)); err != nil && err != io.EOF {
		return err
	}
	_, err = stream.CloseAndRecv()
	if err := failsWith(probe, codes.InvalidArgument, err); err != nil {
		return err
	}
	if stream, err = t.service().StreamingInputCall(ctx, compressing(true)...); err != nil {
		return err
	}
	if err := stream.Send(message(27182, true)); err != nil {
		return fmt.Errorf("a compressed request: %w", err)
	}
	if err := stream.SendMsg(weir.Uncompressed(message(45904, false))); err != nil && err != io.EOF {
		return fmt.Errorf("an uncompressed request: %w", err)
	}
	out, err := stream.CloseAndRecv()
	if err != nil {
		return fmt.Errorf("a compressed request and an uncompressed one: %w", err)
	}
	if got := out.GetAggregatedPayloadSize(); got != 27182+45904 {
		return fmt.Errorf("the server has got %d octets, want %d", got, 27182+45904)
	}
	return nil
}

func serverCompressedStreaming(ctx context.Context, t *Target) error {
	want := []*testgrpc.ResponseParameters{
		{Size: 31415, Compressed: boolean(true)},
		{Size: 92653, Compressed: boolean(false)},
	}
	stream, err := t.service().StreamingOutputCall(ctx, &testgrpc.StreamingOutputCallRequest{ResponseParameters: want})
	if err != nil {
		return err
	}
	for _, p := range want {
		out, err := stream.Recv()
		if err != nil {
			return fmt.Errorf("compressed %v: %w", p.GetCompressed().GetValue(), err)
		}
		if got := len(out.GetPayload().GetBody()); got != int(p.GetSize()) {
			return fmt.Errorf("a body of %d octets, want %d", got, p.GetSize())
		}
		if err := cameAs(p.GetCompressed().GetValue(), out); err != nil {
			return err
		}
	}
	if _, err := stream.Recv(); err == nil {
		return errors.New("more responses than those that were asked for")
	} else if err != io.EOF {
		return fmt.Errorf("after the last response: %w", err)
	}
	return nil
}

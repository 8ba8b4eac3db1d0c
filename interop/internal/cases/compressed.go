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

	"github.com/weir-rpc/weir/interop/internal/compressedflag"
)

// The descriptions have compressed messages and others in one stream. A weir
// client compresses all messages of a call or none, as grpc-go's does, so that
// the streams of these cases are one for each message.

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
	service := t.service()
	call := func(size int, expect, compress bool) error {
		stream, err := service.StreamingInputCall(ctx, compressing(compress)...)
		if err != nil {
			return err
		}
		// If it fails because the server has answered, CloseAndRecv tells.
		err = stream.Send(&testgrpc.StreamingInputCallRequest{ExpectCompressed: boolean(expect), Payload: zeros(size)})
		if err != nil && err != io.EOF {
			return err
		}
		out, err := stream.CloseAndRecv()
		if err != nil {
			return err
		}
		if got := int(out.GetAggregatedPayloadSize()); got != size {
			return fmt.Errorf("the server has got %d octets, want %d", got, size)
		}
		return nil
	}
	if err := failsWith(probe, codes.InvalidArgument, call(27182, true, false)); err != nil {
		return err
	}
	if err := call(27182, true, true); err != nil {
		return fmt.Errorf("a compressed request: %w", err)
	}
	if err := call(45904, false, false); err != nil {
		return fmt.Errorf("an uncompressed request: %w", err)
	}
	return nil
}

func serverCompressedStreaming(ctx context.Context, t *Target) error {
	for _, tt := range []struct {
		size       int32
		compressed bool
	}{{31415, true}, {92653, false}} {
		stream, err := t.service().StreamingOutputCall(ctx, &testgrpc.StreamingOutputCallRequest{
			ResponseParameters: []*testgrpc.ResponseParameters{{Size: tt.size, Compressed: boolean(tt.compressed)}},
		})
		if err != nil {
			return err
		}
		out, err := stream.Recv()
		if err != nil {
			return fmt.Errorf("compressed %v: %w", tt.compressed, err)
		}
		if got := len(out.GetPayload().GetBody()); got != int(tt.size) {
			return fmt.Errorf("a body of %d octets, want %d", got, tt.size)
		}
		if err := cameAs(tt.compressed, out); err != nil {
			return err
		}
		if _, err := stream.Recv(); err == nil {
			return errors.New("more responses than the one that was asked for")
		} else if err != io.EOF {
			return fmt.Errorf("after the last response: %w", err)
		}
	}
	return nil
}

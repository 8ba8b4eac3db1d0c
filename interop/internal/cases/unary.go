package cases

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
)

// The sizes of large_unary, in octets.
const (
	largeRequest  = 271_828
	largeResponse = 314_159
)

func zeros(n int) *testgrpc.Payload { return &testgrpc.Payload{Body: make([]byte, n)} }

// large makes a unary call and checks the size of the answer.
func large(ctx context.Context, service testgrpc.TestServiceClient, in *testgrpc.SimpleRequest, opts ...grpc.CallOption) (*testgrpc.SimpleResponse, error) {
	out, err := service.UnaryCall(ctx, in, opts...)
	if err != nil {
		return nil, fmt.Errorf("UnaryCall: %w", err)
	}
	if got := len(out.GetPayload().GetBody()); got != int(in.GetResponseSize()) {
		return nil, fmt.Errorf("UnaryCall: a body of %d octets, want %d", got, in.GetResponseSize())
	}
	return out, nil
}

func concurrentLargeUnary(ctx context.Context, t *Target) error {
	service := t.service()
	in := &testgrpc.SimpleRequest{ResponseSize: largeResponse, Payload: zeros(largeRequest)}
	calls := 1000
	if t.Calls > 0 {
		calls = t.Calls
	}
	failed := make([]error, calls)
	var running sync.WaitGroup
	for i := range failed {
		running.Go(func() { _, failed[i] = large(ctx, service, in) })
	}
	running.Wait()
	var first error
	n := 0
	for _, err := range failed {
		if err != nil {
			n++
			first = err
		}
	}
	if n > 0 {
		return fmt.Errorf("%d of %d calls failed, one with: %w", n, calls, first)
	}
	return nil
}

func unimplementedMethod(ctx context.Context, t *Target) error {
	err := t.Client.Invoke(ctx, "/grpc.testing.TestService/UnimplementedCall", new(testgrpc.Empty), new(testgrpc.Empty))
	return failsWith("a method that the server has not", codes.Unimplemented, err)
}

func unimplementedService(ctx context.Context, t *Target) error {
	_, err := testgrpc.NewUnimplementedServiceClient(t.Client).UnimplementedCall(ctx, new(testgrpc.Empty))
	return failsWith("a service that the server has not", codes.Unimplemented, err)
}

// failsWith is nil if err has the code that it should have.
func failsWith(what string, code codes.Code, err error) error {
	if err == nil {
		return errors.New(what + ": the call succeeded, want " + code.String())
	}
	if status.Code(err) != code {
		return fmt.Errorf("%s: want %v: %w", what, code, err)
	}
	return nil
}

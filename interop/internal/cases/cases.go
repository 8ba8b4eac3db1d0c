// Package cases has the test cases of an interop client, after
// https://github.com/grpc/grpc/blob/master/doc/interop-test-descriptions.md
//
// Most are grpc-go's own, which end the process when they fail.
package cases

import (
	"context"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/weir-rpc/weir"
)

// A Case is a test case. Run fails with an error, or ends the process.
type Case struct {
	Name string
	Run  func(context.Context, *Target) error
	// Own is set for those that grpc-go's client does not have.
	Own bool
	// Gzip is set for those that need a server with the features
	// CompressedRequest or CompressedResponse, which grpc-go's has not.
	Gzip bool
	// Defect is set for those that fail against a weir server, with the reason.
	Defect string
}

// A Target is whom to test, and how.
type Target struct {
	Client *weir.Client
	// Dial makes another client of the same server.
	Dial func() (*weir.Client, error)
	Soak Soak
	// Calls is how many concurrent_large_unary makes. Zero means 1,000, as in
	// the descriptions.
	Calls int
	Log   io.Writer
}

func (t *Target) service() testgrpc.TestServiceClient {
	return testgrpc.NewTestServiceClient(t.Client)
}

// All has the cases in the order of the descriptions.
var All = []Case{
	{Name: "empty_unary", Run: of(interop.DoEmptyUnaryCall)},
	{Name: "large_unary", Run: of(interop.DoLargeUnaryCall)},
	{Name: "client_compressed_unary", Run: clientCompressedUnary, Own: true, Gzip: true},
	{Name: "server_compressed_unary", Run: serverCompressedUnary, Own: true, Gzip: true},
	{Name: "client_streaming", Run: of(interop.DoClientStreaming)},
	{Name: "client_compressed_streaming", Run: clientCompressedStreaming, Own: true, Gzip: true},
	{Name: "server_streaming", Run: of(interop.DoServerStreaming)},
	{Name: "server_compressed_streaming", Run: serverCompressedStreaming, Own: true, Gzip: true},
	{Name: "ping_pong", Run: of(interop.DoPingPong)},
	{Name: "empty_stream", Run: of(interop.DoEmptyStream)},
	{Name: "custom_metadata", Run: of(interop.DoCustomMetadata)},
	{Name: "status_code_and_message", Run: of(interop.DoStatusCodeAndMessage)},
	{Name: "special_status_message", Run: of(interop.DoSpecialStatusMessage)},
	{Name: "unimplemented_method", Run: unimplementedMethod},
	{Name: "unimplemented_service", Run: unimplementedService},
	{Name: "cancel_after_begin", Run: of(interop.DoCancelAfterBegin)},
	{Name: "cancel_after_first_response", Run: of(interop.DoCancelAfterFirstResponse)},
	{Name: "timeout_on_sleeping_server", Run: of(interop.DoTimeoutOnSleepingServer)},
	{Name: "concurrent_large_unary", Run: concurrentLargeUnary, Own: true},
	{Name: "rpc_soak", Run: rpcSoak},
	{Name: "channel_soak", Run: channelSoak},
}

// Named gives the case of a name, or nil.
func Named(name string) *Case {
	for i := range All {
		if All[i].Name == name {
			return &All[i]
		}
	}
	return nil
}

// Names gives the names of all cases.
func Names() []string {
	names := make([]string, 0, len(All))
	for _, c := range All {
		names = append(names, c.Name)
	}
	return names
}

// of makes a case of one of grpc-go's.
func of(do func(context.Context, testgrpc.TestServiceClient, ...grpc.CallOption)) func(context.Context, *Target) error {
	return func(ctx context.Context, t *Target) error {
		do(ctx, t.service())
		return nil
	}
}

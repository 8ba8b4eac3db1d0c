package weir_test

import (
	"maps"
	"testing"
	"testing/synctest"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/h2peer"
	pb "google.golang.org/grpc/binarylog/grpc_binarylog_v1"
	"google.golang.org/grpc/codes"
)

// A binary log has a call once, whatever the number of its attempts, and ends
// as the call does.
func TestRetry_BinaryLog(t *testing.T) {
	for name, config := range map[string]string{"retried": retryPolicy, "hedged": hedgingPolicy} {
		for kind, call := range kindsOfCalls {
			t.Run(name+"/"+kind, func(t *testing.T) {
				sink := new(logged)
				configured(t, methodConfig(config), func(t *testing.T, c *weir.Client, accept func() *h2peer.Peer) {
					result := call(t.Context(), c)
					p := accept()
					for i := range 3 {
						wantAttempt(t, p, id(i), i)
						if i < 2 {
							fails(p, id(i), codes.Unavailable)
						}
					}
					answering(t, p, id(2))
					if o := <-result; o.err != nil {
						t.Error(o.err)
					}
					synctest.Wait()
					want := map[pb.GrpcLogEntry_EventType]int{
						pb.GrpcLogEntry_EVENT_TYPE_CLIENT_HEADER:  1,
						pb.GrpcLogEntry_EVENT_TYPE_CLIENT_MESSAGE: 1,
						pb.GrpcLogEntry_EVENT_TYPE_SERVER_HEADER:  1,
						pb.GrpcLogEntry_EVENT_TYPE_SERVER_MESSAGE: 1,
						pb.GrpcLogEntry_EVENT_TYPE_SERVER_TRAILER: 1,
					}
					if kind == "bidi" || kind == "client streaming" {
						want[pb.GrpcLogEntry_EVENT_TYPE_CLIENT_HALF_CLOSE] = 1
					}
					if !maps.Equal(sink.types, want) {
						t.Errorf("the log has %v, want %v", sink.types, want)
					}
				}, weir.WithBinaryLog("*", sink))
			})
		}
	}
}

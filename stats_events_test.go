package weir_test

import (
	"context"
	"fmt"
	"maps"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// described says what is in an event: all fields, but for what two calls never
// have in common, times and ports, and what two stacks rightly differ in.
func (r *recorder) described(event any) string {
	v := reflect.ValueOf(event).Elem()
	line := fmt.Sprintf("%T", event)
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		switch value := v.Field(i).Interface().(type) {
		case time.Time:
			if value.IsZero() {
				r.faultf("%T has no %s", event, name)
			}
			continue
		case error:
			line += " code=" + status.Code(value).String()
		case net.Addr:
			host, _, _ := net.SplitHostPort(value.String())
			line += " " + name + "=" + host
		case metadata.MD:
			line += " " + name + "=" + describedMetadata(value)
		case proto.Message:
			line += fmt.Sprintf(" %s=%T of %d octets", name, value, proto.Size(value))
		case string:
			line += " " + name + "=" + strings.TrimRight(value, "0123456789")
		case int:
			// Of payloads alone: headers are octets of HPACK, which encoders choose.
			if name != "WireLength" || v.FieldByName("Payload").IsValid() {
				line += fmt.Sprintf(" %s=%d", name, value)
			}
		default:
			line += fmt.Sprintf(" %s=%v", name, value)
		}
	}
	return line
}

// describedMetadata gives metadata in the order of its keys, without what names
// the stack.
func describedMetadata(md metadata.MD) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(md)) {
		switch key {
		case "user-agent", "grpc-accept-encoding":
		case ":authority":
			parts = append(parts, key+"="+strings.TrimRight(md[key][0], "0123456789"))
		default:
			parts = append(parts, fmt.Sprintf("%s=%q", key, md[key]))
		}
	}
	return "{" + strings.Join(parts, " ") + "}"
}

// kind is the type of an event that was described.
func kind(line string) string {
	k, _, _ := strings.Cut(line, " ")
	return k
}

// without leaves events of a kind out.
func without(lines []string, of stats.RPCStats) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return kind(l) == fmt.Sprintf("%T", of) })
}

// retried is a service config by which calls that fail as UNAVAILABLE are made
// again.
const retried = `{"methodConfig": [{"name": [{"service": "grpc.testing.TestService", "method": "UnaryCall"}], "retryPolicy": {
	"maxAttempts": 3, "initialBackoff": "0.001s", "maxBackoff": "0.001s", "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]
}}]}`

// sameEvents makes a call on weir and on grpc-go and compares what their stats
// handlers hear, but for events of those kinds that come or not as it happens. The call has so many ends on the server.
func sameEvents(t *testing.T, call func(context.Context, testpb.TestServiceClient), ends int, passing ...stats.RPCStats) {
	t.Helper()
	client, server := observedCall(t, true, call, ends)
	theirClient, theirServer := observedCall(t, false, call, ends)
	for i, r := range []*recorder{client, server} {
		theirs := []*recorder{theirClient, theirServer}[i]
		if !slices.Equal(r.conns, theirs.conns) {
			t.Errorf("%s: connections\n%q, want\n%q", r.name, r.conns, theirs.conns)
		}
		got, want := slices.Clone(r.rpc), slices.Clone(theirs.rpc)
		for attempt := range strings.SplitSeq(strings.Join(got, "\n"), "\ntag ") {
			inOrder(t, r.name, strings.Split(attempt, "\n"))
		}
		if r == client {
			if n := len(got) - len(without(got, new(stats.DelayedPickComplete))); n != 1 {
				t.Errorf("%d attempts have waited for the connection, want the first", n)
			}
			want = append(without(want, new(stats.DelayedPickComplete)), "*stats.DelayedPickComplete") // as it happens
		}
		for _, p := range passing {
			got, want = without(got, p), without(want, p)
		}
		slices.Sort(got) // grpc-go's reader tells of headers when it likes
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: the events are\n%s\nwant\n%s", r.name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// Feature: stats.Handler, events of retries, cancellations and failures
//
// Both sides hear of calls that go wrong what they hear with grpc-go.
func TestStatsHandler_HearsWhatGRPCGoTells_OfFailures(t *testing.T) {
	unavailable := &testpb.EchoStatus{Code: int32(codes.Unavailable)}
	tests := []struct {
		name    string
		ends    int // of attempts, on the server
		call    func(context.Context, testpb.TestServiceClient)
		passing []stats.RPCStats
	}{
		{"retried", 2, func(ctx context.Context, c testpb.TestServiceClient) {
			if _, err := c.UnaryCall(ctx, &testpb.SimpleRequest{ResponseStatus: unavailable}); err != nil {
				t.Error(err)
			}
		}, nil},
		{"too large an answer", 1, func(ctx context.Context, c testpb.TestServiceClient) {
			_, _ = c.UnaryCall(ctx, &testpb.SimpleRequest{ResponseSize: 100}, grpc.MaxCallRecvMsgSize(10))
		}, []stats.RPCStats{new(stats.InTrailer), new(stats.OutTrailer)}}, // if it has come by then
		{"cancelled", 1, func(ctx context.Context, c testpb.TestServiceClient) {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			s, _ := c.FullDuplexCall(ctx)
			_ = s.Send(&testpb.StreamingOutputCallRequest{ResponseParameters: []*testpb.ResponseParameters{{Size: 10}}})
			_, _ = s.Recv()
			cancel()
			_, _ = s.Recv()
		}, nil},
		{"over before it begins, after another", 1, func(ctx context.Context, c testpb.TestServiceClient) {
			if _, err := c.UnaryCall(ctx, new(testpb.SimpleRequest)); err != nil {
				t.Error(err)
			}
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			if _, err := c.UnaryCall(ctx, new(testpb.SimpleRequest)); status.Code(err) != codes.Canceled {
				t.Error(err)
			}
			if _, err := c.FullDuplexCall(ctx); status.Code(err) != codes.Canceled {
				t.Error(err)
			}
		}, nil},
		{"a stream that fails", 1, func(ctx context.Context, c testpb.TestServiceClient) {
			s, _ := c.FullDuplexCall(ctx)
			_ = s.Send(&testpb.StreamingOutputCallRequest{ResponseStatus: &testpb.EchoStatus{Code: int32(codes.Aborted)}})
			_, _ = s.Recv()
		}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { sameEvents(t, tt.call, tt.ends, tt.passing...) })
	}
}

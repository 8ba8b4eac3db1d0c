package inproc_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/simnet"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// A SendMsg or RecvMsg that fails ends the call with its error, whatever the
// handler makes of that, and whoever waits beside it on the stream.
func TestAbort_IsTheSameOverAll(t *testing.T) {
	empty := func() *wrapperspb.BytesValue { return new(wrapperspb.BytesValue) }
	large := wrapperspb.Bytes(make([]byte, 2000))
	for _, tt := range []struct {
		name string
		fail func(ss grpc.ServerStream) error
		send []*wrapperspb.BytesValue // of the client
		want string
	}{
		{"what is sent is too large", func(ss grpc.ServerStream) error { return ss.SendMsg(large) }, nil, "client: ResourceExhausted"},
		{"what is sent is no message", func(ss grpc.ServerStream) error { return ss.SendMsg(7) }, nil, "client: Internal"},
		{"what came is too large", func(ss grpc.ServerStream) error { return ss.RecvMsg(empty()) }, []*wrapperspb.BytesValue{large}, "client: ResourceExhausted"},
		{"what came is no message", func(ss grpc.ServerStream) error { return ss.RecvMsg(new(int)) }, []*wrapperspb.BytesValue{empty()}, "client: Internal"},
	} {
		for _, beside := range []string{"nobody", "RecvMsg", "SendMsg", "the context"} {
			if beside == "RecvMsg" && tt.send != nil || beside == "SendMsg" && tt.send == nil {
				continue // one goroutine at a time does
			}
			t.Run(tt.name+", beside it "+beside, func(t *testing.T) {
				words := make(map[string]string)
				over(t, []string{"http2", "inproc", "net/http"}, func(t *testing.T, w *world) {
					var s, server, other seen
					done := make(chan struct{})
					w.stream = func(ss grpc.ServerStream) error {
						defer close(done)
						_ = ss.SendMsg(empty())
						var waits sync.WaitGroup
						waits.Go(func() {
							switch beside {
							case "RecvMsg":
								other.end(beside, ss.RecvMsg(empty()))
							case "SendMsg":
								for ss.SendMsg(wrapperspb.Bytes(make([]byte, 900))) == nil {
								}
							case "the context":
								<-ss.Context().Done()
								other.say("%v", ss.Context().Err())
							}
						})
						<-time.After(time.Second) // it waits, or has filled the windows
						server.end("handler", tt.fail(ss))
						waits.Wait()
						return nil
					}
					cs := w.open(t.Context())
					in := empty()
					s.end("first", cs.RecvMsg(in))
					for _, m := range tt.send {
						_ = cs.SendMsg(m)
					}
					if beside != "SendMsg" {
						<-done
					} else {
						<-time.After(2 * time.Second)
					}
					err := cs.RecvMsg(in)
					for err == nil {
						err = cs.RecvMsg(in)
					}
					<-done
					s.WriteString(server.String() + other.String())
					s.end("client", err)
					words[w.name] = s.String()
				}, []any{weir.MaxSendMsgSize(1000), weir.MaxRecvMsgSize(1000)})
				for name, got := range words {
					if got != words["http2"] {
						t.Errorf("over HTTP/2:\n%s\n%s:\n%s", words["http2"], name, got)
					}
				}
				if !strings.Contains(words["http2"], tt.want) {
					t.Errorf("%q is not in\n%s", tt.want, words["http2"])
				}
			})
		}
	}
}

// A handler whose stream was aborted holds its place until it has returned: a
// client that provokes it cannot have any number of them run.
func TestAbort_KeepsThePlace(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		release := make(chan struct{})
		var mu sync.Mutex
		running := 0
		w.stream = func(ss grpc.ServerStream) error {
			mu.Lock()
			running++
			mu.Unlock()
			_ = ss.RecvMsg(new(int))
			<-release
			return nil
		}
		var calls sync.WaitGroup
		for range 5 {
			calls.Go(func() {
				cs := w.open(t.Context())
				_ = cs.SendMsg(new(wrapperspb.BytesValue))
				err := cs.RecvMsg(new(wrapperspb.BytesValue))
				if code := status.Code(err); code != codes.Internal && code != codes.Unavailable { // over HTTP/2 it may be refused
					t.Errorf("the call ended with %v", err)
				}
			})
		}
		simnet.Advance(time.Second) // all that can has come
		mu.Lock()
		if running != 2 {
			t.Errorf("%d handlers run, MaxConcurrentStreams is 2", running)
		}
		mu.Unlock()
		close(release)
		calls.Wait()
	}, weir.MaxConcurrentStreams(2))
}

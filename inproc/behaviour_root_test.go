package inproc_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/simnet"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// events writes down what a stats handler hears.
type events struct {
	mu  sync.Mutex
	all []string
}

func (e *events) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (e *events) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (e *events) HandleConn(_ context.Context, s stats.ConnStats)                   { e.add(s) }
func (e *events) HandleRPC(_ context.Context, s stats.RPCStats)                     { e.add(s) }

func (e *events) add(s any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	text := strings.TrimPrefix(fmt.Sprintf("%T", s), "*stats.")
	switch s := s.(type) {
	case string:
		text = s
	case *stats.InPayload:
		text += fmt.Sprint(" ", s.Length)
	case *stats.OutPayload:
		text += fmt.Sprint(" ", s.Length)
	case *stats.InHeader:
		text += fmt.Sprint(" ", s.FullMethod, s.Compression, " ", len(s.Header))
	case *stats.OutHeader:
		text += fmt.Sprint(" ", s.FullMethod, s.Compression, " ", len(s.Header))
	case *stats.End:
		text += fmt.Sprint(" ", status.Code(s.Error))
	}
	e.all = append(e.all, text)
}

func (e *events) String() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return strings.Join(e.all, "\n")
}

// What is done above the transports hears and does the same over both.
func TestAboveTheTransport(t *testing.T) {
	for _, tt := range []struct {
		name string
		opts func(client, server *events) []any
		do   func(t *testing.T, w *world, s *seen)
		want string
	}{
		{
			name: "stats", want: "OutTrailer",
			opts: func(client, server *events) []any {
				return []any{weir.WithStatsHandler(client), weir.StatsHandler(server)}
			},
			do: func(t *testing.T, w *world, s *seen) {
				_, err := w.call(metadata.AppendToOutgoingContext(t.Context(), "k", "v"), "hello")
				s.end("unary", err)
				synctest.Wait()
				cs := w.open(t.Context())
				for range 2 {
					_ = cs.SendMsg(wrapperspb.Bytes([]byte("x")))
					_ = cs.RecvMsg(new(wrapperspb.BytesValue))
				}
				_ = cs.CloseSend()
				s.say("end %v", cs.RecvMsg(new(wrapperspb.BytesValue)))
				synctest.Wait()
				w.unary = func(context.Context, *wrapperspb.BytesValue) (*wrapperspb.BytesValue, error) {
					return nil, status.Error(codes.NotFound, "no")
				}
				_, err = w.call(t.Context(), "")
				s.end("failed", err)
				synctest.Wait()
			},
		},
		{
			name: "interceptors", want: "client unary /test.Both/Unary",
			opts: func(client, server *events) []any {
				return []any{
					weir.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
						client.add("client unary " + method)
						return invoker(ctx, method, req, reply, cc, opts...)
					}),
					weir.WithStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
						client.add("client stream " + method)
						return streamer(ctx, desc, cc, method, opts...)
					}),
					weir.UnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
						server.add("server unary " + info.FullMethod)
						return handler(ctx, req)
					}),
					weir.StreamInterceptor(func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
						server.add("server stream " + info.FullMethod)
						return handler(srv, ss)
					}),
				}
			},
			do: func(t *testing.T, w *world, s *seen) {
				_, err := w.call(t.Context(), "hello")
				s.end("unary", err)
				cs := w.open(t.Context())
				_ = cs.CloseSend()
				s.say("end %v", cs.RecvMsg(new(wrapperspb.BytesValue)))
			},
		},
		{
			name: "retries", want: "attempts [2]",
			opts: func(_, _ *events) []any {
				return []any{weir.WithDefaultServiceConfig(`{"methodConfig":[{"name":[{}],"retryPolicy":{"maxAttempts":4,"initialBackoff":"0.1s","maxBackoff":"1s","backoffMultiplier":2,"retryableStatusCodes":["UNAVAILABLE"]}}]}`)}
			},
			do: func(t *testing.T, w *world, s *seen) {
				tries := 0
				w.unary = func(ctx context.Context, in *wrapperspb.BytesValue) (*wrapperspb.BytesValue, error) {
					md, _ := metadata.FromIncomingContext(ctx)
					s.say("%q, attempts %v", in.GetValue(), md.Get("grpc-previous-rpc-attempts"))
					if tries++; tries < 3 {
						return nil, status.Error(codes.Unavailable, "later")
					}
					return in, nil
				}
				text, err := w.call(t.Context(), "again")
				s.end(text, err)
			},
		},
		{
			name: "compression", want: "OutHeader gzip",
			opts: func(client, server *events) []any { return []any{weir.StatsHandler(server)} },
			do: func(t *testing.T, w *world, s *seen) {
				var header metadata.MD
				text, err := w.call(t.Context(), strings.Repeat("x", 200), grpc.UseCompressor(gzip.Name), grpc.Header(&header))
				s.end(fmt.Sprint(len(text), " octets"), err)
				s.say("%v", plain(header))
				synctest.Wait()
			},
		},
		{
			name: "wait for ready and states", want: "READY",
			opts: func(_, _ *events) []any { return nil },
			do: func(t *testing.T, w *world, s *seen) {
				s.say("%v", w.client.GetState())
				_, err := w.call(t.Context(), "", grpc.WaitForReady(true))
				s.end("first", err)
				s.say("%v", w.client.GetState())
				w.srv.Stop()
				w.client.WaitForStateChange(t.Context(), connectivity.Ready)
				s.say("%v", w.client.GetState())
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				_, err = w.call(ctx, "", grpc.WaitForReady(true))
				s.end("after Stop", err)
				s.say("%v", w.client.GetState())
			},
		},
		{
			name: "a Server's limits of streams", want: "2 at a time",
			opts: func(_, _ *events) []any { return []any{weir.MaxConcurrentStreams(2)} },
			do: func(t *testing.T, w *world, s *seen) {
				var mu sync.Mutex
				now, most := 0, 0
				release := make(chan struct{})
				w.unary = func(_ context.Context, in *wrapperspb.BytesValue) (*wrapperspb.BytesValue, error) {
					mu.Lock()
					now++
					most = max(most, now)
					mu.Unlock()
					<-release
					mu.Lock()
					now--
					mu.Unlock()
					return in, nil
				}
				var calls sync.WaitGroup
				for range 7 {
					calls.Go(func() {
						if _, err := w.call(t.Context(), ""); err != nil {
							t.Error(err)
						}
					})
				}
				simnet.Advance(time.Second) // all that can has come
				close(release)
				calls.Wait()
				s.say("%d at a time", most)
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			words := make(map[string]string)
			for _, name := range []string{"http2", "inproc", "hand over"} {
				client, server := new(events), new(events)
				over(t, []string{name}, func(t *testing.T, w *world) {
					var s seen
					tt.do(t, w, &s)
					_ = w.client.Close()
					w.srv.Stop()
					words[name] = s.String() + "client:\n" + client.String() + "\nserver:\n" + server.String()
				}, tt.opts(client, server))
			}
			if words["http2"] != words["inproc"] {
				t.Errorf("over HTTP/2:\n%s\nin-process:\n%s", words["http2"], words["inproc"])
			}
			if tt.name != "stats" && tt.name != "compression" && words["inproc"] != words["hand over"] {
				t.Errorf("with octets:\n%s\nwith messages handed over:\n%s", words["inproc"], words["hand over"])
			}
			if !strings.Contains(words["inproc"], tt.want) {
				t.Errorf("%q is not in\n%s", tt.want, words["inproc"])
			}
		})
	}
}

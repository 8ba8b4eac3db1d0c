package ecosystem

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/auth"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/logging"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/ratelimit"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/retry"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/selector"
	"github.com/weir-rpc/weir"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// unreliable panics when it is asked for a negative size, and is unavailable
// for the first few calls.
type unreliable struct {
	service

	failures atomic.Int32
}

func (u *unreliable) UnaryCall(ctx context.Context, in *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	if in.GetResponseSize() < 0 {
		panic("a negative size")
	}
	if u.failures.Add(-1) >= 0 {
		return nil, status.Error(codes.Unavailable, "not yet")
	}
	return u.service.UnaryCall(ctx, in)
}

func (u *unreliable) StreamingOutputCall(in *testgrpc.StreamingOutputCallRequest, st grpc.ServerStreamingServer[testgrpc.StreamingOutputCallResponse]) error {
	if len(in.GetResponseParameters()) == 0 {
		panic("no parameters")
	}
	if u.failures.Add(-1) >= 0 {
		return status.Error(codes.Unavailable, "not yet")
	}
	return st.Send(&testgrpc.StreamingOutputCallResponse{Payload: in.GetPayload()})
}

// journal is a Logger that remembers the ends of calls.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) Log(_ context.Context, _ logging.Level, msg string, fields ...any) {
	if msg != "finished call" {
		return
	}
	line := make(map[string]string)
	for i := 0; i+1 < len(fields); i += 2 {
		key, _ := fields[i].(string)
		if value, ok := fields[i+1].(string); ok {
			line[key] = value
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, strings.Join([]string{line["grpc.component"], line["grpc.method"], line["grpc.code"]}, " "))
}

func (j *journal) has(line string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Contains(j.lines, line)
}

// limiter lets calls in while it is open.
type limiter struct{ closed atomic.Bool }

var errLimit = errors.New("the limiter is closed")

func (l *limiter) Limit(context.Context) error {
	if l.closed.Load() {
		return errLimit
	}
	return nil
}

// world is a server and a client with all of the middleware.
type world struct {
	svc    *unreliable
	server *journal
	client *journal
	limit  *limiter
	stub   testgrpc.TestServiceClient
	stop   func() // of the server: it has logged all calls then
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{svc: new(unreliable), server: new(journal), client: new(journal), limit: new(limiter)}
	authorize := func(ctx context.Context) (context.Context, error) {
		token, err := auth.AuthFromMD(ctx, "bearer")
		if err == nil && token != "secret" {
			err = status.Error(codes.Unauthenticated, "another token")
		}
		return ctx, err
	}
	notEmptyCall := selector.MatchFunc(func(_ context.Context, m interceptors.CallMeta) bool { return m.Method != "EmptyCall" })
	panicked := recovery.WithRecoveryHandlerContext(func(_ context.Context, p any) error {
		return status.Errorf(codes.DataLoss, "recovered from %v", p)
	})
	srv := weir.NewServer(
		weir.ChainUnaryInterceptor(
			logging.UnaryServerInterceptor(w.server),
			ratelimit.UnaryServerInterceptor(w.limit),
			selector.UnaryServerInterceptor(auth.UnaryServerInterceptor(authorize), notEmptyCall),
			recovery.UnaryServerInterceptor(panicked),
		),
		weir.ChainStreamInterceptor(
			logging.StreamServerInterceptor(w.server),
			ratelimit.StreamServerInterceptor(w.limit),
			selector.StreamServerInterceptor(auth.StreamServerInterceptor(authorize), notEmptyCall),
			recovery.StreamServerInterceptor(panicked),
		),
	)
	testgrpc.RegisterTestServiceServer(srv, w.svc)
	lis := listen(t)
	w.stop = start(t, srv, lis)
	again := []retry.CallOption{retry.WithCodes(codes.Unavailable), retry.WithBackoff(retry.BackoffLinear(time.Millisecond))}
	cc, err := weir.NewClient(lis.Addr().String(),
		weir.WithTransportCredentials(insecure.NewCredentials()),
		weir.WithChainUnaryInterceptor(logging.UnaryClientInterceptor(w.client), retry.UnaryClientInterceptor(again...)),
		weir.WithChainStreamInterceptor(logging.StreamClientInterceptor(w.client), retry.StreamClientInterceptor(again...)),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cc.Close() })
	w.stub = testgrpc.NewTestServiceClient(cc)
	return w
}

// streamed makes a call with one answer.
func (w *world) streamed(ctx context.Context, in *testgrpc.StreamingOutputCallRequest, opts ...grpc.CallOption) error {
	st, err := w.stub.StreamingOutputCall(ctx, in, opts...)
	if err == nil {
		_, err = st.Recv()
	}
	return err
}

// Feature: go-grpc-middleware v2 (logging, recovery, retry, auth, selector, ratelimit)
//
// The interceptors of go-grpc-middleware do on weir what they are for.
func TestMiddleware(t *testing.T) {
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer secret")
	asked := &testgrpc.StreamingOutputCallRequest{ResponseParameters: []*testgrpc.ResponseParameters{{}}}
	tests := []struct {
		name   string
		call   func(w *world) error
		code   codes.Code
		logged []string // by the server and the client
	}{
		{"a call", func(w *world) error {
			_, err := w.stub.UnaryCall(ctx, &testgrpc.SimpleRequest{})
			return err
		}, codes.OK, []string{"server UnaryCall OK", "client UnaryCall OK"}},
		{"a stream", func(w *world) error { return w.streamed(ctx, asked) }, codes.OK, []string{"server StreamingOutputCall OK"}},
		{"a panic", func(w *world) error {
			_, err := w.stub.UnaryCall(ctx, &testgrpc.SimpleRequest{ResponseSize: -1})
			return err
		}, codes.DataLoss, []string{"server UnaryCall DataLoss", "client UnaryCall DataLoss"}},
		{"a panic in a stream", func(w *world) error {
			return w.streamed(ctx, &testgrpc.StreamingOutputCallRequest{})
		}, codes.DataLoss, []string{"server StreamingOutputCall DataLoss"}},
		{"retried, as the call asks", func(w *world) error {
			w.svc.failures.Store(2)
			_, err := w.stub.UnaryCall(ctx, &testgrpc.SimpleRequest{}, retry.WithMax(3))
			return err
		}, codes.OK, []string{"server UnaryCall Unavailable", "server UnaryCall OK", "client UnaryCall OK"}},
		{"not retried often enough", func(w *world) error {
			w.svc.failures.Store(2)
			_, err := w.stub.UnaryCall(ctx, &testgrpc.SimpleRequest{}, retry.WithMax(2))
			return err
		}, codes.Unavailable, []string{"client UnaryCall Unavailable"}},
		{"a stream retried", func(w *world) error {
			w.svc.failures.Store(2)
			return w.streamed(ctx, asked, retry.WithMax(3))
		}, codes.OK, []string{"server StreamingOutputCall Unavailable", "server StreamingOutputCall OK"}},
		{"no token", func(w *world) error {
			_, err := w.stub.UnaryCall(t.Context(), &testgrpc.SimpleRequest{})
			return err
		}, codes.Unauthenticated, []string{"server UnaryCall Unauthenticated"}},
		{"no token for a stream", func(w *world) error { return w.streamed(t.Context(), asked) }, codes.Unauthenticated, []string{"server StreamingOutputCall Unauthenticated"}},
		{"no token where none is asked for", func(w *world) error {
			_, err := w.stub.EmptyCall(t.Context(), &testgrpc.Empty{})
			return err
		}, codes.Unimplemented, []string{"server EmptyCall Unimplemented"}},
		{"too many", func(w *world) error {
			w.limit.closed.Store(true)
			_, err := w.stub.UnaryCall(ctx, &testgrpc.SimpleRequest{})
			return err
		}, codes.ResourceExhausted, []string{"server UnaryCall ResourceExhausted"}},
		{"too many streams", func(w *world) error {
			w.limit.closed.Store(true)
			return w.streamed(ctx, asked)
		}, codes.ResourceExhausted, []string{"server StreamingOutputCall ResourceExhausted"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			if err := tt.call(w); status.Code(err) != tt.code {
				t.Errorf("the call gave %v, want %v", err, tt.code)
			}
			w.stop()
			for _, line := range tt.logged {
				j := w.server
				if strings.HasPrefix(line, "client") {
					j = w.client
				}
				if !j.has(line) {
					t.Errorf("%q is not in the log %q", line, j.lines)
				}
			}
		})
	}
}

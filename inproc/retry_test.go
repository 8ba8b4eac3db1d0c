package inproc_test

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/inproc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// third answers the third attempt of a call with what it was sent. Those before
// it fail, or do nothing if they are to be hedged.
type third struct {
	testpb.UnimplementedTestServiceServer
	hangs bool
	ended chan error // of those that do nothing
}

func (s *third) attempt(ctx context.Context) error {
	md, _ := metadata.FromIncomingContext(ctx)
	switch v := md.Get("grpc-previous-rpc-attempts"); {
	case len(v) == 1 && v[0] == "2":
		return nil
	case s.hangs:
		<-ctx.Done()
		s.ended <- ctx.Err()
		return status.FromContextError(ctx.Err()).Err()
	}
	return status.Error(codes.Unavailable, "not yet")
}

func (s *third) UnaryCall(ctx context.Context, in *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	return &testpb.SimpleResponse{Payload: in.GetPayload()}, s.attempt(ctx)
}

func (s *third) FullDuplexCall(st testpb.TestService_FullDuplexCallServer) error {
	n := 0
	for {
		in, err := st.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		n += len(in.GetPayload().GetBody())
	}
	if err := s.attempt(st.Context()); err != nil {
		return err
	}
	return st.Send(&testpb.StreamingOutputCallResponse{Payload: &testpb.Payload{Body: make([]byte, n)}})
}

// Retries and hedging are those of calls over a socket.
func TestRetriesAndHedging(t *testing.T) {
	for name, tt := range map[string]struct {
		policy string
		hangs  bool
	}{
		"retried": {`"retryPolicy": {"maxAttempts": 3, "initialBackoff": "1s", "maxBackoff": "1s", "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]}`, false},
		"hedged":  {`"hedgingPolicy": {"maxAttempts": 3, "hedgingDelay": "1s", "nonFatalStatusCodes": ["UNAVAILABLE"]}`, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				impl := &third{hangs: tt.hangs, ended: make(chan error, 4)}
				srv := weir.NewServer()
				testpb.RegisterTestServiceServer(srv, impl)
				defer srv.Stop()
				conn, err := inproc.NewClient(srv, weir.WithDefaultServiceConfig(`{"methodConfig": [{"name": [{}], `+tt.policy+`}]}`))
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = conn.Close() }()
				c, start := testpb.NewTestServiceClient(conn), time.Now()
				out, err := c.UnaryCall(t.Context(), &testpb.SimpleRequest{Payload: &testpb.Payload{Body: make([]byte, 1000)}})
				if err != nil || len(out.GetPayload().GetBody()) != 1000 {
					t.Errorf("the call gives %d octets, %v", len(out.GetPayload().GetBody()), err)
				}
				s, err := c.FullDuplexCall(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for range 3 {
					if err := s.Send(&testpb.StreamingOutputCallRequest{Payload: &testpb.Payload{Body: make([]byte, 100)}}); err != nil {
						t.Error(err)
					}
				}
				_ = s.CloseSend()
				if in, err := s.Recv(); err != nil || len(in.GetPayload().GetBody()) != 300 {
					t.Errorf("the stream gives %v, %v", in, err)
				}
				if _, err := s.Recv(); err != io.EOF {
					t.Error(err)
				}
				if d := time.Since(start); d < 3*time.Second || d > 5*time.Second {
					t.Errorf("both take %v, want 4 s or so", d)
				}
				if !tt.hangs {
					return
				}
				for range 4 { // both calls had two attempts that nobody needed
					if err := <-impl.ended; err != context.Canceled {
						t.Errorf("an attempt ended with %v", err)
					}
				}
			})
		})
	}
}

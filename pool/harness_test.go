package pool_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/simnet"
	"github.com/weir-rpc/weir/pool"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// town is a pool and servers that it can reach, in a bubble.
type town struct {
	t       *testing.T
	pool    *pool.ConnectionPool
	net     simnet.Network
	profile *pool.Profile
}

type echo struct {
	testpb.UnimplementedTestServiceServer
}

func (echo) EmptyCall(context.Context, *testpb.Empty) (*testpb.Empty, error) {
	return &testpb.Empty{}, nil
}

func (echo) FullDuplexCall(s grpc.BidiStreamingServer[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]) error {
	for {
		if _, err := s.Recv(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := s.Send(&testpb.StreamingOutputCallResponse{}); err != nil {
			return err
		}
	}
}

// inTown runs f with a pool and with servers at a:1, b:1 and c:1. The pool is
// closed at the end, which has to leave nothing.
func inTown(t *testing.T, cfg pool.Config, f func(to *town)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		to := &town{t: t, pool: pool.New(cfg), net: simnet.Network{Link: simnet.Link{RTT: 2 * time.Millisecond}}}
		to.profile = to.newProfile()
		srv, served := weir.NewServer(), make(chan error)
		testpb.RegisterTestServiceServer(srv, echo{})
		for _, name := range []string{"a:1", "b:1", "c:1"} {
			lis, err := to.net.Listen(name)
			if err != nil {
				t.Fatal(err)
			}
			go func() { served <- srv.Serve(lis) }()
		}
		synctest.Wait()
		f(to)
		if err := to.pool.Close(); err != nil {
			t.Error(err)
		}
		srv.Stop()
		for range 3 {
			<-served
		}
	})
}

func (to *town) newProfile(opts ...weir.DialOption) *pool.Profile {
	return pool.NewProfile(append([]weir.DialOption{
		weir.WithTransportCredentials(insecure.NewCredentials()), weir.WithContextDialer(to.net.Dial),
	}, opts...)...)
}

func (to *town) get(name string) *pool.Conn {
	to.t.Helper()
	c, err := to.pool.Get(to.t.Context(), "passthrough:///"+name, to.profile)
	if err != nil {
		to.t.Fatal(err)
	}
	return c
}

// use gets a Client, makes a call and gives it back.
func (to *town) use(name string) {
	to.t.Helper()
	c := to.get(name)
	to.call(c)
	_ = c.Close()
}

func (to *town) call(c *pool.Conn) {
	to.t.Helper()
	if _, err := testpb.NewTestServiceClient(c).EmptyCall(to.t.Context(), &testpb.Empty{}); err != nil {
		to.t.Errorf("a call of %s: %v", c.Target(), err)
	}
}

// stream opens a stream on which both sides can be heard.
func (to *town) stream(c *pool.Conn) testpb.TestService_FullDuplexCallClient {
	to.t.Helper()
	st, err := testpb.NewTestServiceClient(c).FullDuplexCall(to.t.Context())
	if err != nil {
		to.t.Fatal(err)
	}
	to.echo(st)
	return st
}

func (to *town) echo(st testpb.TestService_FullDuplexCallClient) {
	to.t.Helper()
	if err := st.Send(&testpb.StreamingOutputCallRequest{}); err != nil {
		to.t.Fatal(err)
	}
	if _, err := st.Recv(); err != nil {
		to.t.Fatalf("the stream was cut: %v", err)
	}
}

// finish ends a stream.
func (to *town) finish(st testpb.TestService_FullDuplexCallClient) {
	to.t.Helper()
	_ = st.CloseSend()
	if _, err := st.Recv(); !errors.Is(err, io.EOF) {
		to.t.Errorf("the stream ended with %v", err)
	}
}

// asking is a Get under way.
type asking struct {
	done chan struct{}
	conn *pool.Conn
	err  error
}

func (to *town) ask(ctx context.Context, name string) *asking {
	a := &asking{done: make(chan struct{})}
	go func() {
		a.conn, a.err = to.pool.Get(ctx, "passthrough:///"+name, to.profile)
		close(a.done)
	}()
	synctest.Wait()
	return a
}

func (a *asking) waits() bool {
	synctest.Wait()
	select {
	case <-a.done:
		return false
	default:
		return true
	}
}

// want checks the numbers of clients, those in use, and those who wait.
func (to *town) want(clients, inUse, waiting int) {
	to.t.Helper()
	synctest.Wait()
	st := to.pool.Stats()
	if st.Clients != clients || st.InUse != inUse || st.Idle != clients-inUse || st.Waiting != waiting {
		to.t.Errorf("%d clients, %d in use, %d idle, %d wait; want %d, %d, %d, %d",
			st.Clients, st.InUse, st.Idle, st.Waiting, clients, inUse, clients-inUse, waiting)
	}
}

// Package fleet has backends for tests of name resolution and balancing: weir
// servers on loopback, each with a name, that say who answered, what they were sent,
// and fail, wait or go away when the test says so.
package fleet

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/rolling"
	"github.com/weir-rpc/weir/xds/internal/loopback"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// A Backend serves grpc.testing.TestService: UnaryCall answers with the name as
// server id, and with the :authority of the call as hostname. EmptyCall does the
// same without a word. Both say the name in header and trailer, as "served-by".
// FullDuplexCall answers each message with the name until the
// client has no more. Its methods may be called by several goroutines at a time,
// but those that start and stop by the test's alone.
type Backend struct {
	testpb.UnimplementedTestServiceServer

	Name string
	t    testing.TB
	opts []weir.ServerOption
	addr string

	mu      sync.Mutex
	calls   int
	waiting int
	holding int
	failing int
	code    codes.Code
	gate    chan struct{} // nil: open
	changed chan struct{}

	srv    *weir.Server
	served chan error
}

// Start serves at an address of its own until the end of the test.
func Start(t testing.TB, name string, opts ...weir.ServerOption) *Backend {
	t.Helper()
	return StartAt(t, name, loopback.Address(), opts...)
}

// StartAt is Start at an address, whose port may be 0.
func StartAt(t testing.TB, name, address string, opts ...weir.ServerOption) *Backend {
	t.Helper()
	b := &Backend{Name: name, t: t, opts: opts, addr: address, changed: make(chan struct{})}
	b.Restart()
	t.Cleanup(func() {
		b.Pass()
		b.Stop()
	})
	return b
}

// StartAll starts a backend for each name.
func StartAll(t testing.TB, names ...string) []*Backend {
	t.Helper()
	out := make([]*Backend, len(names))
	for i, name := range names {
		out[i] = Start(t, name)
	}
	return out
}

// Addr is the address, which Restart keeps.
func (b *Backend) Addr() string { return b.addr }

// Calls is the number of calls that came, failed ones too.
func (b *Backend) Calls() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.calls
}

// Fail ends the next n calls with code. A negative n: all, until Fail(0, code).
func (b *Backend) Fail(n int, code codes.Code) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failing, b.code = n, code
}

// Hold lets the next n calls wait until Pass. A negative n: all.
func (b *Backend) Hold(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.holding = n
	if b.gate == nil {
		b.gate = make(chan struct{})
	}
}

// Pass lets calls go that Hold held.
func (b *Backend) Pass() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gate != nil {
		close(b.gate)
		b.gate, b.holding = nil, 0
	}
}

// WaitHeld waits until n calls are held.
func (b *Backend) WaitHeld(ctx context.Context, n int) error {
	for {
		b.mu.Lock()
		waiting, changed := b.waiting, b.changed
		b.mu.Unlock()
		if waiting == n {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Stop ends all connections and calls. Nobody can connect until Restart.
func (b *Backend) Stop() { b.end((*weir.Server).Stop) }

// Drain takes no new calls, and returns when those that came have ended.
func (b *Backend) Drain() { b.end((*weir.Server).GracefulStop) }

func (b *Backend) end(how func(*weir.Server)) {
	if b.srv == nil {
		return
	}
	how(b.srv)
	if err := <-b.served; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		b.t.Errorf("backend %s: %v", b.Name, err)
	}
	b.srv = nil
}

// Restart serves at the same address, after Stop or Drain.
func (b *Backend) Restart() {
	b.t.Helper()
	lis, err := rolling.Listen(b.t.Context(), b.addr)
	if err != nil {
		b.t.Fatal(err)
	}
	b.addr = lis.Addr().String()
	srv, served := weir.NewServer(b.opts...), make(chan error, 1)
	testpb.RegisterTestServiceServer(srv, b)
	go func() { served <- srv.Serve(lis) }()
	b.srv, b.served = srv, served
}

// UnaryCall implements testpb.TestServiceServer.
func (b *Backend) UnaryCall(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	if err := b.take(ctx); err != nil {
		return nil, err
	}
	if err := b.sign(ctx); err != nil {
		return nil, err
	}
	out := &testpb.SimpleResponse{ServerId: b.Name}
	if md, _ := metadata.FromIncomingContext(ctx); len(md[":authority"]) > 0 {
		out.Hostname = md[":authority"][0]
	}
	return out, nil
}

// EmptyCall implements testpb.TestServiceServer.
func (b *Backend) EmptyCall(ctx context.Context, _ *testpb.Empty) (*testpb.Empty, error) {
	if err := b.take(ctx); err != nil {
		return nil, err
	}
	return &testpb.Empty{}, b.sign(ctx)
}

func (b *Backend) sign(ctx context.Context) error {
	md := metadata.Pairs("served-by", b.Name)
	if err := grpc.SetHeader(ctx, md); err != nil {
		return err
	}
	return grpc.SetTrailer(ctx, md)
}

// FullDuplexCall implements testpb.TestServiceServer.
func (b *Backend) FullDuplexCall(st testpb.TestService_FullDuplexCallServer) error {
	if err := b.take(st.Context()); err != nil {
		return err
	}
	for {
		if _, err := st.Recv(); err != nil {
			return nil //nolint:nilerr // io.EOF, or there is nobody to be told
		}
		if err := st.Send(&testpb.StreamingOutputCallResponse{Payload: &testpb.Payload{Body: []byte(b.Name)}}); err != nil {
			return err
		}
	}
}

// take counts a call and does with it what was said.
func (b *Backend) take(ctx context.Context) error {
	b.mu.Lock()
	b.calls++
	code, gate := codes.OK, b.gate
	switch {
	case b.holding == 0:
		gate = nil
	case b.holding > 0:
		b.holding--
	}
	if b.failing != 0 {
		code = b.code
		if b.failing > 0 {
			b.failing--
		}
	}
	b.mu.Unlock()
	if gate != nil {
		b.held(1)
		defer b.held(-1)
		select {
		case <-gate:
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
	}
	if code == codes.OK {
		return nil
	}
	return status.Error(code, b.Name+" was told to fail")
}

func (b *Backend) held(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting += n
	close(b.changed)
	b.changed = make(chan struct{})
}

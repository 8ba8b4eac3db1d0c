package weir_test

import (
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/simnet"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// kept is a server with options, in a bubble, and a client that counts its
// connections.
type kept struct {
	*simulated
	client testpb.TestServiceClient
	dialed atomic.Int32
}

// keepsWith runs f for a client of weir and for one of grpc-go.
func keepsWith(t *testing.T, client keepalive.ClientParameters, impl func() testpb.TestServiceServer, opts []weir.ServerOption, f func(t *testing.T, k *kept)) {
	t.Helper()
	for name, connect := range map[string]func(t *testing.T, dial func(context.Context, string) (net.Conn, error)) grpc.ClientConnInterface{
		"weir": func(t *testing.T, dial func(context.Context, string) (net.Conn, error)) grpc.ClientConnInterface {
			opts := []weir.DialOption{weir.WithContextDialer(dial)}
			if client.Time > 0 {
				opts = append(opts, weir.WithKeepaliveParams(client))
			}
			return newWeirClient(t, "passthrough:///svc:80", opts...)
		},
		"grpc-go": func(t *testing.T, dial func(context.Context, string) (net.Conn, error)) grpc.ClientConnInterface {
			opts := []grpc.DialOption{grpc.WithContextDialer(dial), grpc.WithTransportCredentials(insecure.NewCredentials())}
			if client.Time > 0 {
				opts = append(opts, grpc.WithKeepaliveParams(client))
			}
			c, err := grpc.NewClient("passthrough:///svc:80", opts...)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close() })
			return c
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := &kept{simulated: simulate(t, impl(), opts...)}
				k.net.Link.RTT = 2 * time.Millisecond
				k.client = testpb.NewTestServiceClient(connect(t, func(ctx context.Context, address string) (net.Conn, error) {
					k.dialed.Add(1)
					return k.net.Dial(ctx, address)
				}))
				f(t, k)
				k.Stop()
				<-k.served
			})
		})
	}
}

func justEcho() testpb.TestServiceServer { return echo{} }

// Row A91: a connection that is idle for MaxConnectionIdle ends without a call
// noticing, and without the option it lasts.
func TestKeepaliveParamsMaxConnectionIdle(t *testing.T) {
	for idle, want := range map[time.Duration]int32{0: 1, 30 * time.Second: 5, 5 * time.Minute: 1} {
		opts := []weir.ServerOption{weir.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: idle})}
		keepsWith(t, keepalive.ClientParameters{}, justEcho, opts, func(t *testing.T, k *kept) {
			for range 5 {
				if _, err := k.client.EmptyCall(t.Context(), &testpb.Empty{}); err != nil {
					t.Error(err)
				}
				simnet.Advance(time.Minute)
			}
			if n := k.dialed.Load(); n != want {
				t.Errorf("MaxConnectionIdle %v: five calls took %d connections, want %d", idle, n, want)
			}
		})
	}
}

// Row A91: a call may take MaxConnectionAge and MaxConnectionAgeGrace together,
// then it ends as UNAVAILABLE; the next one finds a new connection.
func TestKeepaliveParamsMaxConnectionAge(t *testing.T) {
	var h *stubborn
	opts := []weir.ServerOption{weir.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: 10 * time.Minute, MaxConnectionAgeGrace: time.Minute})}
	keepsWith(t, keepalive.ClientParameters{}, func() testpb.TestServiceServer { h = newStubborn(); return h }, opts, func(t *testing.T, k *kept) {
		start := time.Now()
		_, err := k.client.UnaryCall(t.Context(), &testpb.SimpleRequest{})
		if d := time.Since(start); status.Code(err) != codes.Unavailable || d < 10*time.Minute || d > 12*time.Minute+time.Second {
			t.Errorf("the call ended with %v after %v, want Unavailable after 11m give or take one", err, d)
		}
		close(h.release)
		if _, err := k.client.UnaryCall(t.Context(), &testpb.SimpleRequest{}); err != nil || k.dialed.Load() != 2 {
			t.Errorf("the next call, on connection %d: %v", k.dialed.Load(), err)
		}
	})
}

// Row A91: KeepaliveParams finds a client dead, and its handler learns it.
func TestKeepaliveParamsTime(t *testing.T) {
	opts := []weir.ServerOption{weir.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 5 * time.Second})}
	var h *ending
	keepsWith(t, keepalive.ClientParameters{}, func() testpb.TestServiceServer { h = newEnding(); return h }, opts, func(t *testing.T, k *kept) {
		go func() { _, _ = k.client.UnaryCall(t.Context(), &testpb.SimpleRequest{}) }()
		<-h.began
		simnet.Advance(10 * time.Millisecond) // both sides know the other's SETTINGS
		start := time.Now()
		k.net.Stall()
		err := <-h.cause
		if d := time.Since(start).Round(time.Second); d != 65*time.Second || !strings.Contains(err.Error(), "KeepaliveParams") {
			t.Errorf("the handler's context ended after %v with %v, want 65s", d, err)
		}
	})
}

// ending waits for the end of the call's context and tells its cause.
type ending struct {
	testpb.UnimplementedTestServiceServer
	began chan struct{}
	cause chan error
}

func newEnding() *ending { return &ending{began: make(chan struct{}, 1), cause: make(chan error, 1)} }

func (h *ending) UnaryCall(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	h.began <- struct{}{}
	<-ctx.Done()
	h.cause <- context.Cause(ctx)
	return nil, ctx.Err()
}

// Row A91: a client that asks more often than KeepaliveEnforcementPolicy permits
// loses its connection and calms down; one that may keeps it.
func TestKeepaliveEnforcementPolicy(t *testing.T) {
	client := keepalive.ClientParameters{Time: 10 * time.Second, PermitWithoutStream: true}
	for name, tt := range map[string]struct {
		opts  []weir.ServerOption
		conns int32
	}{
		"default":             {nil, 2},
		"MinTime alone":       {[]weir.ServerOption{weir.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second})}, 2},
		"PermitWithoutStream": {[]weir.ServerOption{weir.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true})}, 1},
		"longer MinTime":      {[]weir.ServerOption{weir.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 15 * time.Second, PermitWithoutStream: true})}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			keepsWith(t, client, justEcho, tt.opts, func(t *testing.T, k *kept) {
				for range 2 {
					if _, err := k.client.EmptyCall(t.Context(), &testpb.Empty{}); err != nil {
						t.Error(err)
					}
					simnet.Advance(75 * time.Second)
				}
				if n := k.dialed.Load(); n != tt.conns {
					t.Errorf("%d connections, want %d", n, tt.conns)
				}
			})
		})
	}
}

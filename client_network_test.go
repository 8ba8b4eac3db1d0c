package weir_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/simnet"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/connectivity"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// Feature: idle timeout of a channel (IDLE mode).
func TestWithIdleTimeout(t *testing.T) {
	tests := []struct {
		name  string
		opts  []weir.DialOption
		after time.Duration // zero means never
	}{
		{"by default", nil, 30 * time.Minute},
		{"an hour", []weir.DialOption{weir.WithIdleTimeout(time.Hour)}, time.Hour},
		{"never", []weir.DialOption{weir.WithIdleTimeout(0)}, 0},
		{"less than never", []weir.DialOption{weir.WithIdleTimeout(-1)}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var network simnet.Network
				lis, err := network.Listen("a")
				if err != nil {
					t.Fatal(err)
				}
				srv := weir.NewServer()
				testpb.RegisterTestServiceServer(srv, echo{})
				var work sync.WaitGroup
				work.Go(func() { _ = srv.Serve(lis) })
				var (
					mu  sync.Mutex
					why error
				)
				opts := []weir.DialOption{
					weir.WithContextDialer(network.Dial),
					weir.WithStateObserver(func(_, to connectivity.State, err error) {
						if to == connectivity.Idle {
							mu.Lock()
							defer mu.Unlock()
							why = err
						}
					}),
				}
				opts = append(opts, tt.opts...)
				c := newWeirClient(t, "passthrough:///a", opts...)
				start, after := time.Now(), 5*time.Minute
				call := func() {
					if _, err := testpb.NewTestServiceClient(c).EmptyCall(t.Context(), &testpb.Empty{}); err != nil {
						t.Error(err)
					}
				}
				call()
				simnet.Advance(after)
				call()
				ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
				defer cancel()
				changed := c.WaitForStateChange(ctx, connectivity.Ready)
				if changed != (tt.after > 0) {
					t.Errorf("the client is %v after %v", c.GetState(), time.Since(start))
				}
				if changed {
					// An eighth is how exactly the time is kept.
					if got := time.Since(start) - after; got < tt.after || got > tt.after+tt.after/8 {
						t.Errorf("it was without calls for %v, want %v", got, tt.after)
					}
					synctest.Wait()
					mu.Lock()
					if !errors.Is(why, transport.ErrIdle) {
						t.Errorf("the observer was told %v", why)
					}
					mu.Unlock()
				}
				call()
				c.Close()
				srv.Stop()
				work.Wait()
			})
		})
	}
}

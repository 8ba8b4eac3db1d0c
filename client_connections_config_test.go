package weir_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/simnet"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// scaled is a service config with a balancer, and so many connections to an address
// unless that is negative.
func scaled(policy string, most int) string {
	if most < 0 {
		return policyOf(policy)
	}
	return fmt.Sprintf(`{"loadBalancingConfig": [{%q: {}}], "connectionScaling": {"maxConnectionsPerSubchannel": %d}}`, policy, most)
}

// Feature: the service config says how many connections there may be to an address
// (gRFC A105), up to what the Client allows.
func TestConnectionScaling(t *testing.T) {
	for _, policy := range []string{"pick_first", "round_robin"} {
		for _, tt := range []struct{ option, config, want int }{ // 0 is no option
			{0, -1, 1},
			{0, 0, 1},
			{0, 1, 1},
			{0, 3, 3},
			{0, 10, 10},
			{0, 11, 10},
			{0, 1 << 31, 10},
			{12, 11, 11},
			{2, 3, 2},
			{3, 2, 2},
			{3, 0, 1},
			{3, -1, 3},
			{1, 3, 1},
			{-1, 3, 1},
		} {
			t.Run(fmt.Sprintf("%s, option %d, config %d", policy, tt.option, tt.config), func(t *testing.T) {
				inCrowd(t, "passthrough:///a:1", 1, tt.option, 10*time.Millisecond, func(t *testing.T, w *crowd) {
					held := w.hold(tt.want)
					ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
					defer cancel()
					_, err := stubOf(w.c).EmptyCall(ctx, &testpb.Empty{})
					if status.Code(err) != codes.DeadlineExceeded || tt.want > 1 && !strings.Contains(err.Error(), "connectionScaling") {
						t.Errorf("a call beyond: %v", err)
					}
					if n := len(w.streams()); n != tt.want {
						t.Errorf("%d connections, want %d", n, tt.want)
					}
					for _, h := range held {
						h.end(t)
					}
				}, weir.WithDefaultServiceConfig(scaled(policy, tt.config)))
			})
		}
	}
}

// wantServed wants a call to end well, and soon.
func wantServed(t *testing.T, name string, ended <-chan error) {
	t.Helper()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	case <-time.After(time.Minute):
		t.Errorf("%s: it waits", name)
	}
}

// A resolver may say another number at any time. More is for those who wait
// already; with less no connection is closed that is in use.
func TestConnectionScaling_Changes(t *testing.T) {
	for _, policy := range []string{"pick_first", "round_robin"} {
		t.Run(policy, func(t *testing.T) {
			r := manual.NewBuilderWithScheme("whatever")
			say := func(cc resolver.ClientConn, most int) {
				_ = cc.UpdateState(resolver.State{Addresses: []resolver.Address{{Addr: "a:1"}}, ServiceConfig: cc.ParseServiceConfig(scaled(policy, most))})
			}
			r.BuildCallback = func(_ resolver.Target, cc resolver.ClientConn, _ resolver.BuildOptions) { say(cc, 2) }
			inCrowd(t, "whatever:///", 2, 0, 10*time.Millisecond, func(t *testing.T, w *crowd) {
				held := w.hold(4)
				first, second := w.call(), w.call()
				simnet.Advance(time.Second)
				w.wantStreams("all that there may be", 2, 2)

				say(r.CC(), 4)
				simnet.Advance(time.Second)
				for _, ended := range []<-chan error{first, second} {
					wantServed(t, "a call that waited when there might be more", ended)
				}
				held = append(held, w.hold(1)...)
				w.wantStreams("one more was enough", 2, 2, 1)

				say(r.CC(), 1)
				held = append(held, w.hold(1)...)
				third := w.call()
				simnet.Advance(time.Second)
				w.wantStreams("none is closed, and none is made", 2, 2, 2)
				held[0].end(t)
				wantServed(t, "a call that waited when there was no more", third)
				for _, h := range held[1:] {
					if err := h.turn(); err != nil {
						t.Error(err)
					}
					h.end(t)
				}
				simnet.Advance(2 * time.Minute)
				w.wantStreams("nobody needs the others", 0)
				w.hold(2)
				fourth := w.call()
				simnet.Advance(time.Second)
				w.wantStreams("no second one", 2)
				_ = w.c.Close()
				if err := <-fourth; status.Code(err) != codes.Canceled {
					t.Error(err)
				}
			}, weir.WithResolvers(r))
		})
	}
}

// A connection that was made to be the only one stays so; the next to its address
// is one that others may join. With WithDisableServiceConfig the resolver has no say.
func TestConnectionScaling_ComesLate(t *testing.T) {
	for _, disabled := range []bool{false, true} {
		t.Run(fmt.Sprintf("disabled %v", disabled), func(t *testing.T) {
			r := listing("a:1")
			opts := []weir.DialOption{weir.WithResolvers(r)}
			if disabled {
				opts = append(opts, weir.WithDisableServiceConfig())
			}
			inCrowd(t, "whatever:///", 1, 0, 10*time.Millisecond, func(t *testing.T, w *crowd) {
				_ = r.CC().UpdateState(resolver.State{Addresses: []resolver.Address{{Addr: "a:1"}}, ServiceConfig: r.CC().ParseServiceConfig(scaled("pick_first", 2))})
				held := w.hold(1)
				waits := w.call()
				simnet.Advance(time.Second)
				w.wantStreams("the one that there was", 1)
				held[0].end(t)
				wantServed(t, "a call that waited for the one", waits)

				w.srv[0].Conns()[0].Close("another, please")
				synctest.Wait()
				w.hold(1)
				again := w.call()
				simnet.Advance(time.Second)
				if disabled {
					w.wantStreams("the next", 1)
					_ = w.c.Close()
					<-again
					return
				}
				w.wantStreams("the next and one more", 1, 0)
				wantServed(t, "a call that waited for the second", again)
			}, opts...)
		})
	}
}

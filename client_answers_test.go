package weir_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/inspect"
	"github.com/weir-rpc/weir/internal/simnet"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// blackhole loses what is sent to a server, and by it, from now on.
func (fm *farm) blackhole(i int) {
	fm.mu.Lock()
	defer fm.mu.Unlock()
	fm.dark[fm.name(i)] = true
	for _, nc := range fm.conns[fm.name(i)] {
		nc.(*simnet.Conn).Stall()
	}
}

// Feature: servers whose packets get lost are left
//
// Calls go on to servers of which one is in a black hole from the third second on.
// It is left in time, its calls fail or are made elsewhere, and no other call
// notices.
func TestWithAnswerTimeout_BlackHole(t *testing.T) {
	for name, tt := range map[string]struct {
		opts         []weir.DialOption
		left, failed time.Duration // at the latest
	}{
		"the option":      {[]weir.DialOption{weir.WithAnswerTimeout(1500 * time.Millisecond)}, 1500 * time.Millisecond, 2 * time.Second},
		"without options": {nil, 20 * time.Second, 25 * time.Second},
		"keepalive": {[]weir.DialOption{weir.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: time.Second})},
			12 * time.Second, 12 * time.Second},
	} {
		for policy, first := range map[string][]int{"pick_first": {0}, "round_robin": {0, 1, 2}} {
			t.Run(name+" "+policy, func(t *testing.T) {
				inFarm(t, 3, policy, ofWeir, tt.opts, func(t *testing.T, fm *farm) {
					fm.net.Link.RTT = 50 * time.Millisecond
					fm.connect(first...)
					c := testpb.NewTestServiceClient(fm.client)
					start := time.Now().Add(3 * time.Second)
					var begun, ended time.Time // the latest call that did not succeed
					o := fm.load(3*time.Second+tt.failed+3*time.Second, func() {
						simnet.Advance(time.Until(start))
						fm.blackhole(0)
					}, func(at time.Time, err error) {
						if err == nil {
							return
						}
						begun = latest(begun, at)
						ended = latest(ended, time.Now())
						if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "not answering") {
							t.Errorf("a call failed with %v", err)
						}
					})
					if len(o.failed) == 0 {
						t.Fatal("no call failed: nothing is lost")
					}
					if d := begun.Sub(start); d > tt.left {
						t.Errorf("calls went there for %v, want %v", d, tt.left)
					}
					if d := ended.Sub(start); d > tt.failed {
						t.Errorf("calls failed %v later, want %v", d, tt.failed)
					}
					t.Logf("left after %v, the last of %d calls of %d failed after %v", begun.Sub(start), len(o.failed), o.calls, ended.Sub(start))
					for range 30 {
						var at peer.Peer
						if _, err := c.EmptyCall(t.Context(), &testpb.Empty{}, grpc.Peer(&at)); err != nil || at.Addr.String() == fm.name(0) {
							t.Fatalf("a call afterwards went to %v: %v", at.Addr, err)
						}
					}
				})
			})
		}
	}
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// Only the way to the server is lost, as when a firewall forgets a connection:
// another takes its place before the time is over, and nobody waits for it.
func TestWithAnswerTimeout_LostConnection_IsReplaced(t *testing.T) {
	inFarm(t, 1, "pick_first", ofWeir, []weir.DialOption{weir.WithAnswerTimeout(8 * time.Second)}, func(t *testing.T, fm *farm) {
		fm.connect(0)
		c := testpb.NewTestServiceClient(fm.client)
		fm.conns[fm.name(0)][0].(*simnet.Conn).Stall()
		lost := make(chan error, 1)
		go func() {
			_, err := c.EmptyCall(t.Context(), &testpb.Empty{})
			lost <- err
		}()
		simnet.Advance(6*time.Second + 3*farmRTT)
		fm.wantMade(2)
		leaving := 0
		for _, conn := range fm.client.InspectClient(inspect.Connections).Connections {
			if strings.Contains(conn.Leaving, "not answering") {
				leaving++
			}
		}
		if leaving != 1 {
			t.Errorf("%d connections are shown as leaving, want 1", leaving)
		}
		fm.wantSmooth(fm.load(time.Second, nil, nil))
		if err := <-lost; status.Code(err) != codes.Unavailable {
			t.Errorf("the call that was lost: %v", err)
		}
		fm.wantMade(2)
	})
}

func (fm *farm) wantMade(want ...int) {
	fm.t.Helper()
	synctest.Wait()
	if got := fm.made(); !slices.Equal(got, want) {
		fm.t.Errorf("connections were made %v, want %v", got, want)
	}
}

// WithAnswerTimeout(0), and a Client without calls, wait for ever.
func TestWithAnswerTimeout_Never(t *testing.T) {
	for name, tt := range map[string]struct {
		opts []weir.DialOption
		call bool
	}{
		"off":           {[]weir.DialOption{weir.WithAnswerTimeout(0)}, true},
		"without calls": {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			inFarm(t, 1, "pick_first", ofWeir, tt.opts, func(t *testing.T, fm *farm) {
				fm.connect(0)
				fm.blackhole(0)
				done := make(chan struct{})
				if tt.call {
					go func() {
						defer close(done)
						_, _ = testpb.NewTestServiceClient(fm.client).EmptyCall(t.Context(), &testpb.Empty{})
					}()
				} else {
					close(done)
				}
				simnet.Advance(10 * time.Minute)
				fm.wantMade(1)
				if s := fm.client.InspectClient(inspect.Connections); len(s.Connections) != 1 || s.Connections[0].State != "open" {
					t.Errorf("the connections are %+v", s.Connections)
				}
				fm.client.Close()
				<-done
			})
		})
	}
}

// Servers that are as strict about PING frames as can be are not offended by those
// that ask whether they are there, whatever calls come and go: silent streams, and
// calls that are answered.
func TestWithAnswerTimeout_StrictServer(t *testing.T) {
	option := weir.WithAnswerTimeout(time.Second)
	for name, tt := range map[string]struct {
		policy keepalive.EnforcementPolicy
		client []weir.DialOption
		least  uint64 // PINGs
	}{
		"once a day": {keepalive.EnforcementPolicy{MinTime: 24 * time.Hour}, []weir.DialOption{option}, 100},
		"keepalive, with which it asks too": {
			keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true},
			[]weir.DialOption{option, weir.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, PermitWithoutStream: true})}, 60,
		},
	} {
		for of, build := range map[string]func() anyServer{
			"weir":    func() anyServer { return weir.NewServer(weir.KeepaliveEnforcementPolicy(tt.policy)) },
			"grpc-go": func() anyServer { return grpc.NewServer(grpc.KeepaliveEnforcementPolicy(tt.policy)) },
		} {
			t.Run(name+" "+of, func(t *testing.T) {
				inFarm(t, 1, "pick_first", build, tt.client, func(t *testing.T, fm *farm) {
					fm.connect(0)
					fm.comeAndGo(1000)
					fm.wantMade(1)
					s := fm.client.InspectClient(inspect.Connections)
					if s.PingsOut < tt.least || len(s.Connections) != 1 || s.Connections[0].State != "open" {
						t.Errorf("%d PINGs were sent, the connections are %+v", s.PingsOut, s.Connections)
					}
				})
			})
		}
	}
}

// comeAndGo makes calls of all kinds by chance, with pauses.
func (fm *farm) comeAndGo(n int) {
	fm.t.Helper()
	dice := rand.New(rand.NewPCG(1, 2))
	c := testpb.NewTestServiceClient(fm.client)
	for range n {
		switch dice.IntN(6) {
		case 0:
			if _, err := c.EmptyCall(fm.t.Context(), &testpb.Empty{}); err != nil {
				fm.t.Fatal(err)
			}
		case 1:
			ctx, cancel := context.WithTimeout(fm.t.Context(), time.Duration(dice.IntN(10_000))*time.Millisecond)
			defer cancel()
			if _, err := c.FullDuplexCall(ctx); err != nil && ctx.Err() == nil {
				fm.t.Fatal(err)
			}
		case 2:
			simnet.Advance(time.Duration(dice.IntN(12_000)) * time.Millisecond)
		default:
			simnet.Advance(time.Duration(dice.IntN(2000)) * time.Millisecond)
		}
	}
}

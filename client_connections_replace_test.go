package weir_test

import (
	"slices"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/simnet"
	"google.golang.org/grpc/keepalive"
)

// wantServed wants calls of which none failed or took longer than this, and a state
// that did not move.
func (fm *farm) wantServed(o harvest, most time.Duration) {
	fm.t.Helper()
	if len(o.failed) > 0 {
		fm.t.Errorf("%d of %d calls failed, first with %v", len(o.failed), o.calls, o.failed[0])
	}
	if o.worst > most {
		fm.t.Errorf("a call took %v, want %v at most", o.worst, most)
	}
	fm.mu.Lock()
	defer fm.mu.Unlock()
	if len(fm.moves) > 0 {
		fm.t.Errorf("the state moved: %q", fm.moves)
	}
}

func fourStreams() anyServer { return weir.NewServer(weir.MaxConcurrentStreams(4)) }

// Each of several connections to an address is replaced before it goes: 500 calls a
// second on connections of four streams each do not notice when those reach their
// age, one after the other.
func TestMaxConnectionsPerAddress_MaxConnectionAge(t *testing.T) {
	for policy, servers := range map[string][]int{"pick_first": {0}, "round_robin": {0, 1}} {
		t.Run(policy, func(t *testing.T) {
			build := func() anyServer {
				age := weir.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: 5 * time.Second, MaxConnectionAgeGrace: time.Second})
				return weir.NewServer(age, weir.MaxConcurrentStreams(4))
			}
			inFarm(t, len(servers), policy, build, []weir.DialOption{weir.WithMaxConnectionsPerAddress(8)}, func(t *testing.T, fm *farm) {
				fm.connect(servers...)
				fm.wantServed(fm.load(2*time.Second, nil, nil), time.Second) // as many connections as it takes
				before := fm.made()
				fm.wantServed(fm.load(20*time.Second, nil, nil), 2*farmRTT)
				for i, n := range fm.made() {
					if one := before[i]; one < 2 || n < 3*one || n > 8*one {
						t.Errorf("server %d had %d connections at first, and %d in four ages", i, one, n)
					}
				}
			})
		})
	}
}

// A server that is stopped takes all of its connections along, and another has the
// calls before they are gone: at once with round_robin, with as many connections as
// it takes with pick_first.
func TestMaxConnectionsPerAddress_RollingRestart(t *testing.T) {
	for policy, first := range map[string][]int{"pick_first": {0}, "round_robin": {0, 1, 2}} {
		t.Run(policy, func(t *testing.T) {
			inFarm(t, 3, policy, fourStreams, []weir.DialOption{weir.WithMaxConnectionsPerAddress(8)}, func(t *testing.T, fm *farm) {
				fm.connect(first...)
				fm.wantServed(fm.load(2*time.Second, nil, nil), time.Second)
				o := fm.load(25*time.Second, func() {
					for i := range 3 {
						simnet.Advance(2 * time.Second)
						fm.servers[i].GracefulStop()
						simnet.Advance(2 * time.Second)
						fm.start(i)
					}
				}, nil)
				fm.wantServed(o, time.Second)
				if n := slices.Max(fm.made()); n > 20 {
					t.Errorf("%v connections were made", fm.made())
				}
			})
		})
	}
}

// A server in a black hole is left with all of its connections, as with one. Calls
// that waited for a slot there are made elsewhere.
func TestMaxConnectionsPerAddress_BlackHole(t *testing.T) {
	for policy, first := range map[string][]int{"pick_first": {0}, "round_robin": {0, 1, 2}} {
		t.Run(policy, func(t *testing.T) {
			opts := []weir.DialOption{weir.WithMaxConnectionsPerAddress(8), weir.WithAnswerTimeout(1500 * time.Millisecond)}
			inFarm(t, 3, policy, fourStreams, opts, func(t *testing.T, fm *farm) {
				fm.connect(first...)
				fm.wantServed(fm.load(2*time.Second, nil, nil), time.Second)
				start := time.Now().Add(time.Second)
				var begun, ended time.Time // the latest call that did not succeed
				o := fm.load(5*time.Second, func() {
					simnet.Advance(time.Until(start))
					fm.blackhole(0)
				}, func(at time.Time, err error) {
					if err != nil {
						begun, ended = latest(begun, at), latest(ended, time.Now())
					}
				})
				if len(o.failed) == 0 {
					t.Fatal("no call failed: nothing is lost")
				}
				left, failed := begun.Sub(start), ended.Sub(start)
				t.Logf("left after %v, the last of %d calls of %d failed after %v, and none took more than %v", left, len(o.failed), o.calls, failed, o.worst)
				if left > 1500*time.Millisecond || failed > 2*time.Second || o.worst > 3*time.Second {
					t.Errorf("left after %v, the last call failed after %v, and one took %v", left, failed, o.worst)
				}
				fm.load(time.Second, nil, func(_ time.Time, err error) {
					if err != nil {
						t.Errorf("a call afterwards: %v", err)
					}
				})
			})
		})
	}
}

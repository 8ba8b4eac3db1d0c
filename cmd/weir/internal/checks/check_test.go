package checks

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/weir-rpc/weir/cmd/weir/internal/gauge"
	"github.com/weir-rpc/weir/cmd/weir/internal/peers"
)

// pairings are those of the demo, and grpc-go with itself as the standard that
// the checks are held to.
func pairings() []peers.Pairing {
	return append(peers.Pairings(), peers.Pairing{Client: peers.GRPC(), Server: peers.GRPC()})
}

func TestAllPairingsPass(t *testing.T) {
	t.Parallel()
	for _, pairing := range pairings() {
		t.Run(pairing.Client.Name+" to "+pairing.Server.Name, func(t *testing.T) {
			t.Parallel()
			s := open(t, pairing, gauge.New())
			for _, c := range All() {
				if o := s.Run(t.Context(), c); o.Err != nil {
					t.Errorf("%s: %v", c.Call, o.Err)
				}
			}
		})
	}
}

func open(t *testing.T, pairing peers.Pairing, service Gauge) *Station {
	t.Helper()
	s, err := Open(t.Context(), pairing, service, 24*Patience) // for a busy machine
	if err != nil {
		t.Fatal(err)
	}
	s.deadline = 3 * time.Second // which tests wait for
	t.Cleanup(func() { s.Close() })
	return s
}

// bear is another patience than the usual one: for a station whose checks wait for
// what does not come, or do not wait for what may come late.
func (s *Station) bear(patience time.Duration) {
	if patience > 0 {
		s.patience, s.grace, s.deadline = patience, patience/2, patience/20
	}
}

// named is the check of that name.
func named(t *testing.T, call string) Check {
	t.Helper()
	for _, c := range All() {
		if c.Call == call {
			return c
		}
	}
	t.Fatalf("no check is called %q", call)
	return Check{}
}

// wantMismatch fails t unless err is a mismatch that has all the words.
func wantMismatch(t *testing.T, err error, words ...string) {
	t.Helper()
	var m *MismatchError
	if !errors.As(err, &m) {
		t.Fatalf("the check gave %v, want a mismatch about %q", err, words)
	}
	for _, w := range words {
		if !strings.Contains(m.Error(), w) {
			t.Errorf("the mismatch is %q, want %q in it", m, w)
		}
	}
}

func TestChecksTellWhatTheyCallAndFitTheTable(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range All() {
		if seen[c.Call] {
			t.Errorf("two checks are called %q", c.Call)
		}
		seen[c.Call] = true
		if n := len([]rune(c.Call)); n == 0 || n > 16 {
			t.Errorf("%q has %d characters, want 1 to 16", c.Call, n)
		}
		if n := len([]rune(c.Checked)); n == 0 || n > 32 {
			t.Errorf("%q has %d characters, want 1 to 32", c.Checked, n)
		}
	}
}

func TestInterruptedCheckFails(t *testing.T) {
	s := open(t, peers.Pairing{Client: peers.GRPC(), Server: peers.GRPC()}, gauge.New())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if o := s.Run(ctx, named(t, "unary")); !errors.Is(o.Err, context.Canceled) {
		t.Errorf("the check gave %v, want context.Canceled", o.Err)
	}
}

func TestServerNotStopping(t *testing.T) {
	t.Parallel()
	standard := peers.GRPC()
	deaf := standard
	deaf.NewServer = func() peers.Server { return unstoppable{standard.NewServer().(*grpc.Server)} }
	s := open(t, peers.Pairing{Client: standard, Server: deaf}, gauge.New())
	s.grace = 3 * time.Second
	o := s.Run(t.Context(), named(t, "stop"))
	wantMismatch(t, o.Err, "Serve", "to return")
	s.server.(unstoppable).Server.Stop()
	<-s.served
}

// unstoppable is a server whose Stop does nothing.
type unstoppable struct{ *grpc.Server }

func (unstoppable) Stop() {}

package channel

import (
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/internal/simnet"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/resolver"
)

// Whatever a resolver says, when, and from where, a channel ends up where the
// resolver says last, and leaves nothing behind.
func TestHosted_Storm(t *testing.T) {
	for seed := range uint64(12) {
		random := rand.New(rand.NewPCG(seed, 1))
		lists := [][]string{{"a"}, {"b"}, {"a", "b"}, {"b", "c"}, {"nowhere"}, {"nowhere", "c"}, {}}
		n := &naming{}
		var mu sync.Mutex
		pick := func(n int) int { mu.Lock(); defer mu.Unlock(); return random.IntN(n) }
		n.first = func(cc resolver.ClientConn) {
			if pick(2) == 0 {
				_ = cc.UpdateState(flat(lists[pick(len(lists))]...))
			}
		}
		n.again = func(cc resolver.ClientConn) {
			switch pick(4) {
			case 0:
				_ = cc.UpdateState(flat(lists[pick(len(lists))]...))
			case 1:
				cc.ReportError(errBroken)
			}
		}
		withNaming(t, n, idleAfter(3*time.Second), func(t *testing.T, w *world) {
			var hosts []*host
			for _, name := range []string{"a", "b", "c"} {
				hosts = append(hosts, w.serve(name))
			}
			var work sync.WaitGroup
			for range 4 {
				work.Go(func() { // calls
					for range 30 {
						tr, err := w.within(time.Duration(pick(2000))*ms, pick(2) == 0)
						if err == nil {
							if st, err := tr.NewStream(context.Background(), &transport.Call{Method: "/s/m"}); err == nil {
								<-time.After(time.Duration(pick(500)) * ms)
								st.Cancel(errBroken)
							}
						}
						<-time.After(time.Duration(pick(4000)) * ms)
					}
				})
			}
			work.Go(func() { // the resolver
				for range 60 {
					<-time.After(time.Duration(pick(1500)) * ms)
					if _, _, cc := n.counts(); cc != nil {
						_ = cc.UpdateState(flat(lists[pick(len(lists))]...))
					}
				}
			})
			work.Go(func() { // servers
				for range 20 {
					<-time.After(time.Duration(pick(4000)) * ms)
					h := hosts[pick(len(hosts))]
					h.mu.Lock()
					all := append([]transport.ServerTransport(nil), h.all...)
					h.mu.Unlock()
					for _, sv := range all {
						sv.Drain("moving")
					}
				}
			})
			work.Wait()
			n.mu.Lock()
			n.again, n.first = nil, says("c")
			n.mu.Unlock()
			w.ch.Connect()
			synctest.Wait()
			if _, _, cc := n.counts(); cc != nil {
				_ = cc.UpdateState(flat("c"))
			}
			simnet.Advance(10 * time.Second) // connects, and rests again for want of calls
			w.wantDialed("c")
			w.mustConnect()
			w.ch.Close()
			n.mu.Lock()
			defer n.mu.Unlock()
			if n.builds != n.closed {
				t.Errorf("seed %d: %d resolvers were built and %d closed", seed, n.builds, n.closed)
			}
		})
	}
}

// wantDialed wants the latest dial to be of an address.
func (w *world) wantDialed(address string) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.dials) == 0 || w.dials[len(w.dials)-1][len(w.dials[len(w.dials)-1])-len(address):] != address {
		w.t.Errorf("dialed %q, want %s at last", w.dials, address)
	}
}

// A connection whose server has not spoken stays until it has, also where its
// address goes meanwhile: its calls may have been acted on.
func TestHosted_EarlyCalls(t *testing.T) {
	n := &naming{first: says("a")}
	withNaming(t, n, func(_ *world, cfg *Config) { cfg.Transport.EarlyCalls = true }, func(t *testing.T, w *world) {
		w.accept("a", func(h *host, nc net.Conn) {
			<-time.After(2 * time.Second)
			h.serve(nc)
		})
		w.serve("b")
		w.ch.Connect()
		w.wantMoves("IDLE>CONNECTING", "CONNECTING>READY")
		simnet.Advance(time.Second)
		if err := n.conn().UpdateState(flat("b")); err != nil {
			t.Error(err)
		}
		w.wantState(connectivity.Ready)
		w.wantDials("0s a")
		simnet.Advance(time.Second)
		w.wantMoves("READY>IDLE", "IDLE>CONNECTING", "CONNECTING>READY")
		w.wantDials("2s b")
	})
}

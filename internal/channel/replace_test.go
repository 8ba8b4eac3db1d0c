package channel

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/internal/simnet"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
)

// stream opens a stream on a connection, which ends with the function.
func stream(t *testing.T, tr transport.ClientTransport) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	if _, err := tr.NewStream(ctx, &transport.Call{Method: "/s/m"}); err != nil {
		t.Fatal(err)
	}
	return cancel
}

// inUse runs f with a channel that has a call open on a connection to a server of
// that name, 50 ms away.
func inUse(t *testing.T, target, server string, f func(t *testing.T, w *world, h *host, old transport.ClientTransport, end func())) {
	t.Helper()
	inWorld(t, target, nil, func(t *testing.T, w *world) {
		w.net.Link = simnet.Link{RTT: 50 * ms}
		h := w.serve(server)
		old := w.mustConnect()
		end := stream(t, old)
		simnet.Advance(time.Second)
		w.wantMoves("IDLE>CONNECTING", "CONNECTING>READY")
		f(t, w, h, old, end)
	})
}

func drain(sv transport.ServerTransport) { sv.Drain("bye") }

// picks wants the connection of the next call at once.
func (w *world) picks() transport.ClientTransport {
	w.t.Helper()
	var tr transport.ClientTransport
	elapsed(w.t, 0, func() {
		var err error
		if tr, err = w.within(time.Minute, false); err != nil {
			w.t.Fatal(err)
		}
	})
	return tr
}

// A connection with calls that its server wants to end is replaced first: calls go
// on there and then on the next one, none waits, and the state remains READY.
func TestReplace_ServerDrains_StaysReady(t *testing.T) {
	inUse(t, "passthrough:///a", "a", func(t *testing.T, w *world, h *host, old transport.ClientTransport, end func()) {
		h.each(drain)
		for range 15 { // a round trip for the connection, another for SETTINGS
			simnet.Advance(10 * ms)
			if end := stream(t, w.picks()); w.picks() == old {
				end()
			}
		}
		if w.picks() == old {
			t.Fatal("the connection is not replaced")
		}
		w.wantMoves()
		if err := old.Err(); err != nil {
			t.Errorf("the call in flight lost its connection: %v", err)
		}
		end()
		simnet.Advance(time.Second)
		select {
		case <-old.Done():
		default:
			t.Error("the old connection does not end with its last call")
		}
		w.ch.first.mu.Lock()
		defer w.ch.first.mu.Unlock()
		if n := len(w.ch.first.live); n != 1 {
			t.Errorf("%d connections are kept, want 1", n)
		}
	})
}

// Nobody has called for seconds: a channel without use does not connect again.
func TestReplace_NoCalls_Idle(t *testing.T) {
	inUse(t, "passthrough:///a", "a", func(t *testing.T, w *world, h *host, old transport.ClientTransport, end func()) {
		end()
		simnet.Advance(10 * time.Second)
		w.wantDials("0s a")
		h.each(drain)
		simnet.Advance(time.Minute)
		errs := w.wantMoves("READY>IDLE")
		wantWords(t, errs[0], "GOAWAY")
		w.wantDials()
	})
}

// A call of a moment ago is reason enough.
func TestReplace_CallsOfLate_StaysReady(t *testing.T) {
	inUse(t, "passthrough:///a", "a", func(t *testing.T, w *world, h *host, old transport.ClientTransport, end func()) {
		end()
		simnet.Advance(3 * time.Second)
		h.each(drain)
		simnet.Advance(time.Second)
		w.wantMoves()
		if w.picks() == old {
			t.Error("the connection is not replaced")
		}
	})
}

// The server is going for good: its listener is closed. The channel leaves READY
// when it knows, and then fails calls as for any server that is not there.
func TestReplace_ServerIsGone_LeavesReady(t *testing.T) {
	inUse(t, "passthrough:///a", "a", func(t *testing.T, w *world, h *host, old transport.ClientTransport, _ func()) {
		h.lis.Close()
		h.each(drain)
		simnet.Advance(80 * ms) // GOAWAY, then the refusal
		errs := w.wantMoves("READY>IDLE")
		wantWords(t, errs[0], "takes no more calls", "GOAWAY", "a")
		_, err := w.within(time.Minute, false)
		wantStatus(t, err, codes.Unavailable, "refused")
		w.wantMoves("IDLE>CONNECTING", "CONNECTING>TRANSIENT_FAILURE")
		if old.Err() != nil {
			t.Errorf("the call in flight lost its connection: %v", old.Err())
		}
	})
}

// Of several addresses the next takes its place.
func TestReplace_NextAddress(t *testing.T) {
	inWorld(t, "dns:///svc:80", func(w *world, _ *Config) { w.names(resolvesTo("10.0.0.1", "10.0.0.2")) }, func(t *testing.T, w *world) {
		first := w.serve("10.0.0.1:80")
		w.serve("10.0.0.2:80")
		old := w.mustConnect()
		stream(t, old)
		w.wantMoves("IDLE>CONNECTING", "CONNECTING>READY")
		first.lis.Close()
		first.each(drain)
		simnet.Advance(time.Second)
		w.wantMoves()
		if a := w.picks().Peer().Addr.String(); a != "10.0.0.2:80" {
			t.Errorf("calls go to %s", a)
		}
	})
}

// A replacement that does not come is waited for as long as servers wait: two
// seconds. Then the channel has none, and a call waits for the same attempt.
func TestReplace_Hangs_LeavesReady(t *testing.T) {
	for name, woken := range map[string]bool{"nobody calls": false, "a call waits": true} {
		t.Run(name, func(t *testing.T) {
			inUse(t, "passthrough:///a", "a", func(t *testing.T, w *world, h *host, old transport.ClientTransport, _ func()) {
				h.lis.Close()
				w.accept("a", silent)
				h.each(drain)
				simnet.Advance(25*ms + holdGoAway - 1)
				w.wantMoves()
				w.wantDials("0s a", "1.125s a")
				simnet.Advance(1)
				w.wantMoves("READY>IDLE")
				if !woken {
					simnet.Advance(time.Minute)
					w.wantMoves()
					w.wantDials()
					return
				}
				_, err := w.within(time.Minute, false)
				wantStatus(t, err, codes.Unavailable, "SETTINGS")
				w.wantMoves("IDLE>CONNECTING", "CONNECTING>TRANSIENT_FAILURE")
				w.wantDials("21.125s a") // as after any round that failed
			})
		})
	}
}

// holdGoAway is how long the transport waits for a replacement.
const holdGoAway = 2 * time.Second

// The old connection breaks while another is being made: that is the one that is
// missing then, and no second attempt begins.
func TestReplace_OldBreaks_GoesOn(t *testing.T) {
	inUse(t, "passthrough:///a", "a", func(t *testing.T, w *world, h *host, old transport.ClientTransport, _ func()) {
		h.each(drain)
		simnet.Advance(30 * ms)
		old.Close("broken")
		w.wantMoves("READY>IDLE")
		tr := w.mustConnect()
		w.wantMoves("IDLE>CONNECTING", "CONNECTING>READY")
		w.wantDials("0s a", "1.125s a")
		if w.picks() != tr {
			t.Error("the channel has another connection")
		}
	})
}

// The old connection breaks and nobody calls before there is another: who follows
// the states hears of one that was being made.
func TestReplace_OldBreaks_NobodyCalls(t *testing.T) {
	inUse(t, "passthrough:///a", "a", func(t *testing.T, w *world, h *host, old transport.ClientTransport, _ func()) {
		h.each(drain)
		simnet.Advance(30 * ms)
		old.Close("broken")
		errs := w.wantMoves("READY>IDLE")
		wantWords(t, errs[0], "broken")
		simnet.Advance(time.Second)
		errs = w.wantMoves("IDLE>CONNECTING", "CONNECTING>READY")
		if errs[0] != nil || errs[1] != nil {
			t.Errorf("the observer is told %v", errs)
		}
		w.wantDials("0s a", "1.125s a")
	})
}

// A service config names a balancer while a connection is being replaced: what the
// replacement leaves does not keep a channel from connecting that rested later.
func TestReplace_BalancerTakesOver(t *testing.T) {
	n := &naming{first: says("a")}
	withNaming(t, n, func(w *world, cfg *Config) {
		spreading("pick_first")(w, cfg)
		cfg.Transport.IdleTimeout = time.Minute
	}, func(t *testing.T, w *world) {
		w.net.Link = simnet.Link{RTT: 50 * ms}
		h := w.serve("a")
		end := stream(t, w.mustConnect())
		simnet.Advance(time.Second)
		h.each(drain)
		simnet.Advance(30 * ms)
		w.wantDials("0s a", "1.125s a")
		s := flat("a")
		s.ServiceConfig = n.conn().ParseServiceConfig("round_robin")
		if err := n.conn().UpdateState(s); err != nil {
			t.Fatal(err)
		}
		end()
		simnet.Advance(5 * time.Minute)
		w.wantState(connectivity.Idle)
		w.mustConnect()
	})
}

// Close ends a replacement that goes on, as it does all else.
func TestReplace_Close(t *testing.T) {
	inUse(t, "passthrough:///a", "a", func(t *testing.T, w *world, h *host, old transport.ClientTransport, _ func()) {
		h.lis.Close()
		w.accept("a", silent)
		h.each(drain)
		simnet.Advance(time.Second)
		elapsed(t, 0, func() {
			if err := w.ch.Close(); err != nil {
				t.Error(err)
			}
		})
		<-old.Done()
		w.wantMoves("READY>SHUTDOWN")
	})
}

// A server that ends a connection in one step, naming the last stream that counts,
// leaves nothing to open streams on: the channel is IDLE until the next call.
func TestReplace_OneStep_Idle(t *testing.T) {
	inWorld(t, "passthrough:///a", nil, func(t *testing.T, w *world) {
		goAway := make(chan []byte, 1)
		w.accept("a", func(_ *host, nc net.Conn) {
			go func() {
				_, _ = nc.Write([]byte{0, 0, 0, 4, 0, 0, 0, 0, 0}) // SETTINGS
				if b, ok := <-goAway; ok {
					_, _ = nc.Write(b)
				}
			}()
			silent(nil, nc)
		})
		defer close(goAway)
		tr, err := w.within(time.Minute, false)
		if err != nil {
			t.Fatal(err)
		}
		stream(t, tr)
		goAway <- []byte{0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0}
		synctest.Wait()
		w.wantMoves("IDLE>CONNECTING", "CONNECTING>READY", "READY>IDLE")
		w.wantState(connectivity.Idle)
	})
}

// The resolver has other addresses while a replacement hangs on those that were: it
// goes on with the new ones at once.
func TestReplace_Relisted(t *testing.T) {
	n := &naming{first: says("a")}
	withNaming(t, n, nil, func(t *testing.T, w *world) {
		h := w.serve("a")
		w.serve("b")
		stream(t, w.mustConnect())
		h.lis.Close()
		w.accept("a", silent)
		h.each(drain)
		simnet.Advance(time.Second)
		w.wantMoves("IDLE>CONNECTING", "CONNECTING>READY")
		_ = n.conn().UpdateState(flat("b"))
		w.wantMoves("READY>IDLE", "IDLE>CONNECTING", "CONNECTING>READY")
		if a := w.picks().Peer().Addr.String(); a != "b" {
			t.Errorf("calls go to %s", a)
		}
		w.wantDials("0s a", "0s a", "1s b")
	})
}

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

func early(_ *world, cfg *Config) { cfg.Transport.EarlyCalls = true }

// call opens a stream as a call would.
func call(w *world) (transport.ClientStream, error) {
	tr, err := w.within(time.Hour, false)
	if err != nil {
		return nil, err
	}
	return tr.NewStream(context.Background(), &transport.Call{Method: "/s/m"})
}

// With early calls a channel is READY before the server speaks, and no earlier
// than its SETTINGS does the backoff begin anew.
func TestEarlyReady_BackoffIsResetBySettings(t *testing.T) {
	inWorld(t, "passthrough:///a", early, func(t *testing.T, w *world) {
		h := w.accept("a", func(_ *host, nc net.Conn) { nc.Close() })
		w.ch.Connect()
		errs := w.wantMoves("IDLE>CONNECTING", "CONNECTING>READY", "READY>TRANSIENT_FAILURE")
		wantWords(t, errs[2], "no HTTP/2 connection with a", "is it a gRPC server?")
		simnet.Advance(5 * time.Second)
		w.wantDials("0s a", "1s a", "2.6s a")
		w.wantMoves() // the later attempts wait for SETTINGS
		h.stop()

		h = w.serve("a")
		simnet.Advance(time.Second)
		w.wantDials("5.16s a")
		w.wantMoves("TRANSIENT_FAILURE>READY")
		h.stop()
		w.wantState(connectivity.Idle)
		w.wantMoves("READY>IDLE")
		w.ch.Connect()
		simnet.Advance(3 * time.Second)
		w.wantDials("6s a", "7s a", "8.6s a")
		w.wantMoves("IDLE>CONNECTING", "CONNECTING>TRANSIENT_FAILURE")
	})
}

// A server that never speaks costs the calls that went to it the connect
// timeout; from then on the addresses are tried as without early calls, so that
// one that works is found.
func TestEarlyReady_SilentServer_OtherAddressIsFound(t *testing.T) {
	inWorld(t, "dns:///svc:80", early, func(t *testing.T, w *world) {
		w.names(resolvesTo("10.0.0.1", "10.0.0.2"))
		w.accept("10.0.0.1:80", silent)
		w.serve("10.0.0.2:80")
		elapsed(t, 20*time.Second, func() {
			st, err := call(w)
			if err != nil {
				t.Fatal(err)
			}
			_, err = st.Recv()
			wantStatus(t, err, codes.Unavailable, "sent no SETTINGS in time", "EarlyCalls")
		})
		errs := w.wantMoves("IDLE>CONNECTING", "CONNECTING>READY", "READY>TRANSIENT_FAILURE")
		wantWords(t, errs[2], "10.0.0.1:80", "connect timeout of 20s", "MinConnectTimeout")
		elapsed(t, attemptDelay, func() {
			if tr := w.mustConnect(); tr.Peer().Addr.String() != "10.0.0.2:80" {
				t.Errorf("connected to %v", tr.Peer().Addr)
			}
		})
		w.wantDials("0s 10.0.0.1:80", "20s 10.0.0.1:80", "20.25s 10.0.0.2:80")
		w.wantMoves("TRANSIENT_FAILURE>READY")
	})
}

// A server that drains with its first word is left, as ever, for IDLE.
func TestEarlyReady_GoAwayBehindSettings(t *testing.T) {
	inWorld(t, "passthrough:///a", early, func(t *testing.T, w *world) {
		w.net.Link.RTT = 10 * ms
		first := true
		w.accept("a", func(h *host, nc net.Conn) {
			if first {
				first = false
				sv, err := transport.NewServerTransport(nc, transport.ServerConfig{})
				if err == nil {
					sv.Drain("restarting")
					sv.HandleStreams(context.Background(), func(transport.ServerStream) {})
				}
				return
			}
			h.serve(nc)
		})
		w.ch.Connect()
		simnet.Advance(100 * ms)
		errs := w.wantMoves("IDLE>CONNECTING", "CONNECTING>READY", "READY>IDLE")
		wantWords(t, errs[2], "GOAWAY")
		w.mustConnect()
		w.wantMoves("IDLE>CONNECTING", "CONNECTING>READY")
	})
}

// Close ends a connection whose server has not spoken.
func TestEarlyReady_Close(t *testing.T) {
	inWorld(t, "passthrough:///a", early, func(t *testing.T, w *world) {
		w.accept("a", silent)
		st, err := call(w)
		if err != nil {
			t.Fatal(err)
		}
		elapsed(t, 0, func() {
			if err := w.ch.Close(); err != nil {
				t.Error(err)
			}
		})
		_, err = st.Recv()
		wantStatus(t, err, codes.Unavailable, closedReason)
		w.wantMoves("IDLE>CONNECTING", "CONNECTING>READY", "READY>SHUTDOWN")
		synctest.Wait()
		if n := len(w.ch.first.live); n != 0 {
			t.Errorf("%d connections are kept", n)
		}
	})
}

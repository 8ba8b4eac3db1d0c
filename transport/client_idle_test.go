package transport

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/internal/h2peer"
	"github.com/weir-rpc/weir/internal/simnet"
	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
)

// wantIdleEnd wants the connection to end for idleness after a time, and not
// earlier.
func wantIdleEnd(t *testing.T, ct ClientTransport, after time.Duration) {
	t.Helper()
	start := time.Now()
	<-ct.Done()
	if got := time.Since(start); got != after {
		t.Errorf("the connection ended after %v, want %v", got, after)
	}
	if err := ct.Err(); !errors.Is(err, ErrIdle) || !strings.Contains(err.Error(), "idle for 8s") || !strings.Contains(err.Error(), "WithIdleTimeout") {
		t.Errorf("it ended with %v", err)
	}
}

// A connection ends when it had no call for the timeout, an eighth of it later at
// most; PING frames and other traffic do not count.
func TestClientIdle(t *testing.T) {
	cfg := ClientConfig{IdleTimeout: 8 * time.Second}
	t.Run("never used", func(t *testing.T) {
		inClient(t, cfg, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
			p.WritePing([8]byte{1})
			wantIdleEnd(t, ct, 8*time.Second)
		})
	})
	t.Run("used now and then", func(t *testing.T) {
		inClient(t, cfg, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
			for i := range uint32(5) {
				simnet.Advance(7900 * time.Millisecond)
				c := roundTrip(t.Context(), ct, "x")
				p.WantHeaders("a call", 2*i+1)
				p.WantMessage("its message", 2*i+1)
				p.WriteResponse(2*i+1, []byte("x"))
				p.WriteTrailers(2*i+1, codes.OK, "")
				c.want(t, "x")
			}
			// The last one is over at 39.5 s; a look each second.
			wantIdleEnd(t, ct, 8500*time.Millisecond)
		})
	})
	t.Run("a call that waits", func(t *testing.T) {
		inClient(t, cfg, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
			c := roundTrip(t.Context(), ct, "x")
			p.WantHeaders("a call", 1)
			p.WantMessage("its message", 1)
			second := roundTrip(t.Context(), ct, "x")
			simnet.Advance(time.Hour)
			if !c.pending() || !second.pending() {
				t.Fatal("a call ended for idleness")
			}
			p.WriteTrailersOnly(1, codes.Aborted, "")
			c.wantError(t, codes.Aborted)
			simnet.Advance(time.Hour) // the second one waited for a slot, and has it
			p.WantHeaders("the other call", 3)
			p.WriteTrailersOnly(3, codes.Aborted, "")
			second.wantError(t, codes.Aborted)
			wantIdleEnd(t, ct, 8*time.Second)
		}, http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1})
	})
	t.Run("no timeout", func(t *testing.T) {
		inClient(t, ClientConfig{}, func(_ *testing.T, ct ClientTransport, _ *h2peer.Peer) {
			simnet.Advance(1000 * time.Hour)
			if err := ct.Err(); err != nil {
				t.Errorf("the connection ended: %v", err)
			}
		})
	})
}

// The wait for the server's SETTINGS is no idleness: it has a bound of its own.
func TestClientIdle_NotBeforeSettings(t *testing.T) {
	for _, early := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			a, b := simnet.Pipe(simnet.Link{})
			p := h2peer.NewServer(t, b)
			p.SetLimit(time.Minute)
			made := make(chan ClientTransport, 1)
			go func() {
				ct, err := NewHTTP2Client(t.Context(), a, ClientConfig{IdleTimeout: 8 * time.Second, EarlyCalls: early, ConnConfig: ConnConfig{SettingsTimeout: time.Minute}})
				if err != nil {
					t.Error(err)
				}
				made <- ct
			}()
			simnet.Advance(15 * time.Second) // less than the server may take
			p.Handshake()
			ct := <-made
			synctest.Wait()
			wantIdleEnd(t, ct, 8*time.Second)
			p.Close()
		})
	}
}

package channel

import (
	"net"
	"testing"
	"time"

	"github.com/weir-rpc/weir/internal/h2peer"
	"github.com/weir-rpc/weir/internal/simnet"
	"golang.org/x/net/http2"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/keepalive"
)

// Row A88: after a server's too_many_pings the channel's next connections send
// PING frames half as often, however often that happens.
func TestKeepalive_TooManyPings_CalmsTheNextConnections(t *testing.T) {
	inWorld(t, "passthrough:///a", func(_ *world, cfg *Config) {
		cfg.Transport.Keepalive = keepalive.ClientParameters{Time: 20 * time.Second, PermitWithoutStream: true}
	}, func(t *testing.T, w *world) {
		lis, err := w.net.Listen("a")
		if err != nil {
			t.Fatal(err)
		}
		defer lis.Close()
		connect := func() *h2peer.Peer {
			w.ch.Connect()
			nc, err := lis.Accept()
			if err != nil {
				t.Fatal(err)
			}
			p := h2peer.NewServer(t, nc)
			p.Handshake()
			w.wantState(connectivity.Ready)
			return p
		}
		for _, pause := range []time.Duration{20 * time.Second, 40 * time.Second, 80 * time.Second} {
			p := connect()
			simnet.Advance(pause - 1)
			p.WantIdle("Time is not over")
			simnet.Advance(1)
			p.WantPing("Time is over")
			p.WriteGoAway(0, http2.ErrCodeEnhanceYourCalm, "too_many_pings")
			p.WantGoAway("nothing is left to do", http2.ErrCodeNo)
			p.WantClosed("so the client leaves")
			w.wantState(connectivity.Idle)
		}
		p := connect()
		p.WriteGoAway(0, http2.ErrCodeNo, "")
		p.WantGoAway("nothing is left to do", http2.ErrCodeNo)
		p.WantClosed("so the client leaves")
		w.wantState(connectivity.Idle)
		p = connect()
		simnet.Advance(160*time.Second - 1)
		p.WantIdle("another GOAWAY changes nothing")
		simnet.Advance(1)
		p.WantPing("Time is over")
	})
}

// A server may complain while the channel dials: the connection that is made
// takes what there was before, or what follows.
func TestKeepalive_TooManyPings_WhileDialing(t *testing.T) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	d := &dialer{target: Target{Network: "tcp"}}
	calmed := make(chan struct{})
	go func() {
		d.calm(20 * time.Second)
		close(calmed)
	}()
	nc, _, err := d.open(t.Context(), nil, lis.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	<-calmed
	if got := d.config().Keepalive.Time; got != 40*time.Second {
		t.Errorf("the next connection sends PING frames every %v", got)
	}
}

package transport

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/weir-rpc/weir/internal/h2peer"
	"github.com/weir-rpc/weir/internal/simnet"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// https://www.rfc-editor.org/rfc/rfc9113#section-6.7
// Row A83: a PING is acknowledged with its own octets, in order.
func TestPing_Received_IsAcknowledged(t *testing.T) {
	inServer(t, ServerConfig{KeepaliveEnforcement: anyPings}, func(t *testing.T, ts *testServer) {
		ts.peer.Batch(func() {
			for i := range byte(10) {
				ts.peer.WritePing([8]byte{i, 1, 2, 3, 4, 5, 6, 7})
			}
		})
		for i := range byte(10) {
			ts.peer.WantPingAck("with the same octets", [8]byte{i, 1, 2, 3, 4, 5, 6, 7})
		}
		ts.peer.WritePingAck([8]byte{0xb1, 9})
		ts.peer.WritePingAck([8]byte{1})
		ts.peer.WantIdle("an acknowledgement of nothing is ignored")
	})
}

// Ping waits for its own acknowledgement and for no other, as long as its
// context allows.
func TestPing_Sent_WaitsForItsAcknowledgement(t *testing.T) {
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		one := async(func() error { return ct.Ping(t.Context()) })
		first := p.WantPing("a PING")
		two := async(func() error { return ct.Ping(t.Context()) })
		second := p.WantPing("another")
		if first == second {
			t.Fatalf("two PINGs with the same octets %x", first)
		}
		p.WritePingAck(second)
		if err := <-two; err != nil {
			t.Errorf("Ping gave %v", err)
		}
		wantPending(t, "the first Ping", one)
		p.WritePingAck(first)
		if err := <-one; err != nil {
			t.Errorf("Ping gave %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := ct.Ping(ctx); status.Code(err) != codes.DeadlineExceeded || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Ping gave %v", err)
		}
		p.WritePingAck(p.WantPing("nobody waits for it any more"))
		p.WantIdle("which harms nobody")
	})
}

// floods are what makes a server answer without any stream's leave.
var floods = map[string]func(p *h2peer.Peer, i uint32){
	"PING":     func(p *h2peer.Peer, i uint32) { p.WritePing([8]byte{byte(i)}) },
	"SETTINGS": func(p *h2peer.Peer, _ uint32) { p.WriteSettings() },
	"malformed requests": func(p *h2peer.Peer, i uint32) {
		p.WriteHeaders(2*i+3, true, ":method", "POST")
	},
	"refused requests": func(p *h2peer.Peer, i uint32) {
		p.WriteHeaders(2*i+3, true, ":method", "GET", ":scheme", "http", ":path", "/")
	},
	"too many streams": func(p *h2peer.Peer, i uint32) { p.WriteRequest(2*i+3, "/s/Stream", nil, true) },
	"resets by window": func(p *h2peer.Peer, i uint32) {
		p.WriteRequest(2*i+3, "/u/Echo", nil, false)
		p.WriteWindowUpdate(2*i+3, 0)
	},
}

// Row A94: what a peer provokes and does not read is bounded: then the
// connection ends with ENHANCE_YOUR_CALM.
func TestFlood_PeerDoesNotRead_EndsTheConnection(t *testing.T) {
	for name, flood := range floods {
		t.Run(name, func(t *testing.T) {
			inServer(t, ServerConfig{MaxConcurrentStreams: 1, KeepaliveEnforcement: anyPings}, func(t *testing.T, ts *testServer) {
				if name == "too many streams" || name == "PING" {
					ts.open(1, "/s/Stream")
				}
				ts.client.stop()
				for i := uint32(0); i < 60000 && ts.sv.Err() == nil; i++ {
					if i%500 == 0 {
						simnet.Advance(0) // the server is done with what it got
					}
					flood(ts.peer, i)
				}
				ts.wantConnError(CodeEnhanceYourCalm, ByLocal)
			})
		})
	}
}

// Row A96: of replies only those count that wait: a peer that reads them may ask
// for many more than a ControlBuffer holds.
func TestFlood_PeerReads_IsAnswered(t *testing.T) {
	inServer(t, ServerConfig{KeepaliveEnforcement: anyPings}, func(t *testing.T, ts *testServer) {
		for range 50 {
			ts.peer.Batch(func() {
				for i := range byte(100) {
					ts.peer.WritePing([8]byte{i})
				}
			})
			for i := range byte(100) {
				ts.peer.WantPingAck("each is acknowledged", [8]byte{i})
			}
		}
		ts.wantUnharmed(1)
	})
}

package transport

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/internal/simnet"
	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
)

// clientAttacked is a client, and the server that will attack it.
func clientAttacked(t *testing.T) (ClientTransport, *attacker) {
	t.Helper()
	nc, served := links["h2c"](t)
	return clientAttackedOver(t, nc, newAttacker(t, served))
}

// clientFloods are those of servers; stream 1 is open, stream 3 is closed.
var clientFloods = []flooding{
	{"PING", "PING frames", nil, func(a *attacker, i uint32) { _ = a.fr.WritePing(false, [8]byte{byte(i)}) }, floodBudget},
	{"SETTINGS", "SETTINGS frames", nil, func(a *attacker, _ uint32) { _ = a.fr.WriteSettings() }, floodBudget},
	{"WINDOW_UPDATE of the connection", "WINDOW_UPDATE frames", nil, func(a *attacker, _ uint32) { _ = a.fr.WriteWindowUpdate(0, 1) }, floodBudget},
	{"WINDOW_UPDATE of a stream", "WINDOW_UPDATE frames", nil, func(a *attacker, _ uint32) { _ = a.fr.WriteWindowUpdate(1, 1) }, floodBudget},
	{"PRIORITY", "PRIORITY frames", nil, func(a *attacker, i uint32) { _ = a.fr.WritePriority(2*i+1, http2.PriorityParam{Weight: byte(i)}) }, floodBudget},
	{"unknown types", "frames of unknown types", nil, func(a *attacker, _ uint32) { _ = a.fr.WriteRawFrame(0x77, 0, 1, []byte("?")) }, floodBudget},
	{"GOAWAY", "GOAWAY frames", nil, func(a *attacker, _ uint32) { _ = a.fr.WriteGoAway(1<<31-1, http2.ErrCodeNo, nil) }, floodBudget},
	{"empty DATA", "DATA frames of next to nothing", func(a *attacker) {
		_ = a.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, BlockFragment: a.encode(":status", "200", "content-type", "application/grpc")})
	}, func(a *attacker, _ uint32) { _ = a.fr.WriteData(1, false, nil) }, floodBudget},
	{"RST_STREAM of a closed stream", "resets", nil, func(a *attacker, _ uint32) { _ = a.fr.WriteRSTStream(3, http2.ErrCodeCancel) }, floodBudget},
	{"HEADERS of a closed stream", "frames for closed streams", nil, func(a *attacker, _ uint32) {
		_ = a.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, EndHeaders: true, EndStream: true, BlockFragment: a.encode("grpc-status", "0")})
	}, floodBudget},
	{"DATA of a closed stream", "frames for closed streams", nil, func(a *attacker, _ uint32) {
		_ = a.fr.WriteData(3, false, make([]byte, tinyData))
	}, floodBudget + DefaultStreamWindow/tinyData},
	{"empty CONTINUATION", "CONTINUATION frames", nil, func(a *attacker, _ uint32) {
		_ = a.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, EndStream: true, BlockFragment: a.encode("grpc-status", "0")})
		for range maxContinuations - 2 {
			_ = a.fr.WriteContinuation(3, false, nil)
		}
		_ = a.fr.WriteContinuation(3, true, nil)
	}, floodBudget / (maxContinuations - 1)},
}

// A server that sends frames without work for calls is not endured either. Its
// calls fail, those on another connection do not.
func TestClient_Flooded_EndsTheConnection(t *testing.T) {
	for _, f := range clientFloods {
		for link, connect := range links {
			t.Run(f.name+"/"+link, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					over := make(chan struct{})
					defer close(over)
					other := goodClient(t, connect, ServerConfig{}, over)
					nc, served := connect(t)
					ct, a := clientAttackedOver(t, nc, newAttacker(t, served))
					cs, err := ct.NewStream(t.Context(), &Call{Method: "/s/Stream", Authority: "sim"})
					if err != nil {
						t.Fatal(err)
					}
					ctx, cancel := context.WithCancel(t.Context())
					if _, err := ct.NewStream(ctx, &Call{Method: "/s/Stream", Authority: "sim"}); err != nil {
						t.Fatal(err)
					}
					cancel()
					if f.begin != nil {
						f.begin(a)
						a.send()
					}
					synctest.Wait()
					a.target.budget.left = floodBudget // the reader waits
					got := a.attack(3*f.most, f.round)
					if got.rounds > f.most+200 || got.goroutines > 20 || got.octets > 64<<10 || got.heap > 4<<20 {
						t.Errorf("the attack reached %+v, want %d rounds at most", got, f.most)
					}
					a.wantFlood(f.what)
					if _, err := cs.Recv(); err == nil {
						t.Error("a call on the connection goes on")
					}
					roundTrip(t.Context(), other, "unharmed").want(t, "unharmed")
					other.Close("the test is over")
					ct.Close("the test is over")
					_ = a.nc.Close()
				})
			})
		}
	}
}

// What a server may not send at all ends its connection at the first frame, and
// a header block without end when it has become too large.
func TestClient_Attacked_EndsTheConnection(t *testing.T) {
	for name, tt := range map[string]struct {
		code  http2.ErrCode
		most  int
		round func(a *attacker, i uint32)
	}{
		"PUSH_PROMISE": {http2.ErrCodeProtocol, 1, func(a *attacker, _ uint32) {
			_ = a.fr.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, EndHeaders: true, BlockFragment: a.encode(":method", "GET")})
		}},
		"RST_STREAM of an idle stream": {http2.ErrCodeProtocol, 1, func(a *attacker, _ uint32) { _ = a.fr.WriteRSTStream(99, http2.ErrCodeCancel) }},
		"HEADERS without end": {http2.ErrCodeEnhanceYourCalm, maxContinuations + 1, func(a *attacker, i uint32) {
			if i == 0 {
				_ = a.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: a.encode(":status", "200")})
			}
			_ = a.fr.WriteContinuation(1, false, make([]byte, 1000))
		}},
		"trailers without end": {http2.ErrCodeEnhanceYourCalm, maxContinuations + 1, func(a *attacker, i uint32) {
			if i == 0 {
				_ = a.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, BlockFragment: a.encode(":status", "200", "content-type", "application/grpc")})
				_ = a.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndStream: true, BlockFragment: a.encode("grpc-status", "0")})
			}
			_ = a.fr.WriteContinuation(1, false, make([]byte, 16<<10))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ct, a := clientAttacked(t)
				c := roundTrip(t.Context(), ct, "x")
				synctest.Wait()
				got := a.attack(10*tt.most+100, tt.round)
				if got.heap > 1<<20 {
					t.Errorf("the attack reached %+v", got)
				}
				wantConnError(t, ct.Err(), ErrCode(tt.code), ByLocal)
				if err := ct.Err(); tt.code == http2.ErrCodeEnhanceYourCalm && !strings.Contains(err.Error(), "(option WithMaxHeaderListSize ") {
					t.Errorf("the connection ended with %v", err)
				}
				c.wantError(t, codes.Unavailable)
				_ = a.nc.Close()
			})
		})
	}
}

// A header list that is small on the wire and large when it is decoded ends its
// call, and is never there as a whole.
func TestClient_HeaderBomb_EndsTheCallOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ct, a := clientAttacked(t)
		c := roundTrip(t.Context(), ct, "x")
		synctest.Wait()
		got := a.attack(1, func(a *attacker, _ uint32) { a.bomb(1, a.encode(":status", "200", "content-type", "application/grpc")) })
		c.wantError(t, codes.Internal)
		if got.heap > 256<<10 {
			t.Errorf("a bomb of %d octets keeps %d octets of memory", bombRefs*bombValue, got.heap)
		}
		if err := ct.Err(); err != nil {
			t.Errorf("the connection ended: %v", err)
		}
		ct.Close("the test is over")
		_ = a.nc.Close()
	})
}

// Trailers that never come are for the call's deadline.
func TestClient_TrailersNeverCome_DeadlineEndsTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ct, a := clientAttacked(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		c := roundTrip(ctx, ct, "x")
		synctest.Wait()
		_ = a.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, BlockFragment: a.encode(":status", "200", "content-type", "application/grpc")})
		_ = a.fr.WriteData(1, false, []byte{0, 0, 0, 0, 1, 'y'})
		a.send()
		simnet.Advance(2 * time.Second)
		c.wantError(t, codes.DeadlineExceeded)
		if err := ct.Err(); err != nil {
			t.Errorf("the connection ended: %v", err)
		}
		ct.Close("the test is over")
		_ = a.nc.Close()
	})
}

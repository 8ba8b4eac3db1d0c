package transport

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/internal/simnet"
	"golang.org/x/net/http2"
)

// goodBudget is what is left of their budget when good peers begin, and goodRounds
// is several times that.
const goodBudget, goodRounds = 1000, 4000

// goodPeers do much, but for calls. None of them may notice the budget of idle
// frames.
var goodPeers = map[string]func(t *testing.T, a *attacker){
	"many small messages to the server": func(_ *testing.T, a *attacker) {
		id := a.open("/s/Drink", false)
		a.attack(goodRounds, func(a *attacker, _ uint32) { _ = a.fr.WriteData(id, false, make([]byte, 5)) })
		_ = a.fr.WriteData(id, true, nil)
	},
	"credit for each small message": func(_ *testing.T, a *attacker) {
		id := a.open("/s/Pour", true)
		a.send()
		a.attack(goodRounds, func(a *attacker, _ uint32) {
			_ = a.fr.WriteWindowUpdate(id, 6)
			_ = a.fr.WriteWindowUpdate(0, 6)
		})
	},
	"rests of large messages": func(_ *testing.T, a *attacker) {
		id := a.open("/s/Drink", false)
		a.burst = 3 // as the window allows
		a.attack(goodRounds, func(a *attacker, _ uint32) {
			_ = a.fr.WriteData(id, false, append([]byte{0, 0, 0, 0x3f, 0xfc}, make([]byte, 16379)...))
			_ = a.fr.WriteData(id, false, []byte{1})
		})
		_ = a.fr.WriteData(id, true, nil)
	},
	"four of five calls are cancelled": func(_ *testing.T, a *attacker) {
		a.attack(goodRounds, func(a *attacker, _ uint32) {
			_ = a.fr.WriteData(a.open("/u/Echo", false), true, make([]byte, 5))
			for range 4 {
				_ = a.fr.WriteRSTStream(a.open("/s/Wait", false), http2.ErrCodeCancel)
			}
		})
	},
	"4,000 PING frames a second": func(_ *testing.T, a *attacker) {
		for range 4 {
			simnet.Advance(time.Second)
			a.attack(4000, func(a *attacker, _ uint32) { _ = a.fr.WritePing(false, [8]byte{}) })
		}
	},
}

// A client that does much, but for calls, is left alone.
func TestServer_BusyWithCalls_IsNoFlood(t *testing.T) {
	for name, peer := range goodPeers {
		t.Run(name, func(t *testing.T) {
			againstServer(t, ServerConfig{}, func(t *testing.T, a *attacker) {
				a.target.budget.left = goodBudget // the reader waits
				peer(t, a)
				a.send()
				a.wantAnswer()
			})
		})
	}
}

// 10,000 calls that are cancelled at once harm their connection on neither
// side, nor does what the server has sent for them already.
func TestCancel_TenThousandAtOnce_IsNoFlood(t *testing.T) {
	const calls = 10_000
	for link, connect := range links {
		t.Run(link, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				over := make(chan struct{})
				defer close(over)
				ct := goodClient(t, connect, ServerConfig{MaxConcurrentStreams: 2 * calls}, over)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				for i := range calls {
					method := "/s/Wait"
					if i%1000 == 0 {
						method = "/s/Pour"
					}
					if _, err := ct.NewStream(ctx, &Call{Method: method, Authority: "sim"}); err != nil {
						t.Fatal(err)
					}
				}
				synctest.Wait()
				cancel()
				synctest.Wait()
				roundTrip(t.Context(), ct, "unharmed").want(t, "unharmed")
				ct.Close("the test is over")
			})
		})
	}
}

// What is on its way when a call is cancelled is not the server's fault, however
// many frames it is in.
func TestCancel_ManyFramesUnderWay_IsNoFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const streams = 20
		ct, a := clientAttacked(t)
		ctx, cancel := context.WithCancel(t.Context())
		for range streams {
			if _, err := ct.NewStream(ctx, &Call{Method: "/s/Stream", Authority: "sim"}); err != nil {
				t.Fatal(err)
			}
		}
		cancel()
		got := a.attack(streams*DefaultStreamWindow/tinyData, func(a *attacker, i uint32) {
			_ = a.fr.WriteData(2*(i%streams)+1, false, make([]byte, tinyData))
		})
		if err := ct.Err(); err != nil {
			t.Fatalf("after %d frames: %v", got.rounds, err)
		}
		ct.Close("the test is over")
		_ = a.nc.Close()
	})
}

// What a peer has earned in the life of a connection is no debt, on 32 bits too.
func TestIdleBudget_EarnedInALongLife_Counts(t *testing.T) {
	c := &conn{cfg: &ConnConfig{}}
	c.record.begun = time.Now()
	c.budget.earned = math.MaxInt32 - 10
	for range 100 {
		c.budget.earnedData(100)
	}
	c.idleFrame(idleWindow, 10)
	if err := c.spend(); err != nil {
		t.Errorf("after two billion messages: %v", err)
	}
}

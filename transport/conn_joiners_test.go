package transport

import (
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/weir-rpc/weir/internal/h2peer"
	"google.golang.org/grpc/codes"
)

// wantCall wants a unary call.
func wantCall(p *h2peer.Peer, sentence string, id uint32) {
	p.WantHeaders(sentence, id)
	p.WantMessage(sentence, id)
}

// answerAll answers unary calls in one write.
func answerAll(p *h2peer.Peer, ids ...uint32) {
	p.Batch(func() {
		for _, id := range ids {
			p.WriteResponse(id, []byte("an answer"))
			p.WriteTrailers(id, codes.OK, "")
		}
	})
}

// writes is how many writes a client has begun.
func writes(ct ClientTransport) uint32 {
	t := ct.(*http2Client)
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.batch
}

// Callers whose answers come in one read make their next calls in one write, or
// in two: the last of them may have seen to it before it calls itself.
func TestCalls_WokenTogether_LeaveTogether(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // with many, all may have run before any has called
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		const callers, rounds = 20, 10
		var over sync.WaitGroup
		for range callers {
			over.Go(func() {
				for range rounds {
					var reply Reply
					if err := ct.RoundTrip(t.Context(), &Call{Method: "/u/Echo"}, text("a call"), &reply); err != nil {
						t.Error(err)
					}
					reply.Free()
				}
			})
		}
		p.AnyOrder()
		var n uint32
		for round := range uint32(rounds) {
			synctest.Wait()
			var ids []uint32
			for caller := range uint32(callers) {
				id := 2*(round*callers+caller) + 1
				wantCall(p, "a call", id)
				ids = append(ids, id)
			}
			before := writes(ct)
			answerAll(p, ids...)
			synctest.Wait()
			n += writes(ct) - before
		}
		over.Wait()
		if n > 3*rounds {
			t.Errorf("%d calls of %d callers left in %d writes", rounds*callers, callers, n)
		}
		wantNobodyWoken(t, ct)
	})
}

// A call that was left to others who were woken leaves, whether they call again
// or do something else.
func TestCall_OthersWokenDoNotCall_Leaves(t *testing.T) {
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		call := func() {
			var reply Reply
			if err := ct.RoundTrip(t.Context(), &Call{Method: "/u/Echo"}, text("a call"), &reply); err != nil {
				t.Error(err)
			}
			reply.Free()
		}
		p.AnyOrder()
		id := uint32(1)
		for range 50 {
			var over sync.WaitGroup
			busy := make(chan struct{})
			for n := range 4 {
				over.Go(func() {
					call()
					if n == 2 {
						call()
					} else {
						<-busy
					}
				})
			}
			for n := range uint32(4) {
				wantCall(p, "a call", id+2*n)
			}
			synctest.Wait()
			answerAll(p, id, id+2, id+4, id+6)
			synctest.Wait()
			wantCall(p, "the one that calls again", id+8)
			answerAll(p, id+8)
			id += 10
			close(busy)
			over.Wait()
		}
		wantNobodyWoken(t, ct)
	})
}

// Somebody who was woken and does not get to run keeps no more than so many calls
// or octets waiting.
func TestHold_WokenDoesNotRun_IsBounded(t *testing.T) {
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		woken := &ct.(*http2Client).joiners.woken
		woken.Add(1)
		defer woken.Add(-1)
		var over sync.WaitGroup
		defer over.Wait()
		defer ct.Close("the test is over")
		call := func(m string) {
			over.Go(func() {
				var reply Reply
				_ = ct.RoundTrip(t.Context(), &Call{Method: "/u/Echo"}, text(m), &reply)
				reply.Free()
			})
			synctest.Wait()
		}
		p.AnyOrder()
		before := writes(ct)
		for range holdCalls {
			call("small")
		}
		if n := writes(ct) - before; n != 0 {
			t.Errorf("%d writes for calls that can wait for others", n)
		}
		call("small")
		wantCall(p, "too many wait", 2*holdCalls+1)
		before = writes(ct)
		call(strings.Repeat("large", holdOctets))
		if n := writes(ct) - before; n == 0 {
			t.Error("a large message waits for others")
		}
	})
}

// wantNobodyWoken says that everybody whom the reader has woken has run.
func wantNobodyWoken(t *testing.T, ct ClientTransport) {
	t.Helper()
	if n := ct.(*http2Client).joiners.woken.Load(); n != 0 {
		t.Errorf("%d callers were woken and have not run", n)
	}
}

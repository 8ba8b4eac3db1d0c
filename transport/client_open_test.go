package transport

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/weir-rpc/weir/internal/h2peer"
	"github.com/weir-rpc/weir/internal/leak"
	"golang.org/x/net/http2"
	"google.golang.org/grpc/metadata"
)

// "The identifier of a newly established stream MUST be numerically greater than
// all streams that the initiating endpoint has opened or reserved."
// https://www.rfc-editor.org/rfc/rfc9113#section-5.1.1
// Rows A3, A13, B15: callers that open streams at once, wait for slots, give up
// and have headers of one frame or several: ids reach the wire in their order,
// without a gap, and each header block decodes to what its own caller said.
func TestOpen_ManyAtOnce_InTheOrderOfIDs(t *testing.T) {
	const callers, slots = 120, 7
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		p.Ignore(http2.FrameData, http2.FrameRSTStream, http2.FrameWindowUpdate)
		var opened atomic.Int32
		var all sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for i := range callers {
			all.Go(func() {
				md := metadata.Pairs("who", strconv.Itoa(i), "shared", "by all", "kind", strconv.Itoa(i%3))
				if i%10 == 0 {
					md.Set("long", strings.Repeat(strconv.Itoa(i), 20000))
				}
				call := &Call{Method: "/s/Stream", Metadata: md}
				ctx := ctx
				if i%4 != 0 {
					ctx = t.Context()
				}
				switch i % 2 {
				case 0:
					cs, err := ct.NewStream(ctx, call)
					if err != nil {
						return // it gave up
					}
					opened.Add(1)
					_, _ = cs.Recv()
				default:
					call.Sent = func() { opened.Add(1) }
					var reply Reply
					_ = ct.RoundTrip(ctx, call, text("x"), &reply)
					reply.Free()
				}
			})
		}
		seen := make(map[string]bool)
		for id := uint32(1); ; id += 2 {
			if synctest.Wait(); int(opened.Load()) < int(id+1)/2 {
				break // all others gave up
			}
			h := p.WantHeaders("the next stream", id)
			who := h.Get("who")
			i, err := strconv.Atoi(who)
			if err != nil || seen[who] || h.Get("shared") != "by all" || h.Get("kind") != strconv.Itoa(i%3) {
				t.Fatalf("stream %d has the headers %v", id, h)
			}
			if long := h.Get("long"); i%10 == 0 && long != strings.Repeat(who, 20000) || i%10 != 0 && long != "" {
				t.Fatalf("stream %d of caller %d has %d octets of another", id, i, len(long))
			}
			seen[who] = true
			if len(seen) == callers/3 {
				cancel()
			}
			p.WriteTrailersOnly(id, 0, "")
		}
		all.Wait()
		if n := len(seen); n < callers*3/4 || n > callers {
			t.Errorf("%d of %d callers got a stream", n, callers)
		}
	}, maxStreams(slots))
}

// Row C17: a stream of a client costs no goroutine, open or ended, with a
// context that can end or not.
func TestNewStream_CostsNoGoroutine(t *testing.T) {
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		synctest.Wait()
		before := leak.Bubbled()
		for id := uint32(1); id <= 99; id += 2 {
			cs := openStream(ctx, t, ct, p, id)
			if err := cs.Send(text("hello")); err != nil {
				t.Fatal(err)
			}
			p.WantMessage("a message", id)
			p.WriteResponse(id, []byte("hello"))
			wantMessage(t, cs, "hello")
		}
		synctest.Wait()
		if n := leak.Bubbled(); n > before {
			t.Errorf("%d goroutines with 50 open streams, %d without", n, before)
		}
		cancel()
		p.Ignore(http2.FrameRSTStream)
		p.WantIdle("all of them are reset")
		if n := leak.Bubbled(); n > before {
			t.Errorf("%d goroutines when they have ended, %d before", n, before)
		}
	})
}

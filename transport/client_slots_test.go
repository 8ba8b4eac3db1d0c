package transport

import (
	"context"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/internal/h2peer"
	"github.com/weir-rpc/weir/internal/simnet"
	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func maxStreams(n uint32) http2.Setting {
	return http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: n}
}

// take wants the next call of the client and gives its message.
func take(p *h2peer.Peer, id uint32) string {
	p.WantHeaders("a call", id)
	return string(p.WantMessage("its message", id))
}

// answer ends a call with a message.
func answer(p *h2peer.Peer, id uint32, msg string) {
	p.Batch(func() {
		p.WriteResponse(id, []byte(msg))
		p.WriteTrailers(id, codes.OK, "")
	})
}

// "Endpoints MUST NOT exceed the limit set by their peer."
// https://www.rfc-editor.org/rfc/rfc9113#section-5.1.2
// Calls beyond the limit wait in line, first come, first served.
// Row A15: one slot wakes one waiter, first come, first served.
func TestSlots_AllTaken_CallsWaitInLine(t *testing.T) {
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		var calls []*asyncCall
		for _, msg := range []string{"a", "b", "c", "d"} {
			calls = append(calls, roundTrip(t.Context(), ct, msg))
			synctest.Wait()
		}
		for i, msg := range []string{"a", "b", "c", "d"} {
			id := uint32(2*i + 1)
			if got := take(p, id); got != msg {
				t.Errorf("call %q has its turn, want %q", got, msg)
			}
			p.WantIdle("one at a time")
			answer(p, id, "re: "+msg)
			calls[i].want(t, "re: "+msg)
		}
	}, maxStreams(1))
}

// The wait ends with the call's context; the error says for what it waited and
// which option decides.
// Rows A7, A15: a call waits for a slot as long as its context allows, says so,
// and is marked as never sent.
func TestSlots_ContextEnds_SaysWhy(t *testing.T) {
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		first := roundTrip(t.Context(), ct, "first")
		take(p, 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := roundTrip(ctx, ct, "second").wantError(t, codes.DeadlineExceeded)
		se := wantStreamError(t, err, CodeCancel, ByLocal)
		if !se.Unprocessed || !se.Unsent || !strings.Contains(err.Error(), "MaxConcurrentStreams") || !strings.Contains(err.Error(), "1 streams") {
			t.Errorf("the call ended with %v, Unprocessed %v", err, se.Unprocessed)
		}
		third := roundTrip(t.Context(), ct, "third")
		p.WantIdle("the slot is taken")
		answer(p, 1, "done")
		first.want(t, "done")
		if got := take(p, 3); got != "third" {
			t.Errorf("the slot went to %q", got)
		}
		answer(p, 3, "done too")
		third.want(t, "done too")
	}, maxStreams(1))
}

// A raised limit lets those go on who wait; a lowered one takes nothing away,
// and gives nothing until enough streams have ended.
// Row A15: a limit below what is open makes the count of free slots negative,
// and that is made up for first.
func TestSlots_LimitChanges_IsKept(t *testing.T) {
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		p.AnyOrder()
		var calls []*asyncCall
		for range 6 {
			calls = append(calls, roundTrip(t.Context(), ct, "x"))
		}
		p.WantIdle("no stream is allowed")
		p.WriteSettings(maxStreams(3))
		p.WantSettingsAck("three are")
		for id := uint32(1); id <= 5; id += 2 {
			take(p, id)
		}
		p.WantIdle("and no more")
		p.WriteSettings(maxStreams(1))
		p.WantSettingsAck("one is")
		answer(p, 1, "y")
		answer(p, 3, "y")
		p.WantIdle("one is open still")
		answer(p, 5, "y")
		take(p, 7)
		p.WantIdle("one at a time")
		p.WriteSettings(maxStreams(100))
		p.WantSettingsAck("all may go")
		take(p, 9)
		take(p, 11)
		for id := uint32(7); id <= 11; id += 2 {
			answer(p, id, "y")
		}
		for _, c := range calls {
			c.want(t, "y")
		}
	}, maxStreams(0))
}

// Whatever ends a stream gives its slot back once: a refused header list, a
// reset of either side, an error, an answer.
// Row A15: no slot is lost or given twice.
func TestSlots_StreamEnds_IsGivenBackOnce(t *testing.T) {
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		id := uint32(1)
		for range 3 {
			if _, err := ct.NewStream(t.Context(), &Call{Method: "/s/Stream", Metadata: map[string][]string{"long": {strings.Repeat("x", 3000)}}}); err == nil {
				t.Fatal("a header list that is too large was sent")
			}
			for _, end := range []func(cs ClientStream){
				func(ClientStream) { p.WriteReset(id, http2.ErrCodeInternal) },
				func(ClientStream) { p.WriteTrailersOnly(id, codes.NotFound, "") },
				func(cs ClientStream) { cs.Cancel(context.Canceled) },
			} {
				cs := openStream(t.Context(), t, ct, p, id)
				end(cs)
				if _, err := cs.Recv(); err == nil {
					t.Error("the stream did not end")
				}
				p.Ignore(http2.FrameRSTStream)
				id += 2
			}
			c := roundTrip(t.Context(), ct, "x")
			take(p, id)
			answer(p, id, "y")
			c.want(t, "y")
			id += 2
		}
		if n := taken(ct); n != 0 {
			t.Errorf("%d slots are taken and no stream is open", n)
		}
	}, maxStreams(1), http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: 2000})
}

// taken is how many slots of a connection are.
func taken(ct ClientTransport) uint32 {
	c := ct.(*http2Client)
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.slots.taken
}

// Row A98: a call that waits to be opened on a connection that begins to drain
// is sent away, to be tried elsewhere.
// Rows A7, B15: refused before it has an id, a call is marked as never sent.
func TestSlots_ConnectionDrains_SendsWaitersAway(t *testing.T) {
	for name, drain := range map[string]func(ct ClientTransport, p *h2peer.Peer){
		"GOAWAY":        func(_ ClientTransport, p *h2peer.Peer) { p.WriteGoAway(1, http2.ErrCodeNo, "") },
		"GracefulClose": func(ct ClientTransport, _ *h2peer.Peer) { ct.GracefulClose() },
	} {
		t.Run(name, func(t *testing.T) {
			inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
				first := roundTrip(t.Context(), ct, "first")
				take(p, 1)
				second := roundTrip(t.Context(), ct, "second")
				if !second.pending() {
					t.Fatal("the second call does not wait")
				}
				drain(ct, p)
				err := second.wantError(t, codes.Unavailable)
				if se := wantStreamError(t, err, CodeRefusedStream, ByLocal); !se.Unprocessed || !se.Unsent {
					t.Errorf("a call that was not sent is not Unprocessed: %v", err)
				}
				answer(p, 1, "done")
				first.want(t, "done")
			}, maxStreams(1))
		})
	}
}

// A server that does not read makes a client hold no more than unreadLimit, twice,
// though it cancels calls and makes others: their headers need no credit. Calls
// beyond wait for the socket, and have certainly not been sent when they end.
func TestSlots_ServerDoesNotRead_CallsWait(t *testing.T) {
	const calls, size = 3000, 2000
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Link{})
		server := &laggard{Conn: b.(*simnet.Conn)}
		p := h2peer.NewServer(t, server)
		p.Ignore(http2.FrameHeaders, http2.FrameRSTStream, http2.FrameData)
		made := async(func() ClientTransport {
			ct, err := NewHTTP2Client(t.Context(), a, ClientConfig{ConnConfig: ConnConfig{WriteTimeout: -1}})
			if err != nil {
				t.Error(err)
			}
			return ct
		})
		p.Handshake()
		ct := <-made
		synctest.Wait()
		server.stop()
		most, unsent := 0, 0
		for i := range calls {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			md := map[string][]string{"unique": {strings.Repeat(strconv.Itoa(i), size)[:size]}}
			cs, err := ct.NewStream(ctx, &Call{Method: "/s/Stream", Authority: "sim", Metadata: md})
			if err == nil {
				cs.Cancel(context.Canceled)
			} else {
				unsent++
				se := wantStreamError(t, err, CodeCancel, ByLocal)
				if !se.Unsent || !strings.Contains(err.Error(), "the socket") {
					t.Fatalf("the call ended with %v, Unsent: %v", err, se.Unsent)
				}
			}
			cancel()
			if i%100 == 0 {
				most = max(most, ct.(*http2Client).Inspect(false).Pending)
			}
		}
		if most > 2*unreadLimit+unreadLimit/4 {
			t.Errorf("a server that does not read made the client hold %d octets", most)
		}
		if unsent == 0 {
			t.Error("no call had to wait")
		}
		waits := roundTrip(t.Context(), ct, "patient")
		if !waits.pending() {
			t.Fatal("a call did not wait")
		}
		server.resume()
		synctest.Wait()
		id := ct.(*http2Client).lastOpened()
		p.WriteResponse(id, []byte("at last"))
		p.WriteTrailers(id, codes.OK, "")
		waits.want(t, "at last")
		if n := taken(ct); n != 0 {
			t.Errorf("%d slots are taken and no stream is open", n)
		}
		ct.Close("the test is over")
	})
}

// lastOpened is the id of the stream that was opened last.
func (t *http2Client) lastOpened() uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.nextID - 2
}

// Thousands of calls that wait for a slot and give up at once cost what each of
// them does, and not what each of them does for each.
func TestSlots_ManyGiveUp_CostsLittle(t *testing.T) {
	const calls = 10_000
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		first := roundTrip(t.Context(), ct, "first")
		take(p, 1)
		ctx, cancel := context.WithCancel(t.Context())
		var all []chan error
		for range calls {
			all = append(all, async(func() error {
				_, err := ct.NewStream(ctx, &Call{Method: "/s/Stream"})
				return err
			}))
		}
		synctest.Wait()
		before := allocated()
		cancel()
		for _, c := range all {
			if err := <-c; status.Code(err) != codes.Canceled {
				t.Fatalf("a call gave %v", err)
			}
		}
		if each := (allocated() - before) / calls; each > 16<<10 {
			t.Errorf("each call that gave up took %d octets", each)
		}
		answer(p, 1, "done")
		first.want(t, "done")
		next := roundTrip(t.Context(), ct, "next")
		take(p, 3)
		answer(p, 3, "done too")
		next.want(t, "done too")
	}, maxStreams(1))
}

// allocated is how many octets were, from the beginning.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

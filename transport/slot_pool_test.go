package transport

import (
	"context"
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

// member is one connection of a pool, and its server.
type member struct {
	ct  ClientTransport
	p   *h2peer.Peer
	end *laggard // the server's
}

// inPool runs f with connections to servers that allow so many streams each, all
// of them in one pool.
func inPool(t *testing.T, limits []uint32, f func(t *testing.T, pool *SlotPool, all []member)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		pool := new(SlotPool)
		var all []member
		for _, n := range limits {
			m := newMember(t, n)
			if !pool.Add(m.ct) {
				t.Fatal("a connection of NewHTTP2Client does not join")
			}
			all = append(all, m)
		}
		f(t, pool, all)
		for _, m := range all {
			m.ct.Close("the test is over")
		}
	})
}

func newMember(t *testing.T, limit uint32) member {
	a, b := simnet.Pipe(simnet.Link{})
	m := member{end: &laggard{Conn: b.(*simnet.Conn)}}
	m.p = h2peer.NewServer(t, m.end)
	made := async(func() ClientTransport {
		ct, err := NewHTTP2Client(t.Context(), a, ClientConfig{})
		if err != nil {
			t.Error(err)
		}
		return ct
	})
	m.p.Handshake(maxStreams(limit))
	m.ct = <-made
	return m
}

// wantTaken wants the slot of this connection, or none if it is nil.
func wantTaken(t *testing.T, why string, pool *SlotPool, want ClientTransport) {
	t.Helper()
	if got := pool.Take(); got != want {
		t.Errorf("%s: the slot is of another connection than expected, or there is none (%v)", why, got)
	}
}

// roundTripTaken begins a unary call that has its slot.
func roundTripTaken(ctx context.Context, ct ClientTransport, msg string) *asyncCall {
	c := &asyncCall{done: make(chan struct{})}
	go func() {
		defer close(c.done)
		c.err = ct.RoundTrip(ctx, &Call{Method: "/u/Echo", Authority: "sim", Slot: true}, text(msg), &c.reply)
		c.data = append([]byte(nil), c.reply.Message.Data...)
		c.reply.Free()
	}()
	return c
}

// waitFor waits in line, beside.
func waitFor(ctx context.Context, t *testing.T, pool *SlotPool) chan ClientTransport {
	return async(func() ClientTransport {
		ct, err := pool.Wait(ctx)
		if err != nil {
			t.Error(err)
		}
		return ct
	})
}

// The oldest connection is filled first. A slot that a call has is its own, and
// comes back with its end.
func TestSlotPool_OldestFirst(t *testing.T) {
	inPool(t, []uint32{2, 1}, func(t *testing.T, pool *SlotPool, all []member) {
		a, b := all[0], all[1]
		wantTaken(t, "the first", pool, a.ct)
		wantTaken(t, "the second", pool, a.ct)
		wantTaken(t, "the third", pool, b.ct)
		wantTaken(t, "the fourth", pool, nil)
		ReturnSlot(b.ct)
		wantTaken(t, "the slot that was given back", pool, b.ct)
		call := roundTripTaken(t.Context(), a.ct, "x")
		take(a.p, 1)
		wantTaken(t, "while the call runs", pool, nil)
		answer(a.p, 1, "y")
		call.want(t, "y")
		wantTaken(t, "after the call", pool, a.ct)
	})
}

// Who finds no slot waits in one line for all connections, those that join later
// too, first come, first served; nobody overtakes.
func TestSlotPool_OneLine(t *testing.T) {
	inPool(t, []uint32{1, 1}, func(t *testing.T, pool *SlotPool, all []member) {
		var crowded int
		pool.Crowded = func() { crowded++ }
		pool.Take()
		pool.Take()
		var line []chan ClientTransport
		for range 4 {
			line = append(line, waitFor(t.Context(), t, pool))
			synctest.Wait()
		}
		if crowded != 4 || pool.Waiting() != 4 {
			t.Errorf("%d wait, and Crowded was called %d times, want 4", pool.Waiting(), crowded)
		}
		ReturnSlot(all[1].ct)
		if got := <-line[0]; got != all[1].ct {
			t.Error("the first in line got another slot than the one that was free")
		}
		simnet.Advance(time.Second)
		if l := pool.Load(); l.Waiting != 3 || l.Longest != time.Second || l.Connections != 2 || l.Streams != 2 || l.Busy {
			t.Errorf("the load is %+v", l)
		}
		third := newMember(t, 2)
		defer third.ct.Close("the test is over")
		pool.Add(third.ct)
		for i := 1; i <= 2; i++ {
			if got := <-line[i]; got != third.ct {
				t.Error("who waits got no slot of a connection that joined")
			}
		}
		wantPending(t, "the fourth in line", line[3])
		wantTaken(t, "one that comes", pool, nil)
		all[0].p.WriteSettings(maxStreams(2))
		all[0].p.WantSettingsAck("the limit is raised")
		if got := <-line[3]; got != all[0].ct {
			t.Error("the last in line got no slot of a connection whose server allows more")
		}
	})
}

// A slot that comes back before somebody waits is not overlooked.
func TestSlotPool_SlotCameBackBefore(t *testing.T) {
	inPool(t, []uint32{1, 1}, func(t *testing.T, pool *SlotPool, all []member) {
		pool.Take()
		pool.Take()
		ReturnSlot(all[1].ct)
		if got := <-waitFor(t.Context(), t, pool); got != all[1].ct {
			t.Error("the slot that was free went to nobody")
		}
	})
}

// A connection that is about to go gives slots only if no other has one.
func TestSlotPool_AboutToGo(t *testing.T) {
	inPool(t, []uint32{5, 1}, func(t *testing.T, pool *SlotPool, all []member) {
		a, b := all[0], all[1]
		replaced := make(chan bool)
		a.ct.(Replaceable).BeforeDraining(func(string) bool { return <-replaced })
		wantTaken(t, "at first", pool, a.ct)
		call := roundTripTaken(t.Context(), a.ct, "x")
		take(a.p, 1)
		a.p.WriteGoAway(1<<31-1, http2.ErrCodeNo, "")
		synctest.Wait()
		wantTaken(t, "the oldest is about to go", pool, b.ct)
		wantTaken(t, "the other is full", pool, a.ct)
		ReturnSlot(a.ct)
		replaced <- true
		synctest.Wait()
		wantTaken(t, "the oldest takes no more calls", pool, nil)
		answer(a.p, 1, "y")
		call.want(t, "y")
	})
}

// A wait ends with its context, which says why, or with the pool. A slot that came
// too late goes to the next.
func TestSlotPool_WaitEnds(t *testing.T) {
	inPool(t, []uint32{1}, func(t *testing.T, pool *SlotPool, all []member) {
		pool.Take()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := pool.Wait(ctx)
		se := wantStreamError(t, err, CodeCancel, ByLocal)
		if !se.Unsent || se.Status.Code() != codes.DeadlineExceeded || !strings.Contains(err.Error(), "1 streams at a time on the 1 connections") {
			t.Errorf("a call that waited ended with %v", err)
		}
		ended, stop := context.WithCancel(t.Context())
		late := async(func() error { _, err := pool.Wait(ended); return err })
		next := waitFor(t.Context(), t, pool)
		synctest.Wait()
		stop()
		ReturnSlot(all[0].ct)
		// Either may have been first, and the slot is lost in neither case.
		if err := <-late; err == nil {
			ReturnSlot(all[0].ct)
		}
		if got := <-next; got != all[0].ct {
			t.Error("the slot is lost")
		}
		last := waitFor(t.Context(), t, pool)
		wantPending(t, "the last", last)
		pool.End()
		if got := <-last; got != nil {
			t.Error("a pool that has ended gave a slot")
		}
		if ct, err := pool.Wait(t.Context()); ct != nil || err != nil {
			t.Errorf("Wait of a pool that has ended: %v, %v", ct, err)
		}
	})
}

// A call whose slot the server has taken away meanwhile, or whose connection, is
// marked as one that was not sent, and leaves no slot behind.
//
// "Endpoints MUST NOT exceed the limit set by their peer."
// https://www.rfc-editor.org/rfc/rfc9113#section-5.1.2
func TestSlotPool_SlotIsGone(t *testing.T) {
	for name, spoil := range map[string]func(m member){
		"lower limit": func(m member) {
			m.p.WriteSettings(maxStreams(0))
			m.p.WantSettingsAck("no stream is allowed")
		},
		"GOAWAY":        func(m member) { m.p.WriteGoAway(0, http2.ErrCodeNo, ""); synctest.Wait() },
		"GracefulClose": func(m member) { m.ct.GracefulClose() },
		"Close":         func(m member) { m.ct.Close("over") },
	} {
		t.Run(name, func(t *testing.T) {
			inPool(t, []uint32{1}, func(t *testing.T, pool *SlotPool, all []member) {
				wantTaken(t, "at first", pool, all[0].ct)
				spoil(all[0])
				err := roundTripTaken(t.Context(), all[0].ct, "x").wantError(t, codes.Unavailable)
				var se *StreamError
				if !errors.As(err, &se) || !se.Unprocessed || !se.Unsent {
					t.Errorf("the call ended with %v", err)
				}
				wantTaken(t, "then", pool, nil)
				if n := taken(all[0].ct); n != 0 {
					t.Errorf("%d slots are taken", n)
				}
			})
		})
	}
}

// A call that fails before it is sent gives its slot back.
func TestSlotPool_CallFails(t *testing.T) {
	inPool(t, []uint32{1}, func(t *testing.T, pool *SlotPool, all []member) {
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		for name, c := range map[string]struct {
			ctx  context.Context
			call Call
		}{
			"its context has ended": {ended, Call{Method: "/s/Stream", Slot: true}},
			"bad metadata":          {t.Context(), Call{Method: "/s/Stream", Slot: true, Metadata: map[string][]string{"k": {"\n"}}}},
		} {
			pool.Take()
			if _, err := all[0].ct.NewStream(c.ctx, &c.call); err == nil {
				t.Errorf("%s: no error", name)
			}
			if n := taken(all[0].ct); n != 0 {
				t.Errorf("%s: %d slots are taken", name, n)
			}
		}
	})
}

// A connection that is behind with its sending gets a call only if all are.
func TestSlotPool_Busy(t *testing.T) {
	inPool(t, []uint32{10, 10}, func(t *testing.T, pool *SlotPool, all []member) {
		var crowded int
		pool.Crowded = func() { crowded++ }
		fill := func(m member, id uint32) {
			m.end.stop()
			cs, err := m.ct.NewStream(t.Context(), &Call{Method: "/s/Stream", Authority: "sim"})
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				for range 40 {
					if cs.Send(octets(60000)) != nil {
						return
					}
				}
			}()
			synctest.Wait()
		}
		m := all[0]
		for _, m := range all {
			m.p.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
			m.p.WantSettingsAck("a window for the stream")
		}
		m.p.WriteWindowUpdate(0, 1<<30)
		fill(m, 1)
		wantTaken(t, "the socket of the oldest is full", pool, all[1].ct)
		if crowded != 0 || pool.Load().Busy {
			t.Error("one is busy, and the pool says all are")
		}
		fill(all[1], 1) // its window is used up
		if got := pool.Take(); got == nil || crowded != 1 || !pool.Load().Busy {
			t.Errorf("all are busy: took %v, Crowded %d times", got, crowded)
		}
		m.end.resume()
		m.p.Ignore(http2.FrameHeaders, http2.FrameData, http2.FrameRSTStream)
		synctest.Wait()
		wantTaken(t, "the oldest is not behind any more", pool, all[0].ct)
		all[1].end.resume()
		all[1].p.Ignore(http2.FrameHeaders, http2.FrameData, http2.FrameRSTStream)
	})
}

// Connections of other packages have no slots to give.
func TestSlotPool_Foreign(t *testing.T) {
	pool := new(SlotPool)
	foreign := struct{ ClientTransport }{}
	if pool.Add(foreign) {
		t.Error("a connection without slots joins")
	}
	pool.Remove(foreign)
	ReturnSlot(foreign)
	wantTaken(t, "without connections", pool, nil)
}

package transport

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/internal/h2peer"
	"github.com/weir-rpc/weir/internal/simnet"
	"golang.org/x/net/http2"
)

// part is the size of the messages in these tests, with their prefixes: four
// are a quarter of the connection's first window.
const part = 16 << 10

// drops is a scripted peer of which a server gets messages on stream 1, which
// its handler takes at once.
func (ts *testServer) drops(n int) {
	for range n {
		ts.peer.WriteMessage(1, false, make([]byte, part-5))
		synctest.Wait()
	}
}

// takeAll makes the next handler take all messages.
func takeAll(st ServerStream) {
	for {
		m, err := st.Recv()
		if err != nil {
			break
		}
		m.Free()
	}
	st.WriteStatus(nil)
}

// grown makes a server whose windows for streams have grown to what octets say:
// a power of two. It gives the time that passed.
func grown(t *testing.T, ts *testServer, octets uint32) {
	t.Helper()
	ts.peer.Ignore(http2.FrameWindowUpdate)
	ts.handle(takeAll)
	ts.peer.WriteRequest(1, "/s/Stream", nil, false)
	<-ts.streams
	ts.drops(4)
	conn := DefaultConnWindow
	var last [8]byte
	for w := uint32(DefaultStreamWindow); w < octets; {
		simnet.Advance(10 * time.Millisecond)
		ts.drops(conn / part / 4)
		ping := ts.peer.WantPing("a quarter of the window begins a sample")
		if ping == last {
			t.Fatalf("two samples have the same PING, %x", ping)
		}
		last = ping
		simnet.Advance(10 * time.Millisecond)
		ts.drops(int(w / part))
		ts.peer.WritePingAck(ping)
		got := ts.peer.WantSettings("a full window grows")
		if w *= 2; len(got) != 1 || got[0] != window(w) {
			t.Fatalf("SETTINGS are %v, want a window of %d", got, w)
		}
		ts.peer.WriteSettingsAck()
		synctest.Wait()
		conn = int(max(w, DefaultConnWindow))
	}
}

// Rows A74, A76, A89: a sample begins when a quarter of the window has come
// soon after the one before; its PING follows the credit, has octets of its
// own, and there is one at a time. If what came until its acknowledgement fills
// the window, that doubles.
func TestSample_FullWindow_GrowsTheWindows(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		st, _ := ts.open(1, "/s/Stream")
		ts.drops(4)
		ts.peer.WantWindowUpdate("a quarter of the window, but who knows since when", 0)
		ts.peer.WantIdle("no sample yet")
		simnet.Advance(time.Millisecond)
		ts.drops(3)
		ts.peer.WantIdle("not much has come")
		ts.drops(1)
		ts.peer.WantWindowUpdate("the next quarter", 0)
		ping := ts.peer.WantPing("and behind it a PING")
		if ping == drainPing || ping[0] == pingMark {
			t.Errorf("the PING has the octets of another kind: %q", ping)
		}
		simnet.Advance(40 * time.Millisecond)
		go takeAll(st)
		synctest.Wait()
		for range 6 {
			ts.drops(1)
		}
		ts.peer.AnyOrder()
		for got := uint32(0); got < 14*part; {
			got += ts.peer.WantWindowUpdate("what was taken", 1)
		}
		ts.peer.WantWindowUpdate("what came", 0)
		ts.peer.WritePingAck(ping)
		if got := ts.peer.WantSettings("the window was full"); len(got) != 1 || got[0] != window(2*DefaultStreamWindow) {
			t.Errorf("SETTINGS are %v, the sample was of %d octets", got, 6*part)
		}
		ts.peer.WantIdle("that is no reason to change the connection's 256 KiB")
		ts.drops(8)
		for range 2 {
			ts.peer.WantWindowUpdate("more", 0)
		}
		ts.peer.WritePingAck(ping)
		for got := uint32(0); got < 6*part; {
			got += ts.peer.WantWindowUpdate("more", 1)
		}
		ts.peer.WantIdle("no sample while SETTINGS are not acknowledged")
	})
}

// Row A44: the connection's credit grows with the windows of streams.
func TestSample_ConnWindow_Grows(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		grown(t, ts, 1<<20)
		ts.peer.Ignore(http2.FramePing)
		ts.open(3, "/s/Stream")
		for range 1 << 20 / part {
			ts.peer.WriteMessage(3, false, make([]byte, part-5)) // nobody takes it
		}
		ts.peer.WantIdle("a new stream has the new window")
		ts.peer.WriteData(3, false, []byte{0})
		ts.peer.WantReset("and not more", 3, http2.ErrCodeFlowControl)
	})
}

// https://www.rfc-editor.org/rfc/rfc9113#section-6.9.3
// Row A108: windows shrink when little comes. Until the peer acknowledges that,
// it may use what it had, on streams that it opens meanwhile too; afterwards
// not. Credit of the connection is not renewed until it is below the new limit.
func TestWindows_LittleComes_Shrink(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		const large = 1 << 20
		grown(t, ts, large)
		for range 3 {
			simnet.Advance(2 * time.Second)
			ts.drops(large / part / 4)
			ts.peer.WantIdle("not yet, and no PING either")
		}
		simnet.Advance(2 * time.Second)
		ts.drops(large / part / 4)
		if got := ts.peer.WantSettings("long enough"); len(got) != 1 || got[0] != window(large/2) {
			t.Fatalf("SETTINGS are %v, want half", got)
		}
		fill := func(id uint32, octets int) {
			for range octets / part {
				ts.peer.WriteMessage(id, false, make([]byte, part-5)) // nobody takes it
			}
		}
		ts.open(3, "/s/Stream")
		fill(3, large)
		ts.peer.WantIdle("the peer did not know")
		ts.peer.WriteSettingsAck()
		ts.open(5, "/s/Stream")
		fill(5, large/2)
		ts.peer.WantIdle("now it keeps to it")
		ts.peer.WriteData(5, false, []byte{0})
		ts.peer.WantReset("or not", 5, http2.ErrCodeFlowControl)
	})
}

// A smaller window takes room from a message that is on its way, and which
// nobody can take before it is whole: it gets that back.
func TestWindows_Shrink_MessageUnderWayArrives(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		const large = 1 << 20
		grown(t, ts, large)
		st, _ := ts.open(3, "/s/Stream")
		whole := h2peer.Message(make([]byte, large-5))
		sent := 0
		send := func(n int) {
			for n > 0 {
				m := min(n, part)
				ts.peer.WriteData(3, false, whole[sent:sent+m])
				sent, n = sent+m, n-m
			}
			synctest.Wait()
		}
		for range 4 {
			simnet.Advance(2 * time.Second)
			send(large / 8)
			ts.drops(large / part / 8)
		}
		if got := ts.peer.WantSettings("little comes"); len(got) != 1 || got[0] != window(large/2) {
			t.Fatalf("SETTINGS are %v, want half", got)
		}
		ts.peer.WriteSettingsAck()
		synctest.Wait()
		st.(*http2ServerStream).in.Lock()
		lacks := st.(*http2ServerStream).in.flow.Raise(uint32(large - sent))
		st.(*http2ServerStream).in.Unlock(false)
		if lacks > 0 {
			t.Errorf("the message lacks %d octets", lacks)
		}
		send(large - sent)
		wantMessage(t, st, string(whole[5:]))
	})
}

// Rows A89, A94: a peer that acknowledges nothing keeps what it has, one that
// acknowledges what was not asked gets nothing.
func TestSample_AcksOutOfPlace_ChangeNothing(t *testing.T) {
	for name, silent := range map[string]bool{"none": true, "a flood": false} {
		t.Run(name, func(t *testing.T) {
			inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
				ts.peer.Ignore(http2.FrameWindowUpdate)
				ts.handle(takeAll)
				ts.peer.WriteRequest(1, "/s/Stream", nil, false)
				<-ts.streams
				ts.drops(8)
				ping := ts.peer.WantPing("a sample")
				for range 50 {
					simnet.Advance(10 * time.Millisecond)
					ts.drops(8)
					if !silent {
						ts.peer.Batch(func() {
							for i := range 255 {
								other := ping
								other[7] += byte(1 + i)
								ts.peer.WritePingAck(other)
							}
						})
					}
				}
				ts.peer.WantIdle("no other PING, no other window")
				ts.peer.WritePingAck(ping)
				if got := ts.peer.WantSettings("late, but true"); len(got) != 1 || got[0].Val > 4*DefaultStreamWindow {
					t.Errorf("SETTINGS are %v", got)
				}
				for range 1000 {
					ts.peer.WritePingAck(ping)
				}
				ts.peer.WantIdle("the same again is nothing new")
				ts.wantUnharmed(3)
			})
		})
	}
}

// A connection that carries little sends no PING, however long.
func TestSample_LittleTraffic_None(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		ts.peer.Ignore(http2.FrameWindowUpdate)
		ts.handle(takeAll)
		ts.peer.WriteRequest(1, "/s/Stream", nil, false)
		for range 1000 {
			simnet.Advance(300 * time.Millisecond)
			ts.drops(1)
		}
		ts.peer.WantIdle("no PING, no SETTINGS")
	})
}

// Rows A28, A45: a stream whose window is as large as HTTP/2 allows, for a
// message of 2 GiB, keeps the others' from growing: SETTINGS would lift it past
// 2^31-1, an error of the connection.
func TestWindows_StreamAtTheMaximum_DoNotGrow(t *testing.T) {
	inServer(t, ServerConfig{MaxRecvMessageSize: -1}, func(t *testing.T, ts *testServer) {
		ts.peer.Ignore(http2.FrameWindowUpdate)
		ts.handle(takeAll)
		ts.peer.WriteRequest(1, "/s/Stream", nil, false)
		<-ts.streams
		ts.open(3, "/s/Stream")
		ts.open(5, "/s/Stream")
		ts.peer.WriteData(5, false, []byte{0, 0x80, 0, 0, 0}) // room for the message is granted
		ts.drops(8)
		ping := ts.peer.WantPing("a sample")
		simnet.Advance(10 * time.Millisecond)
		ts.drops(8)
		ts.peer.WritePingAck(ping)
		ts.peer.WantIdle("the window stays")
		for range DefaultStreamWindow / part {
			ts.peer.WriteMessage(3, false, make([]byte, part-5)) // nobody takes it
		}
		ts.peer.WriteData(3, false, []byte{0})
		ts.peer.WantReset("that of the other streams too", 3, http2.ErrCodeFlowControl)
		ts.peer.WriteReset(5, http2.ErrCodeCancel)
		ts.drops(4)
		if got := ts.peer.WantSettings("it grows when that stream is gone"); len(got) != 1 || got[0] != window(2*DefaultStreamWindow) {
			t.Errorf("SETTINGS are %v", got)
		}
	})
}

// The windows of all open streams together stay below a bound: many streams
// get less, and those that come after the windows grew take them back.
// Row C4: the memory that windows promise is bounded, however many streams
// there are.
func TestWindows_ManyStreams_ShareTheBudget(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		c := &ts.sv.(*http2Server).conn
		for streams, want := range map[int]uint32{0: 16 << 20, 4: 16 << 20, 5: 8 << 20, 16: 4 << 20, 17: 2 << 20, 600: DefaultStreamWindow} {
			c.mu.Lock()
			were := c.streams
			c.streams = streamTable{}
			for n := range uint32(streams) {
				c.streams.add(&stream{id: 2*n + 1})
			}
			if got := c.allowWindowLocked(16 << 20); got != want {
				t.Errorf("%d streams get windows of %d, want %d", streams, got, want)
			}
			c.streams = were
			c.mu.Unlock()
		}
		grown(t, ts, 2<<20)
		for id := range uint32(64) {
			ts.open(2*id+3, "/s/Stream")
		}
		ts.drops(32)
		if got := ts.peer.WantSettings("65 streams of 2 MiB are too much"); len(got) != 1 || got[0] != window(512<<10) {
			t.Errorf("SETTINGS are %v", got)
		}
	})
}

// A peer that does not read, and acknowledges samples which it has not heard of,
// does not make the server hold more replies than others.
func TestSample_PeerDoesNotRead_RepliesStayBounded(t *testing.T) {
	inServer(t, ServerConfig{ConnConfig: ConnConfig{WriteTimeout: -1}}, func(t *testing.T, ts *testServer) {
		ts.handle(takeAll)
		ts.peer.WriteRequest(1, "/s/Stream", nil, false)
		<-ts.streams
		st, _ := ts.open(3, "/s/Stream")
		jam(t, ts, st)
		s := ts.sv.(*http2Server)
		ping := [8]byte{'w', 'e', 'i', 'r', 'b', 'd', 'p'}
		for n := 0; n < 500 && s.lastErr() == nil; n++ { // it may be found out
			simnet.Advance(400 * time.Millisecond)
			ts.drops(4)
			s.mu.Lock()
			begun := ping[7] != s.bdp.seq
			ping[7] = s.bdp.seq // a guess would do
			s.mu.Unlock()
			if begun {
				ts.peer.Batch(func() {
					ts.peer.WritePingAck(ping)
					for range 1500 {
						ts.peer.WriteSettings()
					}
				})
				synctest.Wait()
			}
		}
		if n := s.Inspect(false).Pending; n > 2*refusalLimit {
			t.Errorf("%d octets wait for a peer that does not read", n)
		}
	}, window(1<<20))
}

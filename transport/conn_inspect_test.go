package transport

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/inspect"
	"github.com/weir-rpc/weir/internal/h2peer"
	"github.com/weir-rpc/weir/internal/simnet"
	"golang.org/x/net/http2"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
)

func look(t *testing.T, tr any) inspect.Conn {
	t.Helper()
	c, ok := tr.(inspect.Connection)
	if !ok {
		t.Fatalf("%T does not tell of itself", tr)
	}
	return c.Inspect(true)
}

// sink takes all that comes, answers with as much, and ends as its first message
// says.
func sink(st ServerStream) {
	var end *status.Status
	for n := 0; ; n++ {
		m, err := st.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			return
		}
		if n == 0 && strings.HasPrefix(string(m.Data), "error") {
			end = deadlineStatus
		}
		size := len(m.Data)
		m.Free()
		if st.Send(octets(size)) != nil {
			return
		}
	}
	st.WriteStatus(end)
}

// Feature: socket and stream snapshots: octets, frames, messages, window updates, resets, pings
//
// What one side sends the other receives: every counter of the client is the
// server's of the other direction, whatever went on, and calls add up.
func TestInspect_BothSides_CountTheSame(t *testing.T) {
	handle := func(st ServerStream) {
		if strings.HasPrefix(st.Method(), "/u/") {
			mixed(st)
		} else {
			sink(st)
		}
	}
	cc := ClientConfig{Keepalive: keepalive.ClientParameters{Time: 30 * time.Second, PermitWithoutStream: true}}
	sc := ServerConfig{Unary: unaryMethods, KeepaliveEnforcement: keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}}
	pair(t, simnet.Link{RTT: 10 * time.Millisecond, Rate: simnet.Gbps}, cc, sc, handle, func(t *testing.T, ct ClientTransport, sv ServerTransport) {
		for _, msg := range []string{"one", "two", "error", "none", strings.Repeat("big", 1<<18)} {
			var reply Reply
			_ = ct.RoundTrip(t.Context(), &Call{Method: "/u/Echo"}, text(msg), &reply)
			reply.Free()
		}
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				cs, err := ct.NewStream(ctx, &Call{Method: "/s/Sink"})
				if err != nil {
					t.Error(err)
					return
				}
				if i == 3 {
					_ = cs.Send(text("error"))
				}
				for range 20 {
					_ = cs.Send(octets(100 << 10))
					m, err := cs.Recv()
					if err != nil {
						t.Error(err)
						return
					}
					m.Free()
				}
				if i == 2 {
					return // cancelled
				}
				cs.CloseSend()
				for err = nil; err == nil; {
					_, err = cs.Recv()
				}
			})
		}
		wg.Wait()
		if err := ct.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		simnet.Advance(2 * time.Minute)
		synctest.Wait()
		c, s := look(t, ct), look(t, sv)
		for _, x := range []struct {
			what      string
			out, in   uint64
			least     uint64
			out2, in2 uint64
			least2    uint64
		}{
			{"octets", c.OctetsOut, s.OctetsIn, 4 << 20, s.OctetsOut, c.OctetsIn, 4 << 20},
			{"frames", c.FramesOut, s.FramesIn, 400, s.FramesOut, c.FramesIn, 400},
			{"messages", c.MessagesOut, s.MessagesIn, 86, s.MessagesOut, c.MessagesIn, 84},
			{"window updates of the connection", c.WindowUpdatesOut.Connection, s.WindowUpdatesIn.Connection, 10, s.WindowUpdatesOut.Connection, c.WindowUpdatesIn.Connection, 10},
			{"window updates of streams", c.WindowUpdatesOut.Stream, s.WindowUpdatesIn.Stream, 10, s.WindowUpdatesOut.Stream, c.WindowUpdatesIn.Stream, 10},
			{"pings", c.PingsOut, s.PingsIn, 5, s.PingsOut, c.PingsIn, 1},
			{"resets", c.ResetsOut.Sum(), s.ResetsIn.Sum(), 1, s.ResetsOut.Sum(), c.ResetsIn.Sum(), 0},
			{"resets CANCEL", c.ResetsOut[CodeCancel], s.ResetsIn[CodeCancel], 1, 0, 0, 0},
		} {
			if x.out != x.in || x.out < x.least {
				t.Errorf("%s: the client sent %d and the server received %d, want as much, and %d at least", x.what, x.out, x.in, x.least)
			}
			if x.out2 != x.in2 || x.out2 < x.least2 {
				t.Errorf("%s: the server sent %d and the client received %d, want as much, and %d at least", x.what, x.out2, x.in2, x.least2)
			}
		}
		// Nine calls: one got an error, one none of its messages, one was cancelled,
		// one failed at its end, and the two messages of one are the client's fault.
		if want := (inspect.Calls{Started: 9, Succeeded: 6, Failed: 3}); c.Calls != want || s.Calls != want {
			t.Errorf("calls: client %+v, server %+v, want %+v", c.Calls, s.Calls, want)
		}
		if c.StreamsFinished != 8 || s.StreamsFinished != 8 {
			t.Errorf("streams finished: client %d, server %d, want 8: all but the cancelled one", c.StreamsFinished, s.StreamsFinished)
		}
		if c.Keepalives < 2 || c.PingsOut < c.Keepalives+1 {
			t.Errorf("%d keepalives of %d pings", c.Keepalives, c.PingsOut)
		}
		if c.Local != s.Remote || c.Remote != s.Local || !c.Client || s.Client || c.ID == s.ID || c.State != "open" {
			t.Errorf("client %+v, server %+v", c, s)
		}
		if s.RoundTrip < 10*time.Millisecond || s.RoundTrip > 30*time.Millisecond || s.BDP < 10_000 {
			t.Errorf("the server measured a round trip of %v and a product of %d", s.RoundTrip, s.BDP)
		}
		if c.LastStream.IsZero() || c.LastStream.After(time.Now()) || time.Since(c.LastStream) < 2*time.Minute || c.Heard.Before(c.LastStream) {
			t.Errorf("at %v the latest stream was opened at %v, and the server heard of at %v", time.Now(), c.LastStream, c.Heard)
		}
		ct.Close("done")
		<-sv.Done()
		c, s = look(t, ct), look(t, sv)
		if c.State != "closed" || s.State != "closed" || c.Err == "" || c.GoAwaysOut[CodeNoError] != 1 || s.GoAwaysIn[CodeNoError] != 1 {
			t.Errorf("after Close: client %q, %q, %v; server %q, %v", c.State, c.Err, c.GoAwaysOut, s.State, s.GoAwaysIn)
		}
	})
}

// Feature: flow-control windows of connections and streams, and what each stream waits for
//
// A stream says what it waits for, and the windows are what the peers granted.
func TestInspect_Streams_SayWhatTheyWaitFor(t *testing.T) {
	inServer(t, ServerConfig{ConnConfig: ConnConfig{InitialWindowSize: 1000}}, func(t *testing.T, ts *testServer) {
		held, endHeld := ts.open(1, "/s/StreamWindow")
		defer endHeld()
		sent := async(func() error { return held.Send(octets(5000)) })
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		_, endIdle := ts.open(3, "/s/Idle")
		defer endIdle()
		_, endUnread := ts.open(5, "/s/Unread")
		defer endUnread()
		ts.peer.WriteMessage(5, false, []byte("hello"))
		conn, endConn := ts.open(7, "/s/ConnWindow")
		defer endConn()
		ts.peer.WriteWindowUpdate(7, 1<<20)
		synctest.Wait()
		simnet.Advance(time.Second)
		// 65,535 octets of the connection, 800 of which are used up.
		for range 3 {
			if err := conn.Send(octets(60000)); err != nil {
				t.Fatal(err)
			}
		}
		blocked := async(func() error { return conn.Send(octets(10)) })
		synctest.Wait()
		s := look(t, ts.sv)
		if s.Window.Send != 0 || s.Window.Receive != DefaultConnWindow-10 || s.Window.ReceiveSize != DefaultConnWindow || s.Open.Streams != 4 {
			t.Errorf("the connection: %+v, %+v", s.Window, s.Open)
		}
		if want := (inspect.Waits{StreamWindow: 1, ConnWindow: 1, Peer: 1, Application: 1}); s.Open.Waits != want {
			t.Errorf("the streams wait for %+v, want %+v", s.Open.Waits, want)
		}
		for i, want := range []struct {
			id     uint32
			method string
			waits  string
			send   int64
			queued int64
			unread int64
			out    uint32
		}{
			{1, "/s/StreamWindow", inspect.WaitsStreamWindow, 0, 5005 - 800, 0, 1},
			{3, "/s/Idle", inspect.WaitsPeer, 800, 0, 0, 0},
			{5, "/s/Unread", inspect.WaitsApplication, 800, 0, 10, 0},
			{7, "/s/ConnWindow", inspect.WaitsConnWindow, math.MaxInt64, 180015 - (65535 - 800), 0, 3},
		} {
			st := s.Streams[i]
			if want.send == math.MaxInt64 {
				want.send = 1<<20 + 800 - (65535 - 800)
			}
			if st.ID != want.id || st.Method != want.method || st.Waits != want.waits || st.Window.Send != want.send ||
				st.Queued != want.queued || st.Unread != want.unread || st.MessagesOut != want.out || st.State != "open" {
				t.Errorf("stream %d: %+v, want %+v", want.id, st, want)
			}
			if age := time.Since(st.Since); age != time.Second {
				t.Errorf("stream %d is %v old", want.id, age)
			}
		}
		if st := s.Streams[2]; st.MessagesIn != 1 || st.Window.Receive != 990 || st.Window.ReceiveSize != 1000 {
			t.Errorf("a stream with a message that nobody has taken: %+v", st)
		}
		if !s.Streams[3].SendBlocked || s.Streams[0].SendBlocked {
			t.Errorf("sends that wait: %v, %v", s.Streams[3].SendBlocked, s.Streams[0].SendBlocked)
		}
		ts.peer.WriteReset(7, http2.ErrCodeCancel)
		if err := <-blocked; err == nil {
			t.Error("the reset left Send alone")
		}
	}, window(800))
}

// A client's streams, and calls that wait for a slot.
func TestInspect_Client_SlotsAndStreams(t *testing.T) {
	handle := func(st ServerStream) { <-st.Context().Done() }
	pair(t, simnet.Link{}, ClientConfig{Authority: "the.name"}, ServerConfig{MaxConcurrentStreams: 1}, handle, func(t *testing.T, ct ClientTransport, _ ServerTransport) {
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := ct.NewStream(ctx, &Call{Method: "/s/First"}); err != nil {
			t.Fatal(err)
		}
		second := async(func() error {
			_, err := ct.NewStream(ctx, &Call{Method: "/s/Second"})
			return err
		})
		synctest.Wait()
		c := look(t, ct)
		if c.SlotWaiters != 1 || c.MaxStreams != 1 || c.Open.Streams != 1 || c.Streams[0].Method != "/s/First" || c.RemoteName != "the.name" {
			t.Errorf("one stream of one is open, and a call waits: %+v", c)
		}
		if plain := ct.(inspect.Connection).Inspect(false); plain.Streams != nil || plain.Open != c.Open {
			t.Errorf("without streams: %+v", plain)
		}
		cancel()
		<-second
	})
}

// The operating system's view is asked for where there is one.
func TestInspect_TCP_TellsOfTheSocket(t *testing.T) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted := async(func() net.Conn {
		nc, _ := lis.Accept()
		return nc
	})
	nc, err := net.Dial("tcp", lis.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	other := <-accepted
	defer other.Close()
	defer nc.Close()
	s := socketInfo(nc)
	if s == nil {
		t.Skip("only Linux tells")
	}
	if s.State != "ESTABLISHED" || !s.NoDelay || s.SegmentSize == 0 || s.CongestionWindow == 0 || s.SendBuffer == 0 || s.RecvBuffer == 0 || s.Linger >= 0 {
		t.Errorf("a TCP connection over loopback: %+v", s)
	}
	if err := nc.(*net.TCPConn).SetLinger(3); err != nil {
		t.Fatal(err)
	}
	if s := socketInfo(nc); s.Linger != 3*time.Second {
		t.Errorf("SO_LINGER is %v, want 3s", s.Linger)
	}
	a, b := net.Pipe()
	defer b.Close()
	defer a.Close()
	if s := socketInfo(a); s != nil {
		t.Errorf("a pipe in memory tells %+v", s)
	}
}

// A Send that has given up does not wait.
func TestInspect_WaitGivenUp_IsNotBlocked(t *testing.T) {
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		cs := openStream(t.Context(), t, ct, p, 1)
		if err := cs.Send(octets(writeQuota + 1000)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := cs.(SendWaiter).WaitSend(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("WaitSend gave %v", err)
		}
		if s := ct.(*http2Client).Inspect(true).Streams[0]; s.SendBlocked {
			t.Errorf("nobody waits to send: %+v", s)
		}
	}, window(100))
}

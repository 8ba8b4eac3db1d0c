package transport

import (
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/internal/buffer"
	"github.com/weir-rpc/weir/internal/h2peer"
	"github.com/weir-rpc/weir/internal/simnet"
	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
)

// The tests that docs/hot-path.md names and that have no better place.

// A small answer beside large ones waits behind what was written before it and
// not behind what waits to be written, however large the windows are.
func TestRound_SmallCallBesideBulk_IsNotHeldUp(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const rate, bulks = 1 << 20, 6
		a, b := simnet.Pipe(simnet.Link{Rate: rate, Buffer: 16 << 10})
		wide := ConnConfig{InitialWindowSize: 16 << 20}
		result := async(func() error {
			sv, err := NewServerTransport(b, ServerConfig{ConnConfig: wide, Unary: unaryMethods})
			if err != nil {
				return err
			}
			return sv.HandleStreams(t.Context(), func(st ServerStream) {
				if st.Method() == "/u/Echo" {
					echoUnary(st)
					return
				}
				for st.Send(octets(1<<20)) == nil {
				}
			})
		})
		ct, err := NewHTTP2Client(t.Context(), a, ClientConfig{ConnConfig: wide})
		if err != nil {
			t.Fatal(err)
		}
		var readers sync.WaitGroup
		for range bulks {
			cs, err := ct.NewStream(t.Context(), &Call{Method: "/s/Bulk"})
			if err != nil {
				t.Fatal(err)
			}
			cs.CloseSend()
			readers.Go(func() {
				for {
					m, err := cs.Recv()
					if err != nil {
						return
					}
					m.Free()
				}
			})
		}
		simnet.Advance(5 * time.Second)
		// A batch on its way, one behind it, what the link holds, and a little.
		most := time.Second * (3 * highWater) / rate
		for range 20 {
			start := time.Now()
			roundTrip(t.Context(), ct, "small").want(t, "small")
			if d := time.Since(start); d > most {
				t.Errorf("a small call took %v beside %d streams, want %v at most", d, bulks, most)
			}
		}
		ct.Close("the test is over")
		readers.Wait()
		<-result
	})
}

// wantNoBuffers waits until every buffer is back in its pool.
func wantNoBuffers(t *testing.T, when string) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); ; <-tick.C {
		held := buffer.Outstanding()
		if len(held) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s %d buffers are held, such as %v", when, len(held), held[0])
		}
	}
}

// Connections on which nothing happens hold no buffer, of either end and of
// whatever kind: after calls and streams, and on a system's socket while a call
// waits for its answer.
func TestBuffers_IdleConnection_HoldsNone(t *testing.T) {
	release := make(chan struct{})
	handle := func(st ServerStream) {
		if st.Method() == "/u/Wait" {
			<-release
		}
		echoUnary(st)
	}
	onSockets(t, handle, func(t *testing.T, ct ClientTransport, _ ServerTransport) {
		wantNoBuffers(t, "before the first call")
		for _, size := range []int{0, 100, 20_000, 1 << 20} {
			var reply Reply
			if err := ct.RoundTrip(t.Context(), &Call{Method: "/u/Echo"}, text(strings.Repeat("x", size)), &reply); err != nil {
				t.Error(err)
			}
			reply.Free()
			wantNoBuffers(t, "after a call")
		}
		cs, err := ct.NewStream(t.Context(), &Call{Method: "/s/Echo"})
		if err != nil {
			t.Fatal(err)
		}
		if err := cs.SendLast(text("x")); err != nil {
			t.Error(err)
		}
		if m, err := cs.Recv(); err != nil {
			t.Error(err)
		} else {
			m.Free()
		}
		_, _ = cs.Recv()
		wantNoBuffers(t, "after a stream")
		cs, err = ct.NewStream(t.Context(), &Call{Method: "/s/Echo"})
		if err != nil {
			t.Fatal(err)
		}
		wantNoBuffers(t, "while a stream is open")
		cs.Cancel(net.ErrClosed)
	})
	close(release)
}

// A buffer with octets in it is not given back: a frame that is cut anywhere,
// with a pause in which everybody sleeps, arrives whole.
func TestBuffers_FrameCutAnywhere_IsKept(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		ts.every = echoUnary
		id := uint32(1)
		for cut := 1; cut < 60; cut++ {
			block := ts.peer.Encode(":method", "POST", ":scheme", "http", ":path", "/u/Echo", ":authority", "h2peer",
				"content-type", "application/grpc", "te", "trailers", "x-long-name-of-a-field", strings.Repeat("~", cut))
			whole := append([]byte{0, 0, byte(len(block)), byte(http2.FrameHeaders), byte(http2.FlagHeadersEndHeaders), 0, 0, byte(id >> 8), byte(id)}, block...)
			msg := h2peer.Message([]byte("cut"))
			whole = append(append(whole, 0, 0, byte(len(msg)), byte(http2.FrameData), byte(http2.FlagDataEndStream), 0, 0, byte(id>>8), byte(id)), msg...)
			at := min(cut, len(whole)-1)
			ts.peer.WriteRaw(whole[:at])
			synctest.Wait()
			ts.peer.WriteRaw(whole[at:])
			ts.peer.WantHeaders("an answer", id)
			if got := string(ts.peer.WantMessage("to what was cut", id)); got != "cut" {
				t.Fatalf("cut at %d: %q", at, got)
			}
			ts.peer.WantTrailers("and OK", id, codes.OK)
			id += 2
		}
	})
}

// The end of a connection that comes together with octets is seen, though the
// poller tells of both at once and never again.
func TestSocket_EndComesWithOctets_IsSeen(t *testing.T) {
	for name, connect := range sockets {
		if name == "tls" {
			continue // it reads through crypto/tls
		}
		t.Run(name, func(t *testing.T) {
			near, far := connect(t)
			if _, err := far.Write([]byte{0, 0, 0, byte(http2.FrameSettings), 0, 0, 0, 0, 0}); err != nil {
				t.Fatal(err)
			}
			if err := far.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			ct, err := NewHTTP2Client(t.Context(), near, ClientConfig{})
			if err == nil { // else it was faster than we are
				deadline := time.NewTimer(10 * time.Second)
				defer deadline.Stop()
				select {
				case <-ct.Done():
				case <-deadline.C:
					t.Error("the client does not see the end")
					ct.Close("the test is over")
				}
				err = ct.Err()
			}
			wantConnError(t, err, CodeNoError, ByPeer)
			_ = far.Close()
		})
	}
}

// A call whose deadline passes in the queue, with its request complete, never
// runs. Here the queue waits for HandleStreams.
func TestChain_DeadlinePassesInTheQueue_NeverRuns(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, p := pipePeer(t)
		made := async(func() ServerTransport {
			sv, err := NewServerTransport(b, ServerConfig{Unary: unaryMethods})
			if err != nil {
				t.Error(err)
			}
			return sv
		})
		p.Batch(func() {
			p.WritePreface()
			p.WriteSettings(window(65535)) // more than a scratch takes: what follows is read with it
			p.WriteRequest(1, "/u/Echo", []byte("late"), true, "grpc-timeout", "1S")
			p.WriteRequest(3, "/u/Echo", []byte("in time"), true, "grpc-timeout", "1M")
		})
		sv := <-made
		if sv == nil {
			return
		}
		simnet.Advance(2 * time.Second)
		var mu sync.Mutex
		var ran []string
		result := async(func() error {
			return sv.HandleStreams(t.Context(), func(st ServerStream) {
				m, err := st.Recv()
				mu.Lock()
				defer mu.Unlock()
				if ran = append(ran, string(m.Data)); err != nil {
					t.Error(err)
				}
				m.Free()
				st.WriteStatus(nil)
			})
		})
		p.AnyOrder()
		p.Ignore(http2.FrameSettings, http2.FrameWindowUpdate)
		p.WantTrailers("its deadline has passed", 1, codes.DeadlineExceeded)
		p.WantTrailers("and its own has not", 3, codes.OK)
		synctest.Wait()
		mu.Lock()
		if len(ran) != 1 || ran[0] != "in time" {
			t.Errorf("the handlers of %q ran", ran)
		}
		mu.Unlock()
		p.Close()
		<-result
	})
}

// depth gives how many frames are on the stack of its caller.
func depth() int {
	var pcs [512]uintptr
	return runtime.Callers(2, pcs[:])
}

// deep calls itself n times, with some of the stack each time.
func deep(n int) byte {
	var room [1 << 10]byte
	if n > 0 {
		room[n%len(room)] = deep(n - 1)
	}
	return room[n%len(room)]
}

// Handlers in a row do not stand on one another's stack, and what one of them
// has made of the stack's size is given back.
func TestChain_GrownStack_LeavesNothing(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		const calls = 100
		var mu sync.Mutex
		depths := map[int]int{}
		ts.every = func(st ServerStream) {
			mu.Lock()
			depths[depth()]++
			grow := st.(*http2ServerStream).id == 1
			mu.Unlock()
			if grow {
				deep(8 << 10) // 8 MiB at least
			}
			echoUnary(st)
		}
		collected := func() uint64 {
			for range 12 { // a stack is halved at each collection
				runtime.GC()
			}
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return m.StackInuse
		}
		before := collected()
		writeRequests(ts, 1, calls)
		wantAnswers(ts, 1, calls)
		mu.Lock()
		if len(depths) != 1 {
			t.Errorf("handlers begin at the depths %v", depths)
		}
		mu.Unlock()
		if after := collected(); after > before+1<<20 {
			t.Errorf("the stacks hold %d KiB, %d KiB before", after>>10, before>>10)
		}
	})
}

// The stream of a call that failed does not serve another: the reader may not
// be done with it, and would end that one.
func TestRoundTrip_Failed_StreamIsNotUsedAgain(t *testing.T) {
	large := []byte{0, 0, 0x40, 0, 1} // the prefix of 4 MiB and an octet
	for name, fail := range map[string]func(p *h2peer.Peer){
		"reset":              func(p *h2peer.Peer) { p.WriteReset(1, http2.ErrCodeInternal) },
		"too large":          func(p *h2peer.Peer) { p.WriteResponse(1, nil); p.WriteData(1, false, large) },
		"malformed headers":  func(p *h2peer.Peer) { p.WriteHeaders(1, false, ":status", "200", ":status", "200") },
		"malformed message":  func(p *h2peer.Peer) { p.WriteResponse(1, nil); p.WriteData(1, false, []byte{9, 0, 0, 0, 0}) },
		"malformed trailers": func(p *h2peer.Peer) { p.WriteResponse(1, []byte("x")); p.WriteHeaders(1, true, ":status", "200") },
		"no trailers":        func(p *h2peer.Peer) { p.WriteResponse(1, nil); p.WriteData(1, true, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
				call := roundTrip(t.Context(), ct, "x")
				take(p, 1)
				fail(p)
				if <-call.done; call.err == nil {
					t.Fatal("the call succeeded")
				}
				if ct.(*http2Client).idle.Load() != nil {
					t.Error("its stream is to serve again")
				}
				p.Ignore(http2.FrameRSTStream)
			})
		})
	}
}

package transport

import (
	"bytes"
	"context"
	"runtime"
	"runtime/pprof"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/internal/simnet"
	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
)

// goid gives the number of the goroutine that calls it.
func goid() string {
	b := make([]byte, 64)
	return string(bytes.Fields(b[:runtime.Stack(b, false)])[1])
}

// writeRequests sends n unary requests in one piece.
func writeRequests(ts *testServer, first uint32, n int) {
	ts.peer.Batch(func() {
		for i := range n {
			ts.peer.WriteRequest(first+uint32(2*i), "/u/Echo", []byte(strconv.Itoa(i)), true)
		}
	})
}

// wantAnswers wants the echo of what writeRequests sent.
func wantAnswers(ts *testServer, first uint32, n int) {
	ts.t.Helper()
	ts.peer.AnyOrder()
	for i := range n {
		id := first + uint32(2*i)
		ts.peer.WantHeaders("an answer", id)
		if got := string(ts.peer.WantMessage("to the request", id)); got != strconv.Itoa(i) {
			ts.t.Fatalf("stream %d got %q, want %d", id, got, i)
		}
		ts.peer.WantTrailers("and OK", id, codes.OK)
	}
}

// Row A73: handlers do not run on the reader; those that are quick run in a
// row, on few goroutines. On one processor, for on others that are idle the
// stand-by finds something to do; and tried a few times, for the garbage
// collector interrupts handlers too.
func TestChain_QuickHandlers_RunInARow(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		var mu sync.Mutex
		on := map[string]int{}
		ts.every = func(st ServerStream) {
			mu.Lock()
			on[goid()]++
			mu.Unlock()
			echoUnary(st)
		}
		const calls = 200
		fewest := calls
		for try := range uint32(5) {
			first := 2*calls*try + 1
			writeRequests(ts, first, calls)
			wantAnswers(ts, first, calls)
			mu.Lock()
			fewest = min(fewest, len(on))
			clear(on)
			mu.Unlock()
			if fewest <= calls/4 {
				return
			}
		}
		t.Errorf("%d quick handlers ran on %d goroutines", calls, fewest)
	})
}

// Rows A73, A101: a handler that blocks delays nobody: not the requests behind
// it, nor the answers before it, be it the first, the last or another.
// Row A5: no handler runs on the reader.
func TestChain_BlockedHandler_DelaysNobody(t *testing.T) {
	for _, which := range []int32{1, 5, 0} {
		t.Run(strconv.Itoa(int(which)), func(t *testing.T) { blockedHandler(t, which) })
	}
}

// blockedHandler blocks the handlers of each ten whose number is which.
func blockedHandler(t *testing.T, which int32) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		release := make(chan struct{})
		var n atomic.Int32
		ts.every = func(st ServerStream) {
			if n.Add(1)%10 == which {
				<-release
			}
			echoUnary(st)
		}
		ts.peer.AnyOrder()
		writeRequests(ts, 1, 100)
		synctest.Wait()
		if got := n.Load(); got != 100 {
			t.Errorf("%d of 100 handlers have begun while 10 block", got)
		}
		s := ts.sv.(*http2Server)
		s.mu.Lock()
		open, pending := s.open, s.out.size
		s.mu.Unlock()
		if open != 10 || pending > 0 {
			t.Errorf("%d calls are open, 10 block; %d octets of answers are not flushed", open, pending)
		}
		close(release)
		wantAnswers(ts, 1, 100)
	})
}

// A handler that ends its goroutine ends its own call, with INTERNAL, and
// harms nobody; if it is alone too, somebody has to tell its client.
func TestChain_Goexit_EndsItsCallOnly(t *testing.T) {
	for _, tt := range []struct {
		path        string
		calls, exit int32
	}{
		{"/u/Echo", 10, 3}, {"/u/Echo", 10, 1}, {"/u/Echo", 1, 1}, {"/s/Stream", 10, 3}, {"/s/Stream", 1, 1},
	} {
		inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
			var n atomic.Int32
			ts.every = func(st ServerStream) {
				if n.Add(1) == tt.exit {
					runtime.Goexit()
				}
				echoUnary(st)
			}
			ts.peer.AnyOrder()
			last := uint32(2*tt.calls - 1)
			ts.peer.Batch(func() {
				for id := uint32(1); id <= last; id += 2 {
					ts.peer.WriteRequest(id, tt.path, []byte("x"), true)
				}
			})
			failed := 0
			for id := uint32(1); id <= last; id += 2 {
				h := ts.peer.WantHeaders("an answer", id)
				if h.Get("grpc-status") != "" {
					failed++
					if h.Get("grpc-status") != strconv.Itoa(int(codes.Internal)) {
						t.Errorf("the call ended with %v", h)
					}
					continue
				}
				ts.peer.WantMessage("a message", id)
				ts.peer.WantTrailers("and OK", id, codes.OK)
			}
			if failed != 1 {
				t.Errorf("%d calls failed, one handler ended its goroutine", failed)
			}
		})
	}
}

// What a handler does to its goroutine does not show in the next one: labels
// for the profiler, and a lock to the thread.
func TestChain_GoroutineState_DoesNotLeak(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		var leaked atomic.Int32
		var mu sync.Mutex
		locked := map[string]bool{}
		ts.every = func(st ServerStream) {
			mu.Lock()
			if locked[goid()] || labelled() {
				leaked.Add(1)
			}
			mu.Unlock()
			m, err := st.Recv()
			if err != nil {
				t.Error(err)
			}
			if i, _ := strconv.Atoi(string(m.Data)); i%4 == 1 {
				pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), pprof.Labels("whose", "mine")))
				mu.Lock()
				if !labelled() {
					t.Error("a label does not show")
				}
				mu.Unlock()
			} else if i%4 == 2 {
				mu.Lock()
				locked[goid()] = true
				mu.Unlock()
				runtime.LockOSThread()
			}
			m.Free()
			st.WriteStatus(nil)
		}
		writeRequests(ts, 1, suspectCalls)
		for i := range suspectCalls {
			ts.peer.AnyOrder()
			ts.peer.WantTrailers("an answer", uint32(2*i+1), codes.OK)
		}
		if n := leaked.Load(); n > 0 {
			t.Errorf("%d handlers ran with what another one left behind", n)
		}
	})
}

// A handler that runs on the goroutine of one that has set labels, right after
// it, has none. On one processor, so that there are such.
func TestChain_Labels_DoNotLeak(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		var mu sync.Mutex
		set := map[string]bool{} // by the handler before, on this goroutine
		followed, leaked := 0, 0
		ts.every = func(st ServerStream) {
			id := goid()
			mu.Lock()
			if set[id] {
				followed++
				if labelled() {
					leaked++
				}
			}
			set[id] = true
			mu.Unlock()
			pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), pprof.Labels("whose", "mine")))
			echoUnary(st)
		}
		for try := range uint32(20) {
			first := 40*try + 1
			writeRequests(ts, first, 20)
			wantAnswers(ts, first, 20)
			if followed > 0 {
				break
			}
		}
		if followed == 0 || leaked > 0 {
			t.Errorf("%d handlers followed one that had set labels, %d of them had those", followed, leaked)
		}
	})
}

// labelled reports whether the goroutine that calls it has a profiler label.
// One goroutine at a time may call it.
func labelled() bool {
	var b bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&b, 1)
	for record := range bytes.SplitSeq(b.Bytes(), []byte("\n\n")) {
		if bytes.Contains(record, []byte("transport.labelled")) {
			return bytes.Contains(record, []byte(`"whose":"mine"`))
		}
	}
	return false
}

// Streaming handlers have a goroutine each: they start with the headers, and
// one that blocks holds up nobody.
// Row A5: no handler of a stream runs on the reader.
func TestChain_StreamingHandlers_StayOutside(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		var mu sync.Mutex
		on := map[string]bool{}
		ts.every = func(st ServerStream) {
			mu.Lock()
			on[goid()] = true
			mu.Unlock()
			_, _ = st.Recv()
			st.WriteStatus(nil)
		}
		for id := uint32(1); id <= 39; id += 2 {
			ts.peer.WriteRequest(id, "/s/Stream", nil, false)
		}
		synctest.Wait()
		mu.Lock()
		if len(on) != 20 {
			t.Errorf("20 streaming handlers began on %d goroutines", len(on))
		}
		mu.Unlock()
		ts.peer.AnyOrder()
		for id := uint32(39); id <= 39; id -= 2 {
			ts.peer.WriteData(id, true, nil)
			ts.peer.WantTrailers("each ends when its client does", id, codes.OK)
		}
	})
}

// A call whose deadline passed before its request came, or whose client left in
// the read that brought it, never runs.
func TestChain_CallEndedInTheQueue_NeverRuns(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		var ran atomic.Int32
		ts.every = func(st ServerStream) { ran.Add(1); st.WriteStatus(nil) }
		ts.peer.Batch(func() {
			ts.peer.WriteRequest(1, "/u/Echo", nil, false, "grpc-timeout", "1S")
			ts.peer.WriteRequest(3, "/u/Echo", nil, false)
		})
		simnet.Advance(time.Second)
		ts.peer.AnyOrder()
		ts.peer.WantTrailers("its deadline passed before its request came", 1, codes.DeadlineExceeded)
		ts.peer.WantReset("the request is not wanted", 1, http2.ErrCodeNo)
		ts.peer.Batch(func() { // request and reset come in one read: the queue is never empty between them
			ts.peer.WriteData(3, true, []byte{0, 0, 0, 0, 0})
			ts.peer.WriteReset(3, http2.ErrCodeCancel)
		})
		ts.peer.WantIdle("nothing is answered")
		if n := ran.Load(); n != 0 {
			t.Errorf("%d handlers ran for calls that were over", n)
		}
		s := ts.sv.(*http2Server)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.open != 0 {
			t.Errorf("%d calls are open", s.open)
		}
	})
}

// Workers serve many connections and keep their goroutines, some; Close leaves
// none, and work that comes later runs all the same.
func TestWorkers_Close_LeavesNoGoroutine(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const most = 5
		workers := NewWorkers()
		workers.KeepIdle(most)
		release := make(chan struct{})
		serve := func(n int) {
			b, p := pipePeer(t)
			result := async(func() error {
				sv, err := NewServerTransport(b, ServerConfig{Workers: workers, Unary: func(string) bool { return true }})
				if err != nil {
					return err
				}
				return sv.HandleStreams(t.Context(), func(st ServerStream) { <-release; st.WriteStatus(nil) })
			})
			p.Handshake()
			p.AnyOrder()
			for i := range n {
				p.WriteRequest(uint32(2*i+1), "/u/Echo", []byte("x"), true)
			}
			synctest.Wait()
			if n > 1 {
				close(release)
			}
			for i := range n {
				p.WantTrailers("an answer", uint32(2*i+1), codes.OK)
			}
			p.Close()
			<-result
		}
		serve(10 * most)
		synctest.Wait()
		if n := goroutinesIn("(*Workers).loop("); n != most {
			t.Errorf("%d workers stay, want %d", n, most)
		}
		workers.Close()
		serve(1)
		synctest.Wait()
		if n := goroutinesIn("(*Workers).loop("); n > 0 {
			t.Errorf("%d goroutines are left", n)
		}
	})
}

// goroutinesIn counts the goroutines with a function on their stacks.
func goroutinesIn(function string) int {
	b := make([]byte, 1<<20)
	return bytes.Count(b[:runtime.Stack(b, true)], []byte("transport."+function))
}

// Handlers that keep the processor busy do not keep the answers before theirs.
func TestChain_BusyHandlers_DelayNoAnswer(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const calls = 8
	batch := func(sv ServerTransport) uint32 {
		s := sv.(*http2Server)
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.batch
	}
	busy := func(st ServerStream) {
		for begun := time.Now(); time.Since(begun) < 3*flushAfter; {
			continue
		}
		echoUnary(st)
	}
	onSockets(t, busy, func(t *testing.T, ct ClientTransport, sv ServerTransport) {
		if !sv.(*http2Server).sock.canTry() {
			return // a goroutine writes, and has no processor meanwhile
		}
		before := batch(sv)
		var wg sync.WaitGroup
		for range calls {
			wg.Go(func() {
				var reply Reply
				if err := ct.RoundTrip(t.Context(), &Call{Method: "/u/Echo"}, text("x"), &reply); err != nil {
					t.Error(err)
				}
				reply.Free()
			})
		}
		wg.Wait()
		if n := batch(sv) - before; n < calls-1 {
			t.Errorf("%d answers went in %d writes: each should have left before the next handler began", calls, n)
		}
	})
}

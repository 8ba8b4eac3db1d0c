package transport

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/weir-rpc/weir/internal/grpcwire"
	"github.com/weir-rpc/weir/internal/simnet"
	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
)

// Row A68: a timeout of 0 is a deadline that has passed: the answer is
// DEADLINE_EXCEEDED, and a unary handler does not run.
func TestDeadline_OfZero_HasPassed(t *testing.T) {
	for _, timeout := range []string{"0n", "0S", "1n"} {
		inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
			ts.peer.WriteRequest(1, "/u/Echo", nil, false, "grpc-timeout", timeout)
			simnet.Advance(time.Nanosecond)
			ts.peer.WantTrailers("the deadline has passed", 1, codes.DeadlineExceeded)
			ts.peer.WantReset("the request is not complete", 1, http2.ErrCodeNo)
			ts.peer.WriteMessage(1, true, []byte("late"))
			ts.peer.WantIdle("what comes late is ignored")
			if len(ts.streams) > 0 {
				t.Error("a handler ran")
			}
			ts.wantUnharmed(3)
		})
	}
}

// Row A68: one timer serves all deadlines of a connection, in whatever order
// they come and go.
func TestDeadlines_Many_PassInTheirOrder(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		ts.peer.AnyOrder()
		start := time.Now()
		timeouts := map[uint32]string{1: "5S", 3: "2S", 5: "9S", 7: "2S", 9: "3S"}
		streams := map[uint32]ServerStream{}
		for id := uint32(1); id <= 9; id += 2 {
			streams[id], _ = ts.open(id, "/s/Stream", "grpc-timeout", timeouts[id])
		}
		streams[9].WriteStatus(nil)
		ts.peer.WantTrailers("one ends before its deadline", 9, codes.OK)
		for _, want := range []struct {
			at  time.Duration
			ids []uint32
		}{{2 * time.Second, []uint32{3, 7}}, {5 * time.Second, []uint32{1}}, {9 * time.Second, []uint32{5}}} {
			simnet.Advance(want.at - time.Since(start))
			for _, id := range want.ids {
				ts.peer.WantTrailers("its deadline passes", id, codes.DeadlineExceeded)
				ts.peer.WantReset("its client has not ended it", id, http2.ErrCodeNo)
				if time.Since(start) != want.at {
					t.Errorf("stream %d ended after %v, want %v", id, time.Since(start), want.at)
				}
			}
		}
		ts.peer.WantReset("the first", 9, http2.ErrCodeNo)
		ts.peer.WantIdle("each ended once")
	})
}

// A deadline that passes while messages wait: the status follows what has left,
// unless that ends in the middle of a message.
func TestDeadline_MessagesWait_StatusOrReset(t *testing.T) {
	const whole = grpcwire.PrefixLen + 7
	for window, reset := range map[uint32]bool{0: false, 3: true, whole: false, whole + 1: true, 3 * whole: false, 4*whole + 6: true} {
		inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
			st, _ := ts.open(1, "/s/Stream", "grpc-timeout", "1S")
			for range 10 {
				if err := st.Send(text("a reply")); err != nil {
					t.Fatal(err)
				}
			}
			ts.peer.AnyOrder()
			ts.peer.WantHeaders("they come first", 1)
			for got := 0; got < int(window); {
				got += ts.peer.WantData("what the window allows", 1).Length
			}
			simnet.Advance(2 * time.Second)
			if reset {
				ts.peer.WantReset("the client has a part of a message", 1, http2.ErrCodeCancel)
			} else {
				ts.peer.WantTrailers("the client has whole messages", 1, codes.DeadlineExceeded)
				ts.peer.WantReset("its client has not ended it", 1, http2.ErrCodeNo)
			}
			ts.peer.WantIdle("nothing of the others")
		}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: window})
	}
}

// A deadline that passes with its connection gone, or that its connection
// outlives, does nothing.
func TestDeadline_AfterTheEnd_DoesNothing(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		st, _ := ts.open(1, "/s/Stream", "grpc-timeout", "1S")
		ts.sv.Close("before the deadline")
		<-st.Context().Done()
		simnet.Advance(2 * time.Second)
		if err := context.Cause(st.Context()); errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the context ended with %v", err)
		}
	})
}

// A handler that returns because its context has heard of the deadline does not
// succeed, whichever timer was first: what it has sent is not all.
func TestDeadline_HandlerHearsFirst_CallFails(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		st, _ := ts.open(1, "/s/Stream", "grpc-timeout", "1S")
		s := ts.sv.(*http2Server)
		s.mu.Lock()
		s.deadline.stop() // as if it were late
		s.mu.Unlock()
		<-st.Context().Done()
		st.WriteStatus(nil)
		ts.peer.WantTrailers("the deadline has passed", 1, codes.DeadlineExceeded)
	})
}

package transport

import (
	"context"
	"testing"
	"testing/synctest"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Abort ends a stream for its handler at once, and for the client behind what it
// was sent, which may have to wait for credit.
func TestAbort_EndsTheStream(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		st, end := ts.open(1, "/s/Stream")
		defer end()
		wrong := status.New(codes.DataLoss, "it makes no sense")
		for range 2 { // beyond the window, and then beyond the quota
			if err := st.Send(NewBuffer(70_000)); err != nil {
				t.Fatal(err)
			}
		}
		send := async(func() error { return st.Send(NewBuffer(1)) })
		recv := async(func() error { _, err := st.Recv(); return err })
		wantPending(t, "Send", send)
		wantPending(t, "Recv", recv)
		if !st.(Aborter).Abort(wrong) {
			t.Error("Abort was not the end of the stream")
		}
		for name, c := range map[string]chan error{"Send": send, "Recv": recv} {
			if err := <-c; status.Code(err) != codes.DataLoss {
				t.Errorf("%s gave %v, want the status", name, err)
			}
		}
		<-st.Context().Done()
		if cause := context.Cause(st.Context()); status.Code(cause) != codes.DataLoss || st.Context().Err() != context.Canceled {
			t.Errorf("the context ended with %v, cause %v", st.Context().Err(), cause)
		}
		if st.(Aborter).Abort(status.New(codes.Aborted, "again")) {
			t.Error("Abort ended it twice")
		}
		st.WriteStatus(nil)
		ts.peer.WantHeaders("the answer begins", 1)
		ts.peer.AutoGrant()
		ts.peer.WriteWindowUpdate(0, 1<<20)
		ts.peer.WriteWindowUpdate(1, 1<<20)
		for range 2 {
			if m := ts.peer.WantMessage("what was sent before goes first", 1); len(m) != 70_000 {
				t.Errorf("a message of %d octets came, want 70000", len(m))
			}
		}
		ts.peer.WantTrailers("the status is that of Abort", 1, codes.DataLoss)
		ts.peer.WantReset("the client need not go on", 1, http2.ErrCodeNo)
		end()
		ts.wantUnharmed(3)
	})
}

// A stream that has ended is not aborted, whoever has ended it.
func TestAbort_AfterTheEnd_IsNothing(t *testing.T) {
	for name, over := range map[string]func(ts *testServer, st ServerStream){
		"by its status":  func(_ *testServer, st ServerStream) { st.WriteStatus(nil) },
		"by its client":  func(ts *testServer, _ ServerStream) { ts.peer.WriteReset(1, http2.ErrCodeCancel) },
		"with the reply": func(_ *testServer, st ServerStream) { st.Reply(text("x")) },
	} {
		t.Run(name, func(t *testing.T) {
			inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
				ts.peer.AnyOrder()
				st, end := ts.open(1, "/s/Stream")
				over(ts, st)
				synctest.Wait()
				if st.(Aborter).Abort(status.New(codes.Aborted, "late")) {
					t.Error("Abort was the end of a stream that had ended")
				}
				end()
				ts.wantUnharmed(3)
			})
		})
	}
}

// A unary call that is aborted has that status, whatever its handler replies.
func TestAbort_Unary(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		ts.handle(func(st ServerStream) {
			if _, err := st.Request(); err != nil {
				t.Error(err)
			}
			if !st.(Aborter).Abort(status.New(codes.Aborted, "no")) {
				t.Error("Abort was not the end of the stream")
			}
			st.Reply(text("yes"))
		})
		ts.peer.WriteRequest(1, "/u/Echo", []byte("x"), true)
		<-ts.streams
		ts.peer.WantTrailers("the status is that of Abort", 1, codes.Aborted)
		ts.wantUnharmed(3)
	})
}

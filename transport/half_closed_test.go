package transport

import (
	"testing"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
)

// https://www.rfc-editor.org/rfc/rfc9113#section-5.1
// Rows A38, A48: a client that has sent all it has to say may still give credit
// and send PRIORITY, and gets its answer as the credit allows. h2spec
// generic/2/2, generic/2/3 and http2/6.9.1/1.
func TestHalfClosed_CreditAndPriority_AreAccepted(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		ts.handle(echoUnary)
		ts.peer.WriteRequest(1, "/u/Echo", []byte("12345"), true)
		ts.peer.WantHeaders("headers need no credit", 1)
		if d := ts.peer.WantData("the window has room for one octet", 1); d.Length != 1 || d.EndStream {
			t.Fatalf("%d octets in a window of 1", d.Length)
		}
		ts.peer.WantIdle("it is full")
		ts.peer.WritePriority(1, http2.PriorityParam{StreamDep: 3, Weight: 255})
		ts.peer.WantIdle("PRIORITY gives no credit")
		ts.peer.WriteWindowUpdate(1, 3)
		if d := ts.peer.WantData("credit for three", 1); d.Length != 3 {
			t.Fatalf("%d octets for 3", d.Length)
		}
		ts.peer.WriteWindowUpdate(1, 100)
		if d := ts.peer.WantData("credit for the rest", 1); d.Length != 6 {
			t.Fatalf("%d octets, the rest are 6", d.Length)
		}
		ts.peer.WantTrailers("the end", 1, codes.OK)
		<-ts.streams
		ts.peer.WritePriority(1, http2.PriorityParam{StreamDep: 3})
		ts.peer.WriteWindowUpdate(1, 1)
		ts.peer.WriteReset(1, http2.ErrCodeCancel)
		ts.peer.WantIdle("nor do they harm a stream that has ended")
		ts.peer.WriteSettings(window(65535))
		ts.peer.WantSettingsAck("a larger window")
		ts.wantUnharmed(5)
	}, window(1))
}

package transport

import (
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
)

// Row A111: frames of all kinds that come in one read are handled at once and in
// their order, the last ones too; none waits for a timer or for more of its kind,
// and the credit of all DATA among them leaves as one WINDOW_UPDATE.
func TestRead_ManyFrames_AreHandledInOrderAtOnce(t *testing.T) {
	const window, frames, size = 65_536, 24, 2500 // each seventh frame would be worth a WINDOW_UPDATE
	inServer(t, ServerConfig{ConnConfig: ConnConfig{InitialWindowSize: window, InitialConnWindowSize: window, Tuning: &ConnTuning{ReadBufferSize: 64 << 10}}}, func(t *testing.T, ts *testServer) {
		st, end := ts.open(1, "/s/Unread")
		began := time.Now()
		release := make(chan struct{})
		answer := sync.OnceFunc(func() { close(release) })
		defer answer()
		ts.handle(func(st ServerStream) {
			<-release
			echoUnary(st)
		})
		lastPing := []byte{0, 0, 8, 6, 0, 0, 0, 0, 0, 'l', 'a', 's', 't', 'p', 'i', 'n', 'g'}
		ts.peer.Batch(func() {
			ts.peer.WritePing([8]byte{1})
			ts.peer.WriteRequest(3, "/u/Echo", []byte("first"), true)
			for range frames {
				ts.peer.WriteMessage(1, false, make([]byte, size-5))
			}
			ts.peer.WritePing([8]byte{2})
			ts.peer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 70_000})
			ts.peer.WritePing([8]byte{3})
			ts.peer.WriteRaw(lastPing[:7])
		})
		if n := ts.peer.WantWindowUpdate("of all DATA, once", 0); n <= 3*window/4 || n > frames*size+10 {
			t.Errorf("%d octets are given back: three times what is worth a WINDOW_UPDATE came", n)
		}
		ts.peer.WantPingAck("the first", [8]byte{1})
		ts.peer.WantPingAck("the second", [8]byte{2})
		ts.peer.WantSettingsAck("what came third")
		ts.peer.WantPingAck("the last that is whole", [8]byte{3})
		answer()
		ts.peer.WantHeaders("the call is answered", 3)
		if got := string(ts.peer.WantMessage("with its message", 3)); got != "first" {
			t.Errorf("the answer is %q", got)
		}
		ts.peer.WantTrailers("and its status", 3, codes.OK)
		ts.peer.WantIdle("a frame is cut in the middle")
		ts.peer.WriteRaw(lastPing[7:])
		ts.peer.WantPingAck("it is whole now", [8]byte([]byte("lastping")))
		if d := time.Since(began); d != 0 {
			t.Errorf("it took %v", d)
		}
		for range frames {
			wantMessage(t, st, strings.Repeat("\x00", size-5))
		}
		end()
	})
}

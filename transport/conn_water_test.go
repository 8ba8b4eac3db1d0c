package transport

import (
	"strings"
	"testing"
	"time"
)

// waterMark gives the mark that is in force.
func waterMark(c *conn) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waterLocked()
}

// wantMark repeats what moves the mark until it is there: a busy machine may take
// a socket for a slow one for a while.
func wantMark(t *testing.T, c *conn, want int, what string, again func()) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); waterMark(c) != want; {
		if time.Now().After(deadline) {
			t.Fatalf("the mark is %d octets %s, want %d", waterMark(c), what, want)
		}
		again()
	}
}

// Large messages alone raise the mark of a socket, and the first small one lowers
// it. A connection that is no plain socket cannot tell how quick it is.
func TestWater_LargeMessagesAlone_RaiseIt(t *testing.T) {
	onSockets(t, echoUnary, func(t *testing.T, ct ClientTransport, sv ServerTransport) {
		client, server := &ct.(*http2Client).conn, &sv.(*http2Server).conn
		echo := func(size int) func() {
			return func() {
				t.Helper()
				call := &Call{Method: "/u/Echo", MaxRecvMessageSize: -1}
				var reply Reply
				if err := ct.RoundTrip(t.Context(), call, text(strings.Repeat("x", size)), &reply); err != nil {
					t.Fatal(err)
				}
				reply.Free()
			}
		}
		large, small := echo(1<<20), echo(100)
		for _, c := range []*conn{client, server} {
			if !c.sock.canTry() {
				large()
				if got := waterMark(c); got != highWater {
					t.Errorf("the mark is %d octets of what is no socket, want %d", got, highWater)
				}
				continue
			}
			wantMark(t, c, bulkWater, "after large messages", large)
			wantMark(t, c, highWater, "after a small one", small)
		}
	})
}

// The mark is low as soon as a small message waits, and stays so when the socket
// made the others wait.
func TestWater_SmallMessageOrSlowSocket_LowerIt(t *testing.T) {
	c := new(conn)
	for i, tt := range []struct {
		batch pending
		quick bool
		want  int
	}{
		{pending{data: true}, true, bulkWater},
		{pending{data: true, small: true}, true, highWater},
		{pending{}, true, highWater}, // replies say nothing
		{pending{data: true}, true, bulkWater},
		{pending{}, false, bulkWater},
		{pending{data: true}, false, highWater},
		{pending{data: true}, true, bulkWater},
	} {
		if c.sentLocked(&tt.batch, tt.quick); c.waterLocked() != tt.want {
			t.Errorf("after batch %d the mark is %d octets, want %d", i, c.waterLocked(), tt.want)
		}
	}
	if c.out.small = true; c.waterLocked() != highWater {
		t.Errorf("the mark is %d octets though a small message waits", c.waterLocked())
	}
}

// A write that had to wait is quick if the wait was short, and the socket can tell.
func TestWater_SocketThatIsFull_IsSlow(t *testing.T) {
	a, b := connected(t, "tcp", "127.0.0.1:0")
	defer a.Close()
	defer b.Close()
	var c conn
	c.init(a, true, new(http2Client), &ConnConfig{WriteTimeout: -1})
	segs := [][]byte{make([]byte, 64<<20)} // more than any socket holds
	quick := make(chan bool)
	go func() {
		was, err := c.writeWaiting(segs)
		if err != nil {
			t.Error(err)
		}
		quick <- was
	}()
	for begun := time.Now(); time.Since(begun) < 2*quickWait || c.stall.taken.Load() < 2; {
		<-time.NewTimer(quickWait).C // it does not read, and the socket is full
	}
	for rest, buf := 64<<20, make([]byte, 1<<20); rest > 0; {
		n, err := b.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		rest -= n
	}
	if <-quick {
		t.Error("the socket was full for long, and is said to be quick")
	}
}

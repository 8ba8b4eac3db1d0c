package transport

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"github.com/weir-rpc/weir/internal/buffer"
	"github.com/weir-rpc/weir/internal/h2peer"
	"golang.org/x/net/http2"
)

// waiting is a message for an outbound, sealed, and its octets.
func waiting(rng *rand.Rand, n int) (outMessage, []byte) {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(rng.Uint32())
	}
	m := NewBuffer(n)
	copy(m.Bytes(), p)
	b := m.seal()
	return outMessage{buf: b, rest: *b, copied: n <= copyLimit}, h2peer.Message(p)
}

// frameLocked takes the next n octets, or those that lie together, as a frame does.
func (o *outbound) frameLocked(c *conn, n int) []byte {
	m := o.queue.Front()
	n = min(n, len(m.rest))
	p := bytes.Clone(m.rest[:n])
	o.queued -= n
	if m.rest = m.rest[n:]; len(m.rest) == 0 {
		o.popLocked(c)
	}
	return p
}

// What leaves is what was sent, however messages are joined and frames are cut,
// and where a message begins is known all the time. All memory goes back: see
// TestMain.
func TestOutbound_MessagesOfAllSizes_LeaveInOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 30 {
		var o outbound
		c := &conn{writing: true}
		var want, got []byte
		ends := map[int]bool{0: true}
		for range 200 {
			if rng.IntN(3) > 0 {
				m, p := waiting(rng, []int{0, 1, 30, 30, 30, 200, joinLimit - 5, joinLimit, 5000, 40000}[rng.IntN(10)])
				want = append(want, p...)
				ends[len(want)] = true
				o.addLocked(m)
			} else if o.queued > 0 {
				got = append(got, o.frameLocked(c, 1+rng.IntN(20000))...)
			}
			if o.queued != len(want)-len(got) || o.begunLocked() == ends[len(got)] {
				t.Fatalf("%d of %d octets are framed: %d wait, in the middle of a message: %v", len(got), len(want), o.queued, o.begunLocked())
			}
		}
		for o.queued > 100 {
			got = append(got, o.frameLocked(c, 1+rng.IntN(20000))...)
		}
		if !bytes.Equal(got, want[:len(got)]) {
			t.Fatal("other octets left than were sent")
		}
		o.dropLocked(c)
		c.out.free()
	}
}

// Messages that wait take the memory of their octets, not a buffer each.
func TestOutbound_ManySmallMessages_ShareMemory(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var o outbound
	for o.queued < writeQuota {
		m, _ := waiting(rng, 30)
		o.addLocked(m)
	}
	if n := o.queue.Len(); n > 8 {
		t.Errorf("%d octets of small messages lie in %d places", o.queued, n)
	}
	o.dropLocked(new(conn))
}

// The memory of a large message goes back when what of it was under way has left,
// though nothing else has to be sent: its stream was reset by the peer in the
// middle of it.
func TestOutbound_ResetInTheMiddle_MemoryGoesBack(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		ts.sv.(*http2Server).sock = refers{ts.sv.(*http2Server).sock}
		ts.peer.WriteWindowUpdate(0, 1<<20)
		st, end := ts.open(1, "/s/Stream")
		ts.client.stop()
		if err := st.Send(octets(900_000)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		ts.peer.WriteReset(1, http2.ErrCodeCancel)
		synctest.Wait()
		end()
		synctest.Wait()
		ts.client.resume()
		synctest.Wait()
		for _, l := range buffer.Outstanding() {
			if l.Size > 800_000 {
				t.Errorf("an idle connection holds %v", l)
			}
		}
	}, window(1<<20))
}

// refers is a socket to which large messages go by reference.
type refers struct{ socket }

func (refers) copies() bool { return false }

package transport

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/weir-rpc/weir/internal/frame"
	"github.com/weir-rpc/weir/internal/h2peer"
)

// newInbox gives an inbox that accepts messages up to limit.
func newInbox(limit uint32) *stream {
	st := &stream{}
	st.init(&conn{cfg: &ConnConfig{}}, limit, true)
	st.in.flow.Init(1 << 30)
	return st
}

// give puts octets in as a fragment of DATA.
func give(t *testing.T, st *stream, p []byte, end bool) {
	t.Helper()
	if _, _, ok := st.in.data(&frame.Frame{Payload: p, FlowLen: len(p)}, end); !ok {
		t.Fatal("the window is used up")
	}
}

// Row A81: messages of all sizes arrive whole, however the octets are cut, and
// all memory is given back: see TestMain.
func TestInbox_CutAnywhere_GivesWholeMessages(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		st := newInbox(1 << 20)
		var want [][]byte
		var octets []byte
		for range 1 + rng.IntN(20) {
			m := make([]byte, []int{0, 1, 5, 900, 1100, 17000, 70000, 300000}[rng.IntN(8)])
			for i := range m {
				m[i] = byte(rng.Uint32())
			}
			want = append(want, m)
			octets = append(octets, h2peer.Message(m)...)
		}
		for taken := 0; ; {
			n := min(len(octets), 1+rng.IntN(20000))
			give(t, st, octets[:n], n == len(octets))
			octets = octets[n:]
			if rng.IntN(3) > 0 && len(octets) > 0 {
				continue
			}
			for taken < len(want) && (len(octets) == 0 || st.in.count > 0) {
				m, err := st.recv()
				if err != nil || !bytes.Equal(m.Data, want[taken]) {
					t.Fatalf("message %d: %d octets, %v, want %d", taken, len(m.Data), err, len(want[taken]))
				}
				if rng.IntN(2) == 0 {
					m.Free() // else the next one frees it
				}
				taken++
			}
			if len(octets) == 0 {
				break
			}
		}
		if _, err := st.recv(); err != io.EOF {
			t.Errorf("Recv gave %v, want io.EOF", err)
		}
	}
}

// A prefix that promises much takes no memory before the octets come.
func TestInbox_PrefixPromisesMuch_TakesLittle(t *testing.T) {
	st := newInbox(1<<32 - 1)
	give(t, st, []byte{0, 255, 255, 255, 255, 1, 2, 3}, false)
	if n := cap(*st.in.chunks.Front().b); n > 2*wordChunk {
		t.Errorf("a promise of 4 GiB took %d octets", n)
	}
	give(t, st, make([]byte, 200<<10), false)
	if n := cap(*st.in.chunks.Front().b); n > 2<<20 {
		t.Errorf("200 KiB took %d octets", n)
	}
	st.in.kill(nil)
}

// What has come whole before a fault can be taken, then the fault shows; after
// kill nothing can, and a message that is held stays valid until it is freed.
func TestInbox_Ends_GivesWhatCameWhole(t *testing.T) {
	st := newInbox(10)
	give(t, st, h2peer.Message([]byte("one")), false)
	give(t, st, []byte{0, 0, 0, 0, 11}, false)
	give(t, st, h2peer.Message([]byte("ignored")), true)
	m, err := st.recv()
	if err != nil || string(m.Data) != "one" {
		t.Fatalf("Recv gave %q, %v", m.Data, err)
	}
	m.Free()
	m.Free()
	for range 2 {
		if _, err := st.recv(); wantStreamError(t, err, CodeCancel, ByLocal) != st.in.fault {
			t.Errorf("Recv gave %v", err)
		}
	}

	st = newInbox(10)
	give(t, st, h2peer.Message([]byte("one")), false)
	give(t, st, h2peer.Message([]byte("two")), true)
	m, err = st.recv()
	if err != nil {
		t.Fatal(err)
	}
	killed := new(conn).peerReset(CodeCancel)
	st.in.kill(killed)
	if string(m.Data) != "one" {
		t.Errorf("a message that is held became %q", m.Data)
	}
	m.Free()
	if _, err := st.recv(); err != killed {
		t.Errorf("Recv after kill gave %v", err)
	}
	st.in.kill(nil)
	give(t, st, h2peer.Message([]byte("late")), false)
	if st.in.chunks.Len() > 0 {
		t.Error("an inbox that is dead holds memory")
	}
}

// Small messages share memory, and none is held when all are taken.
func TestInbox_SmallMessages_ShareMemory(t *testing.T) {
	st := newInbox(100)
	for range 100 {
		give(t, st, h2peer.Message([]byte("x")), false)
	}
	if n := st.in.chunks.Len(); n != 1 {
		t.Errorf("100 messages of 6 octets take %d chunks", n)
	}
	for range 100 {
		m, err := st.recv()
		if err != nil {
			t.Fatal(err)
		}
		m.Free()
	}
	if n := st.in.chunks.Len(); n != 0 {
		t.Errorf("%d chunks are held with nothing in them", n)
	}
}

// A message that is freed late frees nothing: neither the message that came
// after it nor one of the next call.
func TestMessage_FreedLate_FreesNothing(t *testing.T) {
	st := newInbox(1 << 20)
	give(t, st, h2peer.Message([]byte("one")), false)
	give(t, st, h2peer.Message([]byte("two")), true)
	one, err := st.recv()
	if err != nil {
		t.Fatal(err)
	}
	late := one
	one.Free()
	two, err := st.recv()
	if err != nil {
		t.Fatal(err)
	}
	late.Free()
	if !st.in.inUse || string(two.Data) != "two" {
		t.Errorf("the second message is %q, in use: %v", two.Data, st.in.inUse)
	}
	two.Free()
	st.clear()
	st.init(&conn{cfg: &ConnConfig{}}, 1<<20, true)
	st.in.flow.Init(1 << 30)
	give(t, st, h2peer.Message([]byte("three")), true)
	three, err := st.recv()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []Message{late, two} {
		m.inbox = &st.in
		m.Free()
	}
	if !st.in.inUse || string(three.Data) != "three" {
		t.Errorf("the next call's message is %q, in use: %v", three.Data, st.in.inUse)
	}
	three.Free()
}

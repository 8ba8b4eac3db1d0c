package sched

import (
	"bytes"
	"testing"

	"github.com/weir-rpc/weir/internal/frame"
	"golang.org/x/net/http2"
)

// readAll reads frames with a codec that is not ours.
func readAll(t *testing.T, b []byte) (frames []http2.Frame) {
	t.Helper()
	fr := http2.NewFramer(nil, bytes.NewReader(b))
	for {
		f, err := fr.ReadFrame()
		if err != nil {
			return frames
		}
		frames = append(frames, f)
	}
}

// Row A94: what the peer provokes is bounded in octets, and the bound does not
// count what this side's own work produces.
func TestControlBufferIsBounded(t *testing.T) {
	b := ControlBuffer{Limit: 100}
	n := 0
	for b.PingAck([8]byte{byte(n)}) {
		n++
	}
	if want := 100 / 17; n != want {
		t.Fatalf("took %d acknowledgements into 100 octets, want %d", n, want)
	}
	for id := uint32(1); id < 1000; id += 2 {
		b.Credit(id, 10) // one a stream: needs no bound
	}
	for id := uint32(1001); id < 2000; id += 2 {
		b.ResetOwn(id, frame.CodeCancel) // one a stream, too
	}
	// 15 octets are left.
	if !b.Reset(1, frame.CodeCancel) {
		t.Fatal("what nobody provoked takes room from replies")
	}
	if b.Reset(3, frame.CodeCancel) || b.SettingsAck() {
		t.Fatal("took more than the limit")
	}
	b.AppendTo(nil)
	if !b.PingAck([8]byte{}) {
		t.Fatal("refuses a reply though everything is written")
	}
}

// Row A99: window updates of a stream are merged to one.
func TestControlBufferMergesCredit(t *testing.T) {
	var b ControlBuffer
	b.Credit(1, 100)
	b.Credit(0, 7)
	b.Credit(3, 5)
	b.Credit(1, 50)
	b.Credit(0, 8)
	if !b.SettingsAck() || !b.Reset(5, frame.CodeRefusedStream) {
		t.Fatal("an empty buffer is full")
	}
	n := b.Len()
	out := b.AppendTo(nil)
	if len(out) != n {
		t.Errorf("Len said %d octets, AppendTo gave %d", n, len(out))
	}
	got := map[uint32]uint32{}
	var kinds []http2.FrameType
	for _, f := range readAll(t, out) {
		kinds = append(kinds, f.Header().Type)
		if wu, ok := f.(*http2.WindowUpdateFrame); ok {
			got[wu.StreamID] += wu.Increment
		}
	}
	if len(kinds) != 5 || got[0] != 15 || got[1] != 150 || got[3] != 5 {
		t.Fatalf("frames %v with credit %v, want 5 frames with 15, 150 and 5", kinds, got)
	}
	if !b.Empty() || b.Len() != 0 {
		t.Fatal("not empty after AppendTo")
	}
}

func TestControlBufferKeepsTheOrderOfReplies(t *testing.T) {
	var b ControlBuffer
	b.PingAck([8]byte{1})
	b.Reset(1, frame.CodeCancel)
	b.PingAck([8]byte{2})
	frames := readAll(t, b.AppendTo(nil))
	if len(frames) != 3 {
		t.Fatalf("%d frames, want 3", len(frames))
	}
	first, ok1 := frames[0].(*http2.PingFrame)
	_, ok2 := frames[1].(*http2.RSTStreamFrame)
	last, ok3 := frames[2].(*http2.PingFrame)
	if !ok1 || !ok2 || !ok3 || first.Data[0] != 1 || last.Data[0] != 2 || !first.IsAck() {
		t.Fatalf("frames %v are not in the order in which they were provoked", frames)
	}
}

// Nothing may follow RST_STREAM: all credit of a stream that is reset is dropped,
// whatever came between.
func TestControlBufferDropsAllCreditOfAStream(t *testing.T) {
	for _, reset := range []func(b *ControlBuffer){
		func(b *ControlBuffer) { b.Reset(1, frame.CodeCancel) },
		func(b *ControlBuffer) { b.ResetOwn(1, frame.CodeCancel) },
	} {
		var b ControlBuffer
		for range 3 {
			for id := uint32(1); id < 40; id += 2 {
				b.Credit(id, 10)
			}
		}
		reset(&b)
		for _, f := range readAll(t, b.AppendTo(nil)) {
			if wu, ok := f.(*http2.WindowUpdateFrame); ok && wu.StreamID == 1 {
				t.Errorf("%v behind the stream's reset", wu)
			}
		}
	}
}

// Credit that waits for a peer which takes more than it was told of is cut to what
// a frame can say.
func TestControlBufferCreditFitsAFrame(t *testing.T) {
	var b ControlBuffer
	for range 3 {
		b.Credit(1, 1<<31-1)
	}
	for _, f := range readAll(t, b.AppendTo(nil)) {
		if wu := f.(*http2.WindowUpdateFrame); wu.Increment != 1<<31-1 {
			t.Errorf("%v", wu)
		}
	}
}

package transport

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"golang.org/x/net/http2"
)

// framed parses what is pending: the payload of each stream, whether it has
// ended, and the lengths of all DATA frames.
func framed(t *testing.T, p *pending) (payload map[uint32]string, ended map[uint32]bool, lengths []int) {
	t.Helper()
	payload, ended = map[uint32]string{}, map[uint32]bool{}
	r := bytes.NewReader(bytes.Join(p.segs, nil))
	fr := http2.NewFramer(nil, r)
	for r.Len() > 0 {
		f, err := fr.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		id := f.Header().StreamID
		if ended[id] {
			t.Errorf("a frame of stream %d after its end", id)
		}
		if f, ok := f.(*http2.DataFrame); ok {
			payload[id] += string(f.Data())
			ended[id] = f.StreamEnded()
			lengths = append(lengths, len(f.Data()))
		}
	}
	return payload, ended, lengths
}

func TestPending_SmallMessagesInARow_AreOneFrame(t *testing.T) {
	c := &conn{settings: peerSettings{maxFrameSize: 16384}, tally: new(tally)}
	defer c.out.drop()
	for range 3 {
		c.dataLocked(1, []byte("one"), true, false)
	}
	c.dataLocked(3, []byte("another"), true, false)
	c.dataLocked(1, []byte("four"), true, false)
	c.headersLocked(5, []byte{0x82}, false)
	c.dataLocked(1, []byte("five"), true, false)
	c.dataLocked(1, nil, true, true)
	payload, ended, lengths := framed(t, &c.out)
	if want := fmt.Sprint([]int{9, 7, 4, 4}); fmt.Sprint(lengths) != want {
		t.Errorf("DATA frames of %v octets, want %s", lengths, want)
	}
	if payload[1] != "oneoneonefourfive" || payload[3] != "another" || !ended[1] || ended[3] {
		t.Errorf("stream 1 has %q, 3 has %q; ended: %v", payload[1], payload[3], ended)
	}
}

// A frame grows no longer than the peer takes it, nor beyond its chunk, and not
// behind what has been taken to be written.
func TestPending_GrowingFrame_KeepsItsBounds(t *testing.T) {
	const most = 1000
	c := &conn{settings: peerSettings{maxFrameSize: most}, tally: new(tally)}
	rng := rand.New(rand.NewPCG(5, 6))
	want := map[uint32]string{}
	for range 2000 {
		id := uint32(1 + 2*rng.IntN(2))
		b := bytes.Repeat([]byte{byte(rng.Uint32())}, rng.IntN(120))
		if rng.IntN(50) == 0 {
			large := bytes.Repeat([]byte{'x'}, most)
			c.dataLocked(id, large, false, false)
			want[id] += string(large)
		}
		c.dataLocked(id, b, true, false)
		want[id] += string(b)
	}
	payload, _, lengths := framed(t, &c.out)
	for id, s := range want {
		if payload[id] != s {
			t.Errorf("stream %d: %d octets are not the %d that were sent", id, len(payload[id]), len(s))
		}
	}
	for _, n := range lengths {
		if n > most {
			t.Errorf("a DATA frame of %d octets, the peer takes %d", n, most)
		}
	}
	if len(lengths) > 1500 {
		t.Errorf("%d frames for 2000 messages of two streams", len(lengths))
	}
	for _, seg := range c.out.segs {
		if len(seg) > chunkSize {
			t.Errorf("a segment of %d octets", len(seg))
		}
	}
	batch := c.takeLocked()
	_, _, before := framed(t, batch)
	c.dataLocked(1, []byte("later"), true, true)
	if _, _, after := framed(t, batch); len(after) != len(before) {
		t.Error("a batch that is being written has grown")
	}
	if payload, ended, _ := framed(t, &c.out); payload[1] != "later" || !ended[1] {
		t.Errorf("the next batch has %q", payload[1])
	}
	batch.drop()
	c.out.drop()
}

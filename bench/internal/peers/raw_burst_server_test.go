package peers

import (
	"bytes"
	"net"
	"testing"
	"testing/synctest"

	"github.com/weir-rpc/weir/bench/internal/benchpb"
)

func TestNewBurst(t *testing.T) {
	body := appendRequest(nil, &benchpb.SendRequest{Messages: 3, Size: 5, First: 9})
	b, err := newBurst(4|ofBurst, body)
	if err != nil || b.id != 4|ofBurst || b.left != 3 || b.sequence != 9 || !bytes.Equal(b.payload, benchpb.Sent(5)) {
		t.Errorf("%+v, %v", b, err)
	}
	if b, err := newBurst(4, appendRequest(nil, &benchpb.SendRequest{Messages: -1})); err != nil || b.left != 0 {
		t.Errorf("a burst of fewer than none: %+v, %v", b, err)
	}
	for name, body := range map[string][]byte{
		"short":          body[1:],
		"long":           append(body, 0),
		"large messages": appendRequest(nil, &benchpb.SendRequest{Size: MaxMessage + 1}),
	} {
		if b, err := newBurst(4, body); err == nil {
			t.Errorf("%s: %+v", name, b)
		}
	}
}

// TestBurstsGoRound: what waits to be written is bounded, and a large burst
// does not keep a small one waiting for more than one write.
func TestBurstsGoRound(t *testing.T) {
	large, small := benchpb.Sent(64<<10), benchpb.Sent(32)
	going := []burst{{id: 0, left: 100, payload: large}, {id: 1, left: 10, payload: small}, {id: 2, left: 100, payload: large}}
	s := &burstSender{codec: octets{}}
	var (
		out    pages
		err    error
		firsts []uint64 // ids with which writes begin
		over   []uint64
		next   [3]uint64
	)
	for len(going) > 0 {
		if going, err = s.fill(&out, going); err != nil {
			t.Fatal(err)
		}
		some := out.take()
		wire := bytes.Join(some, nil)
		out.giveBack(some)
		if len(wire) > flushAt+len(large)+1<<10 {
			t.Errorf("%d octets are written at once", len(wire))
		}
		in := newFrames(bytes.NewReader(wire))
		for at := 0; at < len(wire); {
			id, body, err := in.next()
			if err != nil {
				t.Fatal(err)
			}
			if at == 0 {
				firsts = append(firsts, id)
			}
			at += headLen + len(body)
			if id&burstOver != 0 {
				over = append(over, id&^burstOver)
				continue
			}
			m, err := s.codec.decode(body)
			if err != nil || m.GetSequence() != next[id] {
				t.Fatalf("burst %d: message %v, %v, want %d", id, m, err, next[id])
			}
			next[id]++
		}
	}
	if next != [3]uint64{100, 10, 100} || over[0] != 1 || len(over) != 3 {
		t.Errorf("%v messages came, and %v ended in this order", next, over)
	}
	if len(firsts) < 3 || firsts[0] != 0 || firsts[1] != 1 || firsts[2] != 0 {
		t.Errorf("writes begin with %v, want 0, 1 with 2, 0 ...", firsts)
	}
}

// TestBurstsOfClientsThatDoNotRead: one goroutine waits for such a client, and
// it is not the one that reads, which takes as many as there may be.
func TestBurstsOfClientsThatDoNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		s := newRawServer(Config{}, octets{})
		served := make(chan struct{})
		go func() { defer close(served); s.serve(far) }()
		var out pages
		ask := func(n int) {
			for i := range n {
				out.begin(uint64(i)|ofBurst, requestLen)
				out.tail = appendRequest(out.tail, &benchpb.SendRequest{Messages: 1 << 30, Size: 32})
			}
		}
		ask(maxAsked)
		if err := write(near, out.take()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		select {
		case <-served:
			t.Error("the connection ends with as many bursts as there may be")
		default:
		}
		ask(1)
		if err := write(near, out.take()); err != nil {
			t.Fatal(err)
		}
		<-served
		near.Close()
	})
}

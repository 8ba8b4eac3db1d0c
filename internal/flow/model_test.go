package flow

import (
	"math/rand/v2"
	"testing"
)

// pair is a peer that sends a stream of messages over one connection to us,
// with what it knows and what is still on its way to it. It holds our side to
// the rules: all credit comes from somewhere, and none is lost.
type pair struct {
	t *testing.T

	// The peer.
	out, connOut OutFlow
	limit        uint32 // our INITIAL_WINDOW_SIZE as it knows it
	rest         int64  // of the message that it is sending; 0 is between two

	// On the way to the peer, in order.
	wire []toPeer

	// We.
	in       InFlow
	conn     ConnInFlow
	ourRest  int64 // of the message that is coming in
	whole    int64 // octets of complete messages that are not read
	unread   int64 // octets that lie here
	settings int   // on their way
	largest  int64 // message so far
	highest  uint32
	grown    int64 // times that the limit grew

	// patient: no room is made for a message while there are others to read.
	patient bool
}

type toPeer struct {
	stream, conn uint32 // WINDOW_UPDATE
	limit        uint32 // SETTINGS
	settings     bool
}

func newPair(t *testing.T, limit, connLimit uint32, patient bool) *pair {
	p := &pair{t: t, limit: limit, highest: limit, patient: patient}
	p.out.Init(limit)
	p.in.Init(limit)
	p.connOut.Init(DefaultWindow)
	if n := p.conn.Init(connLimit); n > 0 {
		p.wire = append(p.wire, toPeer{conn: n})
	}
	return p
}

// begin is a message of n octets, with its prefix.
func (p *pair) begin(n int64) {
	if p.rest == 0 && p.ourRest == 0 {
		p.rest, p.ourRest = n, n
		p.largest = max(p.largest, n)
	}
}

// send sends up to n octets of the message, and pad octets of padding, if the
// windows allow anything.
func (p *pair) send(n, pad int64) (sent int64) {
	may := int64(min(p.out.Available(), p.connOut.Available()))
	n = min(n, p.rest, may)
	pad = min(pad, may-n)
	if n == 0 { // a sender that pads an empty frame only wastes its window
		return 0
	}
	p.out.Consume(int(n + pad))
	p.connOut.Consume(int(n + pad))
	p.rest -= n
	p.receive(n, pad)
	return n
}

func (p *pair) receive(n, pad int64) {
	update, ok := p.conn.OnData(uint32(n + pad))
	if !ok {
		p.t.Fatalf("the connection's credit of the peer is not ours: %d octets are refused", n+pad)
	}
	p.give(toPeer{conn: update})
	if !p.in.OnData(uint32(n + pad)) {
		p.t.Fatalf("the stream's credit of the peer is not ours: %d octets are refused", n+pad)
	}
	p.unread += n
	p.ourRest -= n
	if p.ourRest == 0 {
		p.whole = p.unread
	}
	if pad > 0 {
		p.give(toPeer{stream: p.in.OnRead(uint32(pad))})
	}
	p.raise()
	if int64(p.in.Pending()) != p.unread {
		p.t.Fatalf("%d octets wait to be read, InFlow says %d", p.unread, p.in.Pending())
	}
	bound := int64(p.highest) + p.largest
	if !p.patient {
		bound += p.grown * p.largest
	}
	if p.unread > bound {
		p.t.Fatalf("%d octets are held; a limit of %d that grew %d times and a message of %d allow %d", p.unread, p.highest, p.grown, p.largest, bound)
	}
}

// raise makes room for the message that has begun to come in.
func (p *pair) raise() {
	if p.unread > p.whole && (p.whole == 0 || !p.patient) {
		p.give(toPeer{stream: p.in.Raise(uint32(p.ourRest))})
	}
}

// read is the application, which reads whole messages, or parts of them.
func (p *pair) read(n int64) {
	n = min(n, p.whole)
	p.whole -= n
	p.unread -= n
	p.give(toPeer{stream: p.in.OnRead(uint32(n))})
	p.raise()
}

func (p *pair) setLimit(limit uint32) {
	old := p.in.limit
	update, ok := p.in.SetLimit(limit)
	if ok {
		if int64(limit) > old {
			p.grown++
		}
		p.highest = max(p.highest, limit)
		p.settings++
		p.give(toPeer{limit: limit, settings: true})
		p.give(toPeer{stream: update})
		p.raise()
	}
}

func (p *pair) give(f toPeer) {
	if f != (toPeer{}) {
		p.wire = append(p.wire, f)
	}
}

// deliver takes the first of what is on its way to the peer.
func (p *pair) deliver() bool {
	if len(p.wire) == 0 {
		return false
	}
	f := p.wire[0]
	p.wire = p.wire[1:]
	if !p.connOut.Add(f.conn) || !p.out.Add(f.stream) {
		p.t.Fatalf("an update lifts the peer's windows of %d and %d past 2^31-1: %+v", p.connOut.Window(), p.out.Window(), f)
	}
	if f.settings {
		if !p.out.Adjust(int64(f.limit) - int64(p.limit)) {
			p.t.Fatalf("SETTINGS lift the peer's window of %d past 2^31-1: %+v", p.out.Window(), f)
		}
		p.limit = f.limit
		if p.settings--; p.settings == 0 {
			p.in.Acked()
		}
	}
	return true
}

// settle delivers and reads everything, and sends the message to its end. The
// application reads nothing but complete messages.
func (p *pair) settle() {
	p.t.Helper()
	for range 2*(p.rest+p.unread) + 2 { // each turn moves an octet, or is the last
		for p.deliver() {
		}
		switch {
		case p.rest > 0:
			if p.send(16384, 0) == 0 {
				if p.whole == 0 {
					p.t.Fatalf("stuck: the peer has %d octets left and windows of %d and %d; we wait for the message", p.rest, p.out.Window(), p.connOut.Window())
				}
				p.read(p.whole)
			}
		case p.unread > 0:
			p.read(p.unread)
		default:
			return
		}
	}
	p.t.Fatalf("no end: %d octets left, windows of %d and %d", p.rest, p.out.Window(), p.connOut.Window())
}

// play has the octets of script decide who acts, then settles.
func (p *pair) play(script []byte) {
	p.t.Helper()
	for len(script) >= 2 {
		do, arg := script[0], int64(script[1])
		script = script[2:]
		switch do % 6 {
		case 0:
			p.begin(1 + arg*arg*arg%(1<<20)) // from an octet to a mebibyte
		case 1:
			p.send(1+arg*64, 0)
		case 2:
			p.read(arg * arg)
		case 3:
			p.deliver()
		case 4:
			p.setLimit(uint32(arg * arg * 3))
		case 5:
			p.send(1+arg*64, arg)
		}
	}
	for p.deliver() {
	}
	if p.limit == 0 {
		p.setLimit(1) // a window of nothing is no deadlock of ours
	}
	p.settle()
}

// FuzzPair lets octets decide who acts when. Whatever they say, the peer's
// count is never refused, what we hold is bounded, no window passes 2^31-1,
// and a peer that sends what it may always gets its messages through, to an
// application that reads messages when they are whole.
func FuzzPair(f *testing.F) {
	f.Add(uint32(65535), uint32(65535), true, []byte{0, 200, 1, 80, 1, 80, 3, 3, 2, 255})
	f.Add(uint32(16384), uint32(16384), false, []byte{0, 255, 1, 255, 1, 255, 4, 1, 1, 255, 3, 3, 3, 2, 255})
	f.Add(uint32(1), uint32(0), true, []byte{0, 9, 1, 1, 5, 13, 3, 1, 1, 3, 2, 1})
	f.Add(uint32(16345), uint32(16384), false, []byte{0, 11, 1, 48, 2, 48, 4, 8, 0, 48})
	f.Add(uint32(0), uint32(1<<20), false, []byte{0, 99, 4, 90, 3, 1, 9})
	f.Add(uint32(MaxWindow), uint32(MaxWindow), true, []byte{0, 255, 0, 255, 1, 255, 4, 0, 4, 255, 3, 3, 1, 1, 2, 40})
	f.Fuzz(func(t *testing.T, limit, connLimit uint32, patient bool, script []byte) {
		newPair(t, limit&MaxWindow, connLimit, patient).play(script)
	})
}

// TestPair plays the game of FuzzPair with scripts by chance, always the same.
func TestPair(t *testing.T) {
	rnd := rand.New(rand.NewPCG(6, 9))
	limits := []uint32{60, 1000, 16384, 65535, 1 << 20, MaxWindow}
	for range 300 {
		p := newPair(t, limits[rnd.IntN(len(limits))], limits[rnd.IntN(len(limits))], rnd.IntN(2) == 0)
		script := make([]byte, rnd.IntN(120))
		for i := range script {
			script[i] = byte(rnd.Uint32())
		}
		p.play(script)
	}
}

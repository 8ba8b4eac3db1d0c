package transport

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/internal/grpcwire"
	"github.com/weir-rpc/weir/internal/simnet"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// A wirePeer plays a peer from a script of octets: each operation is one octet
// and its operands. Any octets are a script; missing ones are zero.
type wirePeer struct {
	t      testing.TB
	nc     *laggard
	model  *wireModel
	client bool // it plays one
	local  func(byte)

	// Owned by the script.
	script []byte
	out    bytes.Buffer // not sent yet
	last   []byte       // what the operation before made
	fr     *http2.Framer
	block  bytes.Buffer
	enc    *hpack.Encoder
	next   uint32 // of a client
	held   int    // operations until out is sent
	dead   bool

	ackPings bool
	done     chan struct{} // closed when the reader has ended
	mu       sync.Mutex    // for writes: the reader acknowledges PINGs
}

// The operations of a script.
const (
	opHeaders    = iota // stream, kind of headers, shape
	opCall              // kind of headers, size: headers, one message, END_STREAM
	opMessage           // stream, size, shape
	opData              // stream, n, shape, n octets
	opReset             // stream, code
	opCredit            // stream (odd) or connection (even), amount
	opSettings          // n, and n times an id and a value
	opAck               // SETTINGS ACK
	opPing              // PING
	opGoAway            // stream, code
	opPriority          // stream, stream that it depends on
	opRaw               // type, flags, stream, n, n octets
	opHalf              // type, length, n octets: a frame that never ends
	opBlock             // stream, flags, n, n octets of HPACK
	opTime              // milliseconds
	opHold              // n: that many operations leave in one write
	opStall             // odd: the peer stops reading, even: goes on
	opRepeat            // n: what the operation before made, again
	opLocal             // what the subject's application does
	opAckUnasked        // PING ACK
	opCount
)

const (
	shapeEnd = 1 << iota
	shapePadded
	shapeSplit // HEADERS and CONTINUATION, or a message in several DATA
	shapePriority
	shapeOpen // no END_HEADERS
)

// wireValues are what SETTINGS values and increments are chosen from.
var wireValues = [...]uint32{0, 1, 5, 100, 1000, 4096, 16384, 65535, 1 << 16, 1 << 20, 1<<24 - 1, 1 << 24, 1<<31 - 1, 1 << 31, 1<<32 - 1, 30}

func newWirePeer(t testing.TB, nc *laggard, client bool, script []byte) *wirePeer {
	p := &wirePeer{t: t, nc: nc, model: newWireModel(!client), client: client, script: script, next: 1, done: make(chan struct{})}
	p.fr = http2.NewFramer(&p.out, nil)
	p.fr.AllowIllegalWrites = true
	p.enc = hpack.NewEncoder(&p.block)
	return p
}

func (p *wirePeer) octet() byte {
	if len(p.script) == 0 {
		return 0
	}
	b := p.script[0]
	p.script = p.script[1:]
	return b
}

func (p *wirePeer) octets(n byte) []byte {
	k := min(int(n), len(p.script))
	b := p.script[:k]
	p.script = p.script[k:]
	return b
}

// stream chooses one of the latest streams, the next one, or any.
func (p *wirePeer) stream() uint32 {
	switch b := p.octet(); {
	case b < 16:
		p.model.mu.Lock()
		opened := p.model.opened
		p.model.mu.Unlock()
		if p.client && p.next > 1 {
			opened = p.next - 2 // which may not have left yet
		}
		return max(opened, uint32(2*b)+1) - uint32(2*b)
	case b == 255:
		return p.next
	default:
		return uint32(b) - 16
	}
}

// read takes what the subject sends until the connection ends.
func (p *wirePeer) read() {
	defer close(p.done)
	if !p.client {
		preface := make([]byte, len(http2.ClientPreface))
		if _, err := io.ReadFull(p.nc, preface); err != nil || string(preface) != http2.ClientPreface {
			p.t.Errorf("a preface of %q, %v", preface, err)
			return
		}
	}
	fr := http2.NewFramer(io.Discard, p.nc)
	fr.SetMaxReadFrameSize(1<<24 - 1)
	fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	fr.ReadMetaHeaders.SetAllowedMaxDynamicTableSize(1 << 20)
	for {
		f, err := fr.ReadFrame()
		if err != nil {
			var ce http2.ConnectionError
			if errors.As(err, &ce) || fr.ErrorDetail() != nil {
				p.t.Errorf("the subject broke HTTP/2: %v (%v)", err, fr.ErrorDetail())
			}
			return
		}
		p.trace("<- ", f)
		if err := p.model.received(f); err != nil {
			p.t.Errorf("the subject broke HTTP/2: %v", err)
			return
		}
		if ping, ok := f.(*http2.PingFrame); ok && !ping.IsAck() && p.ackPings {
			p.send(append([]byte{0, 0, 8, 6, 1, 0, 0, 0, 0}, ping.Data[:]...))
		}
	}
}

// trace tells what is going on under go test -v -run of one input.
func (p *wirePeer) trace(what string, v any) {
	if testing.Verbose() {
		p.t.Logf("%s%v", what, v)
	}
}

// send puts octets on the wire, unless they would stand in the middle of a
// frame.
func (p *wirePeer) send(b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.model.sending(b)
	if _, err := p.nc.Write(b); err != nil {
		p.dead = true
	}
}

// play plays the script, and no more than most operations of it.
func (p *wirePeer) play(most int) {
	for range most {
		if len(p.script) == 0 || p.over() {
			break
		}
		start := p.out.Len()
		if p.step(p.octet() % opCount) {
			p.last = bytes.Clone(p.out.Bytes()[start:])
		}
		if p.held--; p.held <= 0 || p.out.Len() > 64<<10 {
			p.flush()
		}
	}
	p.flush()
}

func (p *wirePeer) over() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dead
}

func (p *wirePeer) flush() {
	if p.out.Len() > 0 {
		p.send(p.out.Bytes())
		p.out.Reset()
	}
	synctest.Wait()
}

// step does one operation, and reports whether it made a frame.
func (p *wirePeer) step(op byte) bool {
	switch op {
	case opTime:
		p.flush()
		simnet.Advance(time.Duration(p.octet()) * time.Millisecond)
		return false
	case opHold:
		p.held = int(p.octet())
		return false
	case opStall:
		p.flush()
		if p.octet()%2 == 1 {
			p.nc.resume()
			p.nc.stop()
		} else {
			p.nc.resume()
		}
		return false
	case opRepeat:
		for n := p.octet(); n > 0 && p.out.Len() < 256<<10; n-- {
			_, _ = p.out.Write(p.last)
		}
		return false
	case opLocal:
		p.flush()
		p.local(p.octet())
		return false
	}
	err := p.frame(op)
	p.trace("-> ", fmt.Sprintf("operation %d %v", op, err))
	return true
}

// frame makes the frames of an operation.
func (p *wirePeer) frame(op byte) error {
	switch op {
	case opHeaders:
		return p.headers(p.stream(), p.octet(), p.octet())
	case opCall:
		id, kind := p.next, p.octet()
		if !p.client {
			id = p.stream()
		}
		if err := p.headers(id, kind, 0); err != nil {
			return err
		}
		if err := p.message(id, int(p.octet())*64, shapeEnd*byte(btoi(p.client))); err != nil || p.client {
			return err
		}
		return p.headers(id, 1, shapeEnd)
	case opMessage:
		return p.message(p.stream(), int(p.octet())*int(p.octet()), p.octet())
	case opData:
		id, n, shape := p.stream(), p.octet(), p.octet()
		return p.data(id, shape, p.octets(n))
	case opReset:
		return p.fr.WriteRSTStream(p.stream(), http2.ErrCode(p.octet()%16))
	case opCredit:
		id := uint32(0)
		if p.octet()%2 == 1 {
			id = p.stream()
		}
		return p.fr.WriteWindowUpdate(id, p.value())
	case opSettings:
		var s []http2.Setting
		for range p.octet() % 8 {
			s = append(s, http2.Setting{ID: http2.SettingID(p.octet() % 8), Val: p.value()})
		}
		return p.fr.WriteSettings(s...)
	case opAck:
		return p.fr.WriteSettingsAck()
	case opPing:
		return p.fr.WritePing(false, [8]byte{p.octet(), 1})
	case opAckUnasked:
		return p.fr.WritePing(true, [8]byte{p.octet()})
	case opGoAway:
		return p.fr.WriteGoAway(p.stream(), http2.ErrCode(p.octet()%16), []byte("too_many_pings")[:p.octet()%15])
	case opPriority:
		return p.fr.WritePriority(p.stream(), http2.PriorityParam{StreamDep: p.stream(), Weight: 3})
	case opRaw:
		t, flags, id, n := http2.FrameType(p.octet()%16), http2.Flags(p.octet()), p.stream(), p.octet()
		if id == p.next {
			p.next += 2
		}
		return p.fr.WriteRawFrame(t, flags, id, p.octets(n))
	case opHalf:
		t, length, n := p.octet()%16, p.octet(), p.octet()
		_, err := p.out.Write(append([]byte{0, length, length, t, 0, 0, 0, 0, 1}, p.octets(min(n, length))...))
		return err
	case opBlock:
		id, flags, n := p.stream(), http2.Flags(p.octet()), p.octet()
		if id == p.next {
			p.next += 2
		}
		return p.fr.WriteRawFrame(http2.FrameHeaders, flags|http2.FlagHeadersEndHeaders, id, p.octets(n))
	}
	panic("an operation without an effect")
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// value is one of wireValues, or a small number.
func (p *wirePeer) value() uint32 {
	b := p.octet()
	if b < byte(len(wireValues)) {
		return wireValues[b]
	}
	return uint32(b) * 16
}

// headers sends a header block in the given shape.
func (p *wirePeer) headers(id uint32, kind, shape byte) error {
	kinds := wireResponses
	if p.client {
		kinds = wireRequests
		if id == p.next {
			p.next += 2
		}
	}
	p.block.Reset()
	fields := kinds[int(kind)%len(kinds)]
	for i := 0; i < len(fields); i += 2 {
		if err := p.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1], Sensitive: shape&shapePriority != 0}); err != nil {
			return err
		}
	}
	block := p.block.Bytes()
	first, rest := block, []byte(nil)
	if shape&shapeSplit != 0 {
		first, rest = block[:len(block)/2], block[len(block)/2:]
	}
	end := shape&shapeOpen == 0
	h := http2.HeadersFrameParam{StreamID: id, BlockFragment: first, EndStream: shape&shapeEnd != 0, EndHeaders: end && rest == nil}
	if shape&shapePadded != 0 {
		h.PadLength = 7
	}
	if shape&shapePriority != 0 {
		h.Priority = http2.PriorityParam{StreamDep: id / 2, Weight: 1}
	}
	err := p.fr.WriteHeaders(h)
	if err == nil && rest != nil {
		err = p.fr.WriteContinuation(id, end, rest)
	}
	return err
}

// message sends a message of n octets in the given shape.
func (p *wirePeer) message(id uint32, n int, shape byte) error {
	b := make([]byte, grpcwire.PrefixLen+n)
	grpcwire.PutPrefix(b, false, n)
	for i := range n {
		b[grpcwire.PrefixLen+i] = byte(i)
	}
	size := 16384 - 256
	if shape&shapeSplit != 0 {
		size = max(3, n/7)
	}
	for len(b) > size {
		if err := p.data(id, shape&^shapeEnd, b[:size]); err != nil {
			return err
		}
		b = b[size:]
	}
	return p.data(id, shape, b)
}

func (p *wirePeer) data(id uint32, shape byte, b []byte) error {
	if shape&shapePadded == 0 {
		return p.fr.WriteData(id, shape&shapeEnd != 0, b)
	}
	return p.fr.WriteDataPadded(id, shape&shapeEnd != 0, b, make([]byte, 200))
}

// settle gives all the credit that the subject can want and lets it send all
// that it has. It reports whether that could be done.
func (p *wirePeer) settle() bool {
	p.nc.resume()
	synctest.Wait()
	m := p.model
	m.mu.Lock()
	whole := m.between()
	p.out.Reset()
	if n := 1<<30 - m.conn; n > 0 && n < 1<<31 {
		_ = p.fr.WriteWindowUpdate(0, uint32(n))
	}
	for id := range m.streams {
		if n := 1<<30 - m.window(id); n > 0 && n < 1<<31 {
			_ = p.fr.WriteWindowUpdate(id, uint32(n))
		}
	}
	m.mu.Unlock()
	if !whole || p.over() {
		return false
	}
	p.flush()
	return true
}

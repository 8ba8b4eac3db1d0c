package peers

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/weir-rpc/weir/bench/internal/benchpb"
	"github.com/weir-rpc/weir/bench/internal/scenario"
)

// The references are no RPC: frames of a length, an id and a body go over one
// connection, and come back. They show what is left when HTTP/2 and gRPC are
// taken away, with protobuf and without.

func raw(name string, c rawCodec) Implementation {
	return Implementation{
		Name:      name,
		Dial:      func(target string, cfg Config) (Client, error) { return dialRaw(target, cfg, c) },
		NewServer: func(cfg Config) (Server, error) { return newRawServer(cfg, c), nil },
		lacks: func(s scenario.Scenario) string {
			if !s.Plain() {
				return "a reference for calls and streams with nothing else to them"
			}
			return ""
		},
	}
}

// rawCodec makes bodies of messages.
type rawCodec interface {
	size(m *benchpb.Message) int
	append(b []byte, m *benchpb.Message) ([]byte, error)

	// decode keeps nothing of the body.
	decode(body []byte) (*benchpb.Message, error)

	// echo appends the body of the answer to a body.
	echo(b, body []byte) ([]byte, error)
}

// octets have the sequence in front of the payload.
type octets struct{}

const sequenceLen = 8

func (octets) size(m *benchpb.Message) int { return sequenceLen + len(m.GetPayload()) }

func (octets) append(b []byte, m *benchpb.Message) ([]byte, error) {
	b = binary.LittleEndian.AppendUint64(b, m.GetSequence())
	return append(b, m.GetPayload()...), nil
}

func (octets) decode(body []byte) (*benchpb.Message, error) {
	if len(body) < sequenceLen {
		return nil, fmt.Errorf("expected a sequence of %d octets; came %d", sequenceLen, len(body))
	}
	return &benchpb.Message{Sequence: binary.LittleEndian.Uint64(body), Payload: slices.Clone(body[sequenceLen:])}, nil
}

func (octets) echo(b, body []byte) ([]byte, error) { return append(b, body...), nil }

// protobuf does what every RPC with these messages has to.
type protobuf struct{}

func (protobuf) size(m *benchpb.Message) int { return proto.Size(m) }

func (protobuf) append(b []byte, m *benchpb.Message) ([]byte, error) {
	return proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(b, m)
}

func (protobuf) decode(body []byte) (*benchpb.Message, error) {
	m := new(benchpb.Message)
	return m, proto.UnmarshalOptions{Merge: true}.Unmarshal(body, m) // a new message needs no Reset
}

func (p protobuf) echo(b, body []byte) ([]byte, error) {
	m, err := p.decode(body)
	if err != nil {
		return b, err
	}
	reply := &benchpb.Message{Sequence: m.GetSequence(), Payload: m.GetPayload()}
	p.size(reply)
	return p.append(b, reply)
}

// An id with ofBurst is of a burst: from the client what it asks for, from the
// server one of its messages or, with burstOver and no body, its end.
const (
	ofBurst   = 1 << 63
	burstOver = 1 << 62
)

const (
	headLen  = 12 // length of the body, id
	readSize = 128 << 10
	wideSize = 512 << 10 // of a buffer that has seen a frame of more than a quarter of readSize
	pageSize = 64 << 10
)

// frames are read one after the other.
type frames struct {
	src  io.Reader
	r    *bufio.Reader
	held []byte // a body that is larger than the buffer
	last int    // what of the buffer is the body that was given last
}

func newFrames(r io.Reader) *frames { return &frames{src: r, r: bufio.NewReaderSize(r, readSize)} }

// widen makes a larger buffer for frames of which the smaller one would hold
// few: what is there of the next is moved at each read.
func (f *frames) widen() {
	rest, _ := f.r.Peek(f.r.Buffered())
	f.r = bufio.NewReaderSize(io.MultiReader(bytes.NewReader(rest), f.src), wideSize)
}

// next gives the next frame. Its body is valid until the call after.
func (f *frames) next() (id uint64, body []byte, err error) {
	if _, err := f.r.Discard(f.last); err != nil {
		return 0, nil, err
	}
	f.last = 0
	head, err := f.r.Peek(headLen)
	if err != nil {
		if errors.Is(err, io.EOF) && len(head) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
	n := int(binary.LittleEndian.Uint32(head))
	id = binary.LittleEndian.Uint64(head[4:])
	if n > MaxMessage {
		return 0, nil, fmt.Errorf("expected frames up to %d octets; came %d", MaxMessage, n)
	}
	if size := headLen + n; f.r.Size() < wideSize && size > readSize/4 && size <= wideSize/4 {
		f.widen()
	}
	if headLen+n <= f.r.Size() {
		whole, err := f.r.Peek(headLen + n)
		if err != nil {
			return 0, nil, cutShort(err)
		}
		f.last = headLen + n
		return id, whole[headLen:], nil
	}
	if _, err := f.r.Discard(headLen); err != nil {
		return 0, nil, err
	}
	f.held = slices.Grow(f.held[:0], n)[:n]
	if _, err := io.ReadFull(f.r, f.held); err != nil {
		return 0, nil, cutShort(err)
	}
	return id, f.held, nil
}

// more says whether a frame's head is there without a read.
func (f *frames) more() bool { return f.r.Buffered()-f.last >= headLen }

// whole says whether a frame is there without a read.
func (f *frames) whole() bool {
	if !f.more() {
		return false
	}
	head, err := f.r.Peek(f.last + headLen)
	return err == nil && f.r.Buffered()-f.last-headLen >= int(binary.LittleEndian.Uint32(head[f.last:]))
}

func cutShort(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// pages hold what is to be written. Full ones are not copied into larger ones,
// and all are used again.
type pages struct {
	full net.Buffers
	tail []byte
	free [][]byte
}

// kept is how many pages wait to be used again.
const kept = 32

// begin appends the head of a frame and makes room for its body of n octets.
func (p *pages) begin(id uint64, n int) {
	if len(p.tail)+headLen+n > cap(p.tail) {
		p.turn(headLen + n)
	}
	p.tail = binary.LittleEndian.AppendUint32(p.tail, uint32(n))
	p.tail = binary.LittleEndian.AppendUint64(p.tail, id)
}

func (p *pages) turn(room int) {
	if len(p.tail) > 0 {
		p.full = append(p.full, p.tail)
		p.tail = nil
	}
	for i, page := range slices.Backward(p.free) {
		if cap(page) >= room {
			p.free = slices.Delete(p.free, i, i+1)
			p.tail = page[:0]
			return
		}
	}
	p.tail = make([]byte, 0, max(pageSize, room))
}

// take gives all that is to be written.
func (p *pages) take() net.Buffers {
	if len(p.tail) > 0 {
		p.full = append(p.full, p.tail)
		p.tail = nil
	}
	all := p.full
	p.full = nil
	return all
}

// giveBack takes pages that are written.
func (p *pages) giveBack(some net.Buffers) {
	for _, page := range some {
		if len(p.free) < kept {
			p.free = append(p.free, page[:0])
		}
	}
}

func (p *pages) empty() bool { return len(p.tail) == 0 && len(p.full) == 0 }

// write writes the pages and leaves them as they were.
func write(nc net.Conn, some net.Buffers) error {
	if len(some) == 1 {
		_, err := nc.Write(some[0])
		return err
	}
	rest := slices.Clone(some)
	_, err := rest.WriteTo(nc)
	return err
}

package peers

import (
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"sync"

	"github.com/weir-rpc/weir/bench/internal/benchpb"
	"github.com/weir-rpc/weir/bench/internal/scenario"
)

// burst is what is left to be sent of one.
type burst struct {
	id       uint64
	sequence uint64 // of the next message
	left     uint32
	payload  []byte
}

const requestLen = 16 // how many messages, of what size, the first sequence

func appendRequest(b []byte, req *benchpb.SendRequest) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(max(0, req.GetMessages())))
	b = binary.LittleEndian.AppendUint32(b, uint32(req.GetSize()))
	return binary.LittleEndian.AppendUint64(b, req.GetFirst())
}

func newBurst(id uint64, body []byte) (burst, error) {
	if len(body) != requestLen {
		return burst{}, fmt.Errorf("expected a request of %d octets; came %d", requestLen, len(body))
	}
	size := binary.LittleEndian.Uint32(body[4:])
	if size > MaxMessage {
		return burst{}, fmt.Errorf("expected messages up to %d octets; came a request for %d", MaxMessage, size)
	}
	return burst{
		id:       id,
		sequence: binary.LittleEndian.Uint64(body[8:]),
		left:     binary.LittleEndian.Uint32(body),
		payload:  benchpb.Sent(int(size)),
	}, nil
}

// maxAsked is how many bursts a connection may have asked for and not got.
const maxAsked = scenario.MaxStreams

// burstSender sends all bursts of a connection from one goroutine, which alone
// waits for the client: as much of one after the other as one write takes.
type burstSender struct {
	codec rawCodec
	nc    net.Conn
	done  chan struct{}

	mu      sync.Mutex
	work    sync.Cond
	asked   []burst // of these the sender's goroutine does not know yet
	going   int     // those that it knows
	stopped bool
}

func startBurstSender(nc net.Conn, codec rawCodec) *burstSender {
	s := &burstSender{codec: codec, nc: nc, done: make(chan struct{})}
	s.work.L = &s.mu
	go s.run()
	return s
}

// ask keeps nothing of the slice. It fails when too many are asked for.
func (s *burstSender) ask(some []burst) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.going+len(s.asked)+len(some) > maxAsked {
		return false
	}
	s.asked = append(s.asked, some...)
	s.work.Signal()
	return true
}

// stop waits for the goroutine. The connection has been closed.
func (s *burstSender) stop() {
	s.mu.Lock()
	s.stopped = true
	s.work.Signal()
	s.mu.Unlock()
	<-s.done
}

func (s *burstSender) run() {
	defer close(s.done)
	var (
		out   pages
		going []burst
	)
	for {
		var ok bool
		if going, ok = s.more(going); !ok {
			return
		}
		var err error
		if going, err = s.fill(&out, going); err == nil {
			some := out.take()
			err = write(s.nc, some)
			out.giveBack(some)
		}
		if err != nil {
			s.nc.Close() // which ends the goroutine that reads
			return
		}
	}
}

// more adds what was asked for, and waits for it if there is nothing else.
func (s *burstSender) more(going []burst) ([]burst, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(going)+len(s.asked) == 0 && !s.stopped {
		s.work.Wait()
	}
	going = append(going, s.asked...)
	s.asked = s.asked[:0]
	s.going = len(going)
	return going, !s.stopped
}

// fill appends one burst after the other until one write is full. A burst that
// is not over by then becomes the last.
func (s *burstSender) fill(out *pages, going []burst) ([]burst, error) {
	waiting := 0
	for i := range going {
		b := &going[i]
		for ; b.left > 0; b.left-- {
			if waiting >= flushAt {
				first := *b
				return append(slices.Delete(going, 0, i+1), first), nil
			}
			// A message for each, as those who call Send of a stream have to make.
			m := &benchpb.Message{Sequence: b.sequence, Payload: b.payload}
			size := s.codec.size(m)
			out.begin(b.id, size)
			var err error
			if out.tail, err = s.codec.append(out.tail, m); err != nil {
				return nil, err
			}
			b.sequence++
			waiting += headLen + size
		}
		out.begin(b.id|burstOver, 0)
	}
	return going[:0], nil
}

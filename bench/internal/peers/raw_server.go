package peers

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
)

// rawServer has one goroutine for each connection, which reads, answers, and
// writes when nothing more is there to read. Bursts are sent by another.
type rawServer struct {
	codec rawCodec
	tls   *tls.Config

	mu      sync.Mutex
	lis     net.Listener
	conns   map[net.Conn]bool
	stopped bool
	serving sync.WaitGroup
}

func newRawServer(cfg Config, codec rawCodec) *rawServer {
	return &rawServer{codec: codec, tls: cfg.TLS, conns: make(map[net.Conn]bool)}
}

// Serve accepts until Stop.
func (s *rawServer) Serve(lis net.Listener) error {
	s.mu.Lock()
	s.lis = lis
	stopped := s.stopped
	s.mu.Unlock()
	if stopped {
		return lis.Close()
	}
	defer s.serving.Wait()
	for {
		nc, err := lis.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		if s.tls != nil {
			nc = tls.Server(nc, s.tls)
		}
		s.mu.Lock()
		if s.stopped {
			s.mu.Unlock()
			nc.Close()
			return nil
		}
		s.conns[nc] = true
		s.mu.Unlock()
		s.serving.Go(func() {
			s.serve(nc)
			s.mu.Lock()
			delete(s.conns, nc)
			s.mu.Unlock()
		})
	}
}

// flushAt bounds what waits to be written.
const flushAt = 256 << 10

// serve ends with the connection, whatever ended that: the client knows.
func (s *rawServer) serve(nc net.Conn) {
	in := newFrames(nc)
	var (
		out     pages
		waiting int
		asked   []burst
		sender  *burstSender // nil before the first burst
	)
	defer func() {
		nc.Close()
		if sender != nil {
			sender.stop()
		}
	}()
	for {
		id, body, err := in.next()
		if err != nil {
			return
		}
		if id&ofBurst != 0 {
			b, err := newBurst(id, body)
			if err != nil {
				return
			}
			asked = append(asked, b)
		} else {
			out.begin(id, len(body)) // an echo is as long as what it echoes
			if out.tail, err = s.codec.echo(out.tail, body); err != nil {
				return
			}
			waiting += headLen + len(body)
		}
		if in.more() && waiting < flushAt && len(asked) < maxAsked {
			continue
		}
		if len(asked) > 0 {
			if sender == nil {
				sender = startBurstSender(nc, s.codec)
			}
			if !sender.ask(asked) {
				return
			}
			asked = asked[:0]
		}
		if out.empty() {
			continue
		}
		waiting = 0
		some := out.take()
		if err := write(nc, some); err != nil {
			return
		}
		out.giveBack(some)
	}
}

// Stop ends the listener and all connections.
func (s *rawServer) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	if s.lis != nil {
		s.lis.Close()
	}
	for nc := range s.conns {
		nc.Close()
	}
}

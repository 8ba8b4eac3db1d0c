package peers

import (
	"context"
	"errors"
	"io"

	"github.com/weir-rpc/weir/bench/internal/benchpb"
)

// rawPingPong is a call that keeps its id. It has one message at a time on its
// way there or back, and is for one goroutine.
type rawPingPong struct {
	c    *rawClient
	ctx  context.Context
	id   uint64
	call rawCall

	sent   bool // and its answer was not taken
	closed bool
	err    error // of a stream that has ended
}

var (
	errOneAtATime  = errors.New("expected Recv after Send: a reference has one message at a time on its way")
	errNothingSent = errors.New("expected Send before Recv: a reference only answers")
	errSendsClosed = errors.New("expected no Send after CloseSend")
)

// PingPong implements Client.
func (c *rawClient) PingPong(ctx context.Context) (PingPong, error) {
	s := &rawPingPong{c: c, ctx: ctx, call: rawCall{over: make(chan struct{}, 1), stays: true}}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return nil, c.err
	}
	s.id = c.calls.open(&s.call)
	return s, nil
}

// Send sends the message, and perhaps those of others.
func (s *rawPingPong) Send(m *benchpb.Message) error {
	switch {
	case s.err != nil:
		return s.err
	case s.closed:
		return errSendsClosed
	case s.sent:
		return errOneAtATime
	}
	if err := s.ctx.Err(); err != nil {
		s.end(err)
		return err
	}
	c := s.c
	size := c.codec.size(m)
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		s.err = c.err
		return s.err
	}
	s.sent, s.call.awaited = true, true
	c.out.begin(s.id, size)
	var err error
	if c.out.tail, err = c.codec.append(c.out.tail, m); err != nil {
		c.failLocked(err)
	}
	first, alone := c.joinLocked()
	c.mu.Unlock()
	if first {
		c.write(alone)
	}
	return nil
}

// Recv awaits the answer. It is io.EOF after CloseSend, when all answers are
// taken.
func (s *rawPingPong) Recv() (*benchpb.Message, error) {
	if s.err != nil {
		return nil, s.err
	}
	if !s.sent {
		return nil, errNothingSent
	}
	select {
	case <-s.call.over:
	case <-s.ctx.Done():
		s.end(s.ctx.Err())
		return nil, s.err
	}
	s.sent = false
	reply, err := s.call.reply, s.call.err
	s.call.reply = nil
	switch {
	case err != nil:
		s.err = err
	case s.closed:
		s.end(io.EOF)
	}
	return reply, err
}

// CloseSend says that no Send follows.
func (s *rawPingPong) CloseSend() error {
	s.closed = true
	if !s.sent && s.err == nil {
		s.end(io.EOF)
	}
	return nil
}

// end gives the id back, at once or with the answer that is still to come.
func (s *rawPingPong) end(err error) {
	s.err = err
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	switch {
	case s.c.err != nil:
	case s.call.awaited:
		s.call.stays = false
	default:
		s.c.calls.close(s.id)
	}
}

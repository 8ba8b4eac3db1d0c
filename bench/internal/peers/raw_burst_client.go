package peers

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/weir-rpc/weir/bench/internal/benchpb"
)

// rawBurst goes between the goroutine that reads and the one that receives.
// Only who asks for a burst bounds it: there is no flow control.
type rawBurst struct {
	batch []*benchpb.Message // of the reader, not handed over
	ended bool               // the reader has seen the end
	held  bool               // the reader has something to hand over

	taken []*benchpb.Message // of the receiver
	at    int                // the next of these

	mu      sync.Mutex
	ready   []*benchpb.Message
	over    bool // nothing comes after what is ready
	err     error
	gone    bool // the receiver has
	waiting bool // the receiver is, for wake
	wake    chan struct{}
}

var rawBursts = sync.Pool{New: func() any { return &rawBurst{wake: make(chan struct{}, 1)} }}

// batches are the messages of one read. The receivers are woken once for all of
// theirs.
type batches struct {
	c  *rawClient
	of []*rawBurst

	id   uint64 // of last
	last *rawBurst
}

func (t *batches) add(id uint64, body []byte) error {
	over := id&burstOver != 0
	id &^= ofBurst | burstOver
	if t.last == nil || t.id != id {
		t.c.mu.Lock()
		t.id, t.last = id, t.c.bursts.at(id)
		t.c.mu.Unlock()
	}
	b := t.last
	if b == nil {
		return fmt.Errorf("expected the id of a burst; came %d", id)
	}
	if !b.held {
		b.held = true
		t.of = append(t.of, b)
	}
	if over {
		b.ended = true
		t.last = nil
		t.c.mu.Lock()
		defer t.c.mu.Unlock()
		if t.c.err == nil {
			t.c.bursts.close(id)
		}
		return nil
	}
	m, err := t.c.codec.decode(body)
	if err != nil {
		return err
	}
	b.batch = append(b.batch, m)
	return nil
}

// hand gives the receivers what has come. A burst that is over is not touched
// after that, because its receiver may use it for another.
func (t *batches) hand() {
	for i, b := range t.of {
		t.of[i] = nil
		b.hand()
	}
	t.of = t.of[:0]
}

func (b *rawBurst) hand() {
	b.held = false
	b.mu.Lock()
	if len(b.ready) == 0 && !b.gone {
		b.ready, b.batch = b.batch, b.ready
	} else if !b.gone {
		b.ready = append(b.ready, b.batch...)
	}
	clear(b.batch)
	b.batch = b.batch[:0]
	b.over = b.ended
	b.wakeLocked()
	b.mu.Unlock()
}

func (b *rawBurst) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
	b.wakeLocked()
}

func (b *rawBurst) wakeLocked() {
	if b.waiting {
		b.waiting = false
		b.wake <- struct{}{}
	}
}

// more takes what is ready, or waits for it.
func (b *rawBurst) more(ctx context.Context) error {
	b.mu.Lock()
	for len(b.ready) == 0 {
		switch {
		case b.over:
			b.mu.Unlock()
			return io.EOF
		case b.err != nil:
			b.mu.Unlock()
			return b.err
		}
		b.waiting = true
		b.mu.Unlock()
		select {
		case <-b.wake:
			b.mu.Lock()
		case <-ctx.Done():
			b.mu.Lock()
			defer b.mu.Unlock()
			b.gone, b.ready = true, nil
			return ctx.Err()
		}
	}
	b.taken, b.ready, b.at = b.ready, b.taken[:0], 0
	b.mu.Unlock()
	return nil
}

// rawMessages is what Send returns. It is for one goroutine.
type rawMessages struct {
	ctx      context.Context
	b        *rawBurst // nil after the end
	sequence uint64    // of the next message
	left     int32
	err      error // of the end
}

// Send implements Client.
func (c *rawClient) Send(ctx context.Context, req *benchpb.SendRequest) (Messages, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b := rawBursts.Get().(*rawBurst)
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return nil, c.err
	}
	c.out.begin(c.bursts.open(b)|ofBurst, requestLen)
	c.out.tail = appendRequest(c.out.tail, req)
	first, alone := c.joinLocked()
	c.mu.Unlock()
	if first {
		c.write(alone)
	}
	return &rawMessages{ctx: ctx, b: b, sequence: req.GetFirst(), left: max(0, req.GetMessages())}, nil
}

// Recv gives the next message, and io.EOF after as many as were asked for.
func (s *rawMessages) Recv() (*benchpb.Message, error) {
	if s.b == nil {
		return nil, s.err
	}
	b := s.b
	if b.at == len(b.taken) {
		if err := b.more(s.ctx); err != nil {
			return nil, s.end(err)
		}
	}
	m := b.taken[b.at]
	b.taken[b.at] = nil
	b.at++
	if m.GetSequence() != s.sequence || s.left == 0 {
		return nil, s.end(fmt.Errorf("expected message %d and %d in all after it; came %d", s.sequence, s.left, m.GetSequence()))
	}
	s.sequence++
	s.left--
	return m, nil
}

// end is io.EOF for one that is complete. Of others the reader may still have
// the burst.
func (s *rawMessages) end(err error) error {
	b := s.b
	s.b, s.err = nil, err
	if err != io.EOF {
		return err
	}
	if s.left > 0 {
		s.err = fmt.Errorf("expected %d more messages; came the end of the burst", s.left)
	}
	b.taken, b.at, b.ended, b.over, b.err = b.taken[:0], 0, false, false, nil
	rawBursts.Put(b)
	return s.err
}

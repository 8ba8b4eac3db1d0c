package peers

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"runtime"
	"sync"
	"time"

	"github.com/weir-rpc/weir/bench/internal/benchpb"
)

// rawClient has one connection and one goroutine, which reads. Who calls
// writes, for all that call meanwhile.
type rawClient struct {
	codec rawCodec
	nc    net.Conn
	done  chan struct{} // the reader has ended

	mu      sync.Mutex
	calls   slots[rawCall]
	bursts  slots[rawBurst]
	out     pages
	writing bool
	err     error
}

type rawCall struct {
	reply *benchpb.Message
	err   error
	over  chan struct{} // gets one value

	// Of a stream, under the client's mutex.
	stays   bool // in its slot, after an answer
	awaited bool // an answer is
}

var rawCalls = sync.Pool{New: func() any { return &rawCall{over: make(chan struct{}, 1)} }}

func dialRaw(target string, cfg Config, codec rawCodec) (Client, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var (
		nc  net.Conn
		err error
	)
	if cfg.TLS == nil {
		nc, err = new(net.Dialer).DialContext(ctx, "tcp", target)
	} else {
		nc, err = (&tls.Dialer{Config: cfg.TLS}).DialContext(ctx, "tcp", target)
	}
	if err != nil {
		return nil, err
	}
	c := &rawClient{codec: codec, nc: nc, done: make(chan struct{})}
	go c.read()
	return c, nil
}

// Echo sends the message and awaits the one that comes back.
func (c *rawClient) Echo(ctx context.Context, m *benchpb.Message) (*benchpb.Message, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	size := c.codec.size(m)
	call := rawCalls.Get().(*rawCall)
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return nil, c.err
	}
	c.out.begin(c.calls.open(call), size)
	var err error
	if c.out.tail, err = c.codec.append(c.out.tail, m); err != nil {
		c.failLocked(err) // half a frame cannot be taken back
	}
	first, alone := c.joinLocked()
	c.mu.Unlock()
	if first {
		c.write(alone)
	}
	select {
	case <-call.over:
	case <-ctx.Done():
		return nil, ctx.Err() // the reader still has the call
	}
	reply, err := call.reply, call.err
	call.reply, call.err = nil, nil
	rawCalls.Put(call)
	return reply, err
}

// joinLocked says whether who has queued a frame has to write, and whether
// nobody else could have one.
func (c *rawClient) joinLocked() (first, alone bool) {
	first = !c.writing
	c.writing = true
	return first, c.calls.used()+c.bursts.used() == 1
}

// write writes until there is nothing left. One caller at a time does.
func (c *rawClient) write(alone bool) {
	if !alone {
		runtime.Gosched() // others can join
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.out.empty() {
		some := c.out.take()
		c.mu.Unlock()
		err := write(c.nc, some)
		c.mu.Lock()
		c.out.giveBack(some)
		if err != nil {
			c.failLocked(err)
		}
	}
	c.writing = false
}

func (c *rawClient) read() {
	defer close(c.done)
	in := newFrames(c.nc)
	taken := batches{c: c}
	for {
		id, body, err := in.next()
		switch {
		case err != nil:
		case id&ofBurst != 0:
			err = taken.add(id, body)
		default:
			err = c.deliver(id, body)
		}
		if len(taken.of) > 0 && (err != nil || !in.whole()) {
			taken.hand()
		}
		if err != nil {
			c.mu.Lock()
			c.failLocked(cutShort(err)) // io.EOF is for the end of a stream
			c.mu.Unlock()
			return
		}
	}
}

func (c *rawClient) deliver(id uint64, body []byte) error {
	reply, err := c.codec.decode(body)
	if err != nil {
		return err
	}
	c.mu.Lock()
	call := c.calls.at(id)
	if call == nil || call.stays && !call.awaited {
		c.mu.Unlock()
		return fmt.Errorf("expected the id of a call; came %d", id)
	}
	call.awaited = false
	if !call.stays {
		c.calls.close(id)
	}
	c.mu.Unlock()
	call.reply = reply
	call.over <- struct{}{}
	return nil
}

// failLocked ends the connection and all calls with the first error.
func (c *rawClient) failLocked(err error) {
	if c.err != nil {
		return
	}
	c.err = err
	c.nc.Close()
	for _, call := range c.calls.of {
		if call != nil && (call.awaited || !call.stays) {
			call.err = err
			call.over <- struct{}{}
		}
	}
	for _, b := range c.bursts.of {
		if b != nil {
			b.fail(err)
		}
	}
	c.calls, c.bursts = slots[rawCall]{}, slots[rawBurst]{}
}

// Close ends the connection and waits for the reader.
func (c *rawClient) Close() error {
	c.mu.Lock()
	c.failLocked(net.ErrClosed)
	c.mu.Unlock()
	<-c.done
	return nil
}

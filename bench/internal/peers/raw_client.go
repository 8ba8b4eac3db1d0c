package peers

import (
	"context"
	"crypto/tls"
	"errors"
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
	calls   []*rawCall // by id; nil where there is none
	free    []uint64   // ids without a call
	out     pages
	writing bool
	err     error
}

type rawCall struct {
	reply *benchpb.Message
	err   error
	over  chan struct{} // gets one value
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
	id := c.open(call)
	c.out.begin(id, size)
	var err error
	if c.out.tail, err = c.codec.append(c.out.tail, m); err != nil {
		c.failLocked(err) // half a frame cannot be taken back
	}
	first := !c.writing
	c.writing = true
	alone := len(c.calls)-len(c.free) == 1
	c.mu.Unlock()
	if first {
		if !alone {
			runtime.Gosched() // others can join
		}
		c.write()
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

func (c *rawClient) open(call *rawCall) uint64 {
	if n := len(c.free); n > 0 {
		id := c.free[n-1]
		c.free = c.free[:n-1]
		c.calls[id] = call
		return id
	}
	c.calls = append(c.calls, call)
	return uint64(len(c.calls) - 1)
}

// write writes until there is nothing left. One caller at a time does.
func (c *rawClient) write() {
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
	for {
		id, body, err := in.next()
		if err == nil {
			err = c.deliver(id, body)
		}
		if err != nil {
			c.mu.Lock()
			c.failLocked(err)
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
	if id >= uint64(len(c.calls)) || c.calls[id] == nil {
		c.mu.Unlock()
		return fmt.Errorf("expected the id of a call; came %d", id)
	}
	call := c.calls[id]
	c.calls[id] = nil
	c.free = append(c.free, id)
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
	for i, call := range c.calls {
		if call != nil {
			c.calls[i] = nil
			call.err = err
			call.over <- struct{}{}
		}
	}
	c.free = nil
}

var errOnlyUnary = errors.New("a reference for unary calls has no streams")

// PingPong implements Client. It fails.
func (*rawClient) PingPong(context.Context) (PingPong, error) { return nil, errOnlyUnary }

// Send implements Client. It fails.
func (*rawClient) Send(context.Context, *benchpb.SendRequest) (Messages, error) {
	return nil, errOnlyUnary
}

// Close ends the connection and waits for the reader.
func (c *rawClient) Close() error {
	c.mu.Lock()
	c.failLocked(net.ErrClosed)
	c.mu.Unlock()
	<-c.done
	return nil
}

package simnet

import (
	"errors"
	"io"
	"net"
	"syscall"
	"time"
)

// An Addr is the name of a listener, or a name made up for one who dials.
type Addr string

// Network implements net.Addr.
func (Addr) Network() string { return "sim" }

// String implements net.Addr.
func (a Addr) String() string { return string(a) }

// A Conn is one end of a simulated connection. It is safe for use by several
// goroutines, and implements net.Conn with the errors of a TCP connection: at
// a deadline os.ErrDeadlineExceeded, after its own Close net.ErrClosed, after
// the peer's Close io.EOF for reads and EPIPE for writes, after a reset
// ECONNRESET. All but io.EOF come in a *net.OpError.
type Conn struct {
	wire          *wire
	in, out       *half
	local, remote Addr
}

var _ net.Conn = (*Conn)(nil)

// Pipe connects two ends by a link. They are named "a" and "b".
func Pipe(l Link) (a, b net.Conn) {
	return pipe(l, "a", "b")
}

func pipe(l Link, a, b Addr) (*Conn, *Conn) {
	w := newWire(l)
	return &Conn{w, &w.halves[0], &w.halves[1], a, b}, &Conn{w, &w.halves[1], &w.halves[0], b, a}
}

// Read gives octets that have arrived, or waits for some.
func (c *Conn) Read(b []byte) (int, error) {
	n, err := c.in.read(b)
	return n, c.opError("read", err)
}

// Write sends all octets. It blocks while the link's buffer is full.
func (c *Conn) Write(b []byte) (int, error) {
	n, err := c.out.write(b)
	return n, c.opError("write", err)
}

func (c *Conn) opError(op string, err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	return &net.OpError{Op: op, Net: c.local.Network(), Source: c.local, Addr: c.remote, Err: err}
}

// Close ends the connection. What was written still arrives, then the peer
// reads io.EOF; from then on its writes fail. What the peer sent is lost.
func (c *Conn) Close() error {
	c.wire.mu.Lock()
	defer c.wire.mu.Unlock()
	if c.in.readerClosed {
		return c.opError("close", net.ErrClosed)
	}
	now := c.wire.now()
	c.out.closeWriter(now)
	c.in.closeReader(now, syscall.EPIPE)
	return nil
}

// CloseWrite ends what this end sends: what was written still arrives, then the
// peer reads io.EOF. This end can go on to read.
func (c *Conn) CloseWrite() error {
	c.wire.mu.Lock()
	defer c.wire.mu.Unlock()
	if c.in.readerClosed {
		return c.opError("close", net.ErrClosed)
	}
	c.out.closeWriter(c.wire.now())
	return nil
}

// Reset ends the connection abruptly: what is on the way is lost, and the peer
// gets ECONNRESET for reads, after the octets that had arrived, and writes.
func (c *Conn) Reset() {
	c.wire.mu.Lock()
	defer c.wire.mu.Unlock()
	now := c.wire.now()
	c.out.abort(now)
	c.in.closeReader(now, syscall.ECONNRESET)
}

// Stall pulls the cable: from now on nothing arrives in either direction, not
// even the news of a Close or Reset. Writes go on into the buffer.
func (c *Conn) Stall() { c.wire.stall() }

// Resume plugs the cable in again. What was on the way at Stall arrives later
// by as long as the stall took.
func (c *Conn) Resume() { c.wire.resume() }

// CutRead makes each Read from now on give at most n octets, so that whoever
// reads sees the stream cut at places of the test's choice. Zero ends that.
func (c *Conn) CutRead(n int) {
	c.wire.mu.Lock()
	defer c.wire.mu.Unlock()
	c.in.cut = n
}

// Written is the number of octets that this end has written.
func (c *Conn) Written() int64 {
	c.wire.mu.Lock()
	defer c.wire.mu.Unlock()
	return c.out.octetsWritten
}

// Writes is the number of calls of Write at this end that had their turn.
func (c *Conn) Writes() int64 {
	c.wire.mu.Lock()
	defer c.wire.mu.Unlock()
	return c.out.writes
}

// Received is the number of octets that this end has read.
func (c *Conn) Received() int64 {
	c.wire.mu.Lock()
	defer c.wire.mu.Unlock()
	return c.in.octetsRead
}

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	return c.setDeadlines("set", &t, &t)
}

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error {
	return c.setDeadlines("set", &t, nil)
}

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.setDeadlines("set", nil, &t)
}

func (c *Conn) setDeadlines(op string, read, write *time.Time) error {
	c.wire.mu.Lock()
	defer c.wire.mu.Unlock()
	if c.in.readerClosed {
		return c.opError(op, net.ErrClosed)
	}
	if read != nil {
		c.in.readDeadline = *read
	}
	if write != nil {
		c.out.writeDeadline = *write
	}
	c.wire.broadcast()
	return nil
}

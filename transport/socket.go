package transport

import (
	"io"
	"net"
	"sync/atomic"

	"github.com/weir-rpc/weir/internal/frame"
)

// socket is how a connection's octets come and go. There are two kinds: plain
// sockets of the operating system, which can tell that they would block, and
// everything else (TLS, in-memory, wrapped connections), which cannot.
type socket interface {
	// read waits until there is something to read, then takes the connection's
	// buffer and reads into it. Only while nothing is buffered.
	read(c *conn) error
	// blocks reports whether a wait for octets holds the buffer that it was
	// given.
	blocks() bool
	// canTry reports whether tryWrite is possible.
	canTry() bool
	// tryWrite writes what the socket takes at once and gives the rest.
	tryWrite(segs [][]byte) (rest [][]byte, err error)
	// write writes everything, and waits as long as that takes. It changes taken
	// whenever a part is written.
	write(segs [][]byte, taken *atomic.Uint32) error
	// copies reports whether payloads should be copied behind their frame
	// headers, since there is no writev.
	copies() bool
}

// newSocket looks at nc's concrete type only: a wrapper that also gives out
// the raw socket under it, as gRPC's TLS connection does, is not one.
func newSocket(nc net.Conn, rd *frame.Reader) socket {
	switch nc := nc.(type) {
	case *net.TCPConn:
		if s := newPlainSocket(nc, nc, rd); s != nil {
			return s
		}
	case *net.UnixConn:
		if s := newPlainSocket(nc, nc, rd); s != nil {
			return s
		}
	}
	return &wrappedSocket{nc: nc}
}

// wrappedSocket is any net.Conn.
type wrappedSocket struct {
	nc      net.Conn
	scratch [frame.HeaderLen]byte
}

func (s *wrappedSocket) blocks() bool { return true }
func (s *wrappedSocket) canTry() bool { return false }
func (s *wrappedSocket) copies() bool { return true }

// read waits with the scratch of one frame header, so that a connection on
// which nothing happens holds no buffer.
func (s *wrappedSocket) read(c *conn) error {
	buf := s.scratch[:]
	if !c.waitsWithout() {
		c.lendReadBuffer()
		buf = c.rd.Space()
	}
	n, err := readSome(s.nc, buf)
	if n == 0 {
		return err
	}
	if c.readBuf == nil {
		c.lendReadBuffer()
		c.rd.Prime(buf[:n])
	} else {
		c.rd.Filled(n)
	}
	return nil
}

// maxEmptyReads is how often in a row Read may give nothing and no error, which
// does not mean anything: those of WebSockets do at the end of a message.
const maxEmptyReads = 100

// readSome reads something, or gives an error.
func readSome(nc net.Conn, b []byte) (n int, err error) {
	for range maxEmptyReads {
		if n, err = nc.Read(b); n > 0 || err != nil {
			return n, err
		}
	}
	return 0, io.ErrNoProgress
}

func (s *wrappedSocket) tryWrite(segs [][]byte) ([][]byte, error) { return segs, nil }

// write writes a chunk at a time: a write that has timed out would leave a TLS
// connection unusable, so that this is all one sees of how it gets on.
func (s *wrappedSocket) write(segs [][]byte, taken *atomic.Uint32) error {
	for _, b := range segs {
		if len(b) == 0 {
			continue
		}
		n, err := s.nc.Write(b)
		if err == nil && n < len(b) {
			err = io.ErrShortWrite // what followed would be no HTTP/2
		}
		if err != nil {
			return err
		}
		taken.Add(1)
	}
	return nil
}

//go:build unix

package transport

import (
	"io"
	"net"
	"sync/atomic"
	"syscall"

	"github.com/weir-rpc/weir/internal/frame"
	"golang.org/x/sys/unix"
)

// plainSocket is a TCP or unix socket of the operating system.
type plainSocket struct {
	nc net.Conn
	rc syscall.RawConn
	rd *frame.Reader

	// Owned by the reader.
	c       *conn
	n       int
	err     error
	readNow func(fd uintptr) bool

	// Owned by the writer's turn.
	segs      [][]byte
	wn        int
	werr      error
	writeNow  func(fd uintptr) bool
	writeSoon func(fd uintptr) bool
}

func newPlainSocket(nc net.Conn, sc syscall.Conn, rd *frame.Reader) socket {
	rc, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	s := &plainSocket{nc: nc, rc: rc, rd: rd}
	s.readNow, s.writeNow, s.writeSoon = s.tryRead, s.tryWritev, s.waitWritev // closures made once
	return s
}

func (s *plainSocket) blocks() bool { return false }
func (s *plainSocket) canTry() bool { return true }
func (s *plainSocket) copies() bool { return false }

func (s *plainSocket) read(c *conn) error {
	s.c = c
	if err := s.rc.Read(s.readNow); err != nil {
		return err
	}
	switch {
	case s.err != nil:
		return s.err
	case s.n == 0:
		return io.EOF
	}
	s.rd.Filled(s.n)
	return nil
}

// tryRead reads if there is something to read, else it gives the buffer back
// before the reader goes to sleep. A short read is followed by another one
// that says EAGAIN: the poller reports edges, and the end of the stream may
// have come with the octets.
func (s *plainSocket) tryRead(fd uintptr) bool {
	s.c.lendReadBuffer()
	for {
		s.n, s.err = rawRead(int(fd), s.rd.Space())
		switch s.err {
		case nil:
			return true
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			s.c.freeReadBuffer()
			return false
		}
		s.n = 0
		return true
	}
}

func (s *plainSocket) tryWrite(segs [][]byte) ([][]byte, error) {
	s.segs, s.wn = segs, 0 // writeNow is not called on a socket that is closed or late
	err := s.rc.Write(s.writeNow)
	s.segs = nil
	if err == nil {
		err = s.werr
	}
	return unwritten(segs, s.wn), err
}

func (s *plainSocket) tryWritev(fd uintptr) bool {
	s.wn = 0
	for {
		var n int
		n, s.werr = writev(int(fd), s.segs)
		switch s.werr {
		case nil:
			s.wn = n
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			s.werr = nil
		}
		return true
	}
}

// maxVec is how many pieces one writev takes (IOV_MAX is 1,024).
const maxVec = 1024

func writev(fd int, segs [][]byte) (int, error) {
	for len(segs) > 0 && len(segs[0]) == 0 {
		segs = segs[1:]
	}
	switch {
	case len(segs) == 0:
		return 0, nil
	case (len(segs) == 1 || len(segs) == 2 && len(segs[1]) == 0) && len(segs[0]) <= chunkSize:
		return rawWrite(fd, segs[0])
	case len(segs) > maxVec:
		segs = segs[:maxVec]
	}
	return rawWritev(fd, segs)
}

// unwritten gives what is left of segs after n octets.
func unwritten(segs [][]byte, n int) [][]byte {
	for len(segs) > 0 && n >= len(segs[0]) {
		n -= len(segs[0])
		segs = segs[1:]
	}
	if n > 0 {
		segs[0] = segs[0][n:]
	}
	return segs
}

func (s *plainSocket) write(segs [][]byte, taken *atomic.Uint32) error {
	for segs = unwritten(segs, 0); len(segs) > 0; segs = unwritten(segs, s.wn) {
		s.segs = segs
		err := s.rc.Write(s.writeSoon)
		s.segs = nil
		if err == nil {
			err = s.werr
		}
		if err != nil {
			return err
		}
		taken.Add(1)
	}
	return nil
}

// waitWritev is tryWritev that is not content with nothing.
func (s *plainSocket) waitWritev(fd uintptr) bool {
	return s.tryWritev(fd) && (s.wn > 0 || s.werr != nil)
}

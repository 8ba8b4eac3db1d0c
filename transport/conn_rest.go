package transport

import (
	"errors"
	"net"
	"os"
	"syscall"
	"time"
)

// restAfter is how long nothing is read before the reader rests: long enough
// that who has a call now and then does not pay for it.
const restAfter = time.Second

// restState is how the reader of an idle connection comes to rest. Its stack has
// grown with what it handled and never shrinks to what a wait needs; so it goes
// on as a new goroutine, and lets go of what serves the next call faster. A read
// deadline tells when, which is set once in restAfter at the most.
//
//	something read, then a wait ──► deadline ──► nothing read meanwhile: rest
//	                                   ▲   └───► something read ┐
//	                                   └────────────────────────┘
//
// Owned by the reader.
type restState struct {
	can   bool // reads of nc may time out, and the reader may be another goroutine
	awake bool // something was read since the deadline was set, or since the rest
	armed bool // the deadline is set
}

// errRest ends a reader that another takes the place of.
var errRest = errors.New("BUG: the reader rests")

// mayRest says that the reader is a goroutine of its own. It rests where a read
// that timed out is known to do no harm: on a socket of the operating system, and
// with TLS above one.
func (c *conn) mayRest() {
	c.rest.can = !c.sock.blocks() || c.secured && c.cfg.AuthInfo.AuthType() == "tls" && onSystemSocket(c.nc)
	c.rest.awake = c.rest.can
}

// onSystemSocket reports whether what is under a secured connection is a socket
// of the operating system. What a dialer gives in its place, a stream of a
// multiplexer or a WebSocket, may say of a timeout what crypto/tls never forgets,
// or end with it.
func onSystemSocket(nc net.Conn) bool {
	if secured, ok := nc.(interface{ NetConn() net.Conn }); ok {
		nc = secured.NetConn() // of a *tls.Conn
	}
	_, ok := nc.(syscall.Conn) // so is gRPC's TLS connection, if what it is above is
	return ok
}

// armRest sets the deadline, before a wait.
//
//go:noinline
func (c *conn) armRest() {
	r := &c.rest
	r.awake = false
	r.armed = c.nc.SetReadDeadline(time.Now().Add(restAfter)) == nil
}

// tired says what the error of a read means: nothing, that the reader rests, or
// the end.
//
//go:noinline
func (c *conn) tired(err error) error {
	r := &c.rest
	if !r.armed || !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	r.armed = false
	if err := c.nc.SetReadDeadline(time.Time{}); err != nil || r.awake {
		return err
	}
	c.letGo()
	return errRest
}

// letGo frees what is only kept to be used again.
func (c *conn) letGo() {
	c.touched, c.list.Rest, c.opening = nil, nil, nil
	if !c.block.open {
		c.block.octets = nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.writing && c.out.empty() && len(c.out.owned) == 0 {
		c.out, c.spare, c.hbuf = pending{}, pending{}, nil
	}
}

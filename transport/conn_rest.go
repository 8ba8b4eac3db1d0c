package transport

import (
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/weir-rpc/weir/internal/field"
)

// defaultRestAfter is how long nothing is read before the reader rests: long
// enough that who has a call now and then does not pay for it.
const defaultRestAfter = time.Second

// restState is how the reader of an idle connection comes to rest. Its stack has
// grown with what it handled and never shrinks to what a wait needs; so it goes
// on as a new goroutine, and lets go of what serves the next call faster. A read
// deadline tells when, which is set once in that time at the most.
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
	c.rest.can = !c.sock.blocks() || c.secured && c.cfg.AuthInfo.AuthType() == "tls" && systemSocket(c.nc) != nil
	c.rest.awake = c.rest.can
}

// systemSocket gives the socket of the operating system that is a connection, or
// is under a secured one; nil if there is none. What a dialer gives in its place,
// a stream of a multiplexer or a WebSocket, may say of a timeout what crypto/tls
// never forgets, or end with it.
func systemSocket(nc net.Conn) syscall.Conn {
	if secured, ok := nc.(interface{ NetConn() net.Conn }); ok {
		nc = secured.NetConn() // of a *tls.Conn
	}
	sc, _ := nc.(syscall.Conn) // so is gRPC's TLS connection, if what it is above is
	return sc
}

// armRest sets the deadline, before a wait.
//
//go:noinline
func (c *conn) armRest() {
	r := &c.rest
	r.awake = false
	r.armed = c.nc.SetReadDeadline(time.Now().Add(c.cfg.restAfter())) == nil
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

// A sleeper wants to know when its socket can be read: when octets came, the peer
// closed it or the connection is lost. It is told once, on a goroutine of its own.
type sleeper interface{ readable() }

// sleepers are the connections of this process that wait without a goroutine.
var sleepers poller

// sleep waits for what the peer sends, without a goroutine if that is possible.
// The reader is over, and a new one goes on.
func (c *conn) sleep() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cfg.Exclusive && c.life != lifeClosed && c.writeErr == nil {
		if sc := systemSocket(c.nc); sc != nil {
			if rc, err := sc.SyscallConn(); err == nil {
				c.asleep = sleepers.sleep(rc, c)
			}
		}
	}
	if c.asleep == 0 {
		go c.read()
	}
}

// readable goes on reading: it implements sleeper.
func (c *conn) readable() {
	c.mu.Lock() // sleep may not be over
	c.asleep = 0
	c.mu.Unlock()
	c.read()
}

// wakeLocked has somebody read again, who notices that nc is closed.
func (c *conn) wakeLocked() {
	if c.asleep != 0 && sleepers.cancel(c.asleep) {
		c.asleep = 0
		go c.read()
	}
}

// letGo frees what is only kept to be used again.
func (c *conn) letGo() {
	c.touched, c.list = nil, field.List{}
	if !c.client || c.gotSetting { // else it tells what the server speaks
		c.opening = nil
	}
	c.dec.Forget()
	if !c.block.open {
		c.block.octets = nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.streams.rest()
	c.enc.Forget()
	c.role.restLocked()
	if !c.writing && c.out.empty() && len(c.out.owned) == 0 {
		c.out, c.spare, c.hbuf = pending{}, nil, nil
	}
}

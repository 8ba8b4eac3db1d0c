package transport

import (
	"github.com/weir-rpc/weir/internal/buffer"
	"github.com/weir-rpc/weir/internal/flow"
	"github.com/weir-rpc/weir/internal/gate"
	"github.com/weir-rpc/weir/internal/grpcwire"
	"github.com/weir-rpc/weir/internal/sched"
	"github.com/weir-rpc/weir/internal/wait"
)

// outbound is the sending half of a stream. Guarded by c.mu.
type outbound struct {
	flow     flow.OutFlow
	queue    sched.Queue[outMessage]
	first    [1]outMessage // backs queue at first: most streams send one message at a time
	queued   int           // octets in queue
	batch    uint32        // conn.batch when a client sent HEADERS, or a server END_STREAM
	messages uint32        // that were given to Send
	end      bool
	sentEnd  bool
	over     bool // END_STREAM was sent after the peer's: that ended the stream
	left     bool // the stream has left the table: nothing can be sent any more
	inRound  bool
	waiting  bool        // a Send waits for quota
	reason   wait.Reason // why the queue does not move
	trailers *trailers   // the server's last HEADERS
	quota    gate.Gate   // only its signal is used: c.mu guards
}

// outMessage is a message of which not everything is framed, or several that lie
// behind one another.
type outMessage struct {
	buf    *[]byte
	rest   []byte
	copied bool // frames take a copy, else they refer to buf
	shared bool // buf goes back to no pool: see NewSharedBuffer
}

// writeQuota is how much of a stream's messages may wait to be framed before
// Send waits.
const writeQuota = 64 << 10

// ready reports whether a turn in the round would send something.
func (o *outbound) ready() bool { return o.queued > 0 && o.flow.Available() > 0 }

// Messages that have to wait behind others are copied together, so that a stream
// which is held up needs neither a buffer nor a turn for each: those of up to
// joinLimit octets, the first in a buffer of firstJoint, more in one of nextJoint.
const (
	joinLimit  = 1 << 10
	firstJoint = 2 << 10
	nextJoint  = 16 << 10
)

// addLocked puts a message behind the others.
func (o *outbound) addLocked(m outMessage) {
	n := len(m.rest)
	o.messages++
	o.queued += n
	if o.queued == n || n > joinLimit || m.shared {
		o.queue.Push(m)
		return
	}
	last := o.queue.Back()
	if !last.join(m.rest) {
		size := firstJoint
		if cap(*last.buf) >= firstJoint {
			size = nextJoint
		}
		b := buffer.Get(size)
		*b = append((*b)[:0], m.rest...)
		o.queue.Push(outMessage{buf: b, rest: *b, copied: true})
	}
	buffer.Put(m.buf)
}

// join puts p behind what is in m, and reports whether there was room.
func (m *outMessage) join(p []byte) bool {
	have, room := len(*m.buf), min(cap(*m.buf), nextJoint)
	if !m.copied || m.shared || have+len(p) > room {
		return false
	}
	framed := have - len(m.rest)
	*m.buf = append(*m.buf, p...)
	m.rest = (*m.buf)[framed:]
	return true
}

// popLocked takes the first message off the queue. Its memory goes back when
// what refers to it is written.
func (o *outbound) popLocked(c *conn) {
	m := o.queue.Pop()
	untouched := len(m.rest) == len(*m.buf)
	switch {
	case m.shared: // the garbage collector's
	case m.copied || untouched || !c.writing && c.out.empty():
		buffer.Put(m.buf)
	default:
		c.out.keep(m.buf)
	}
}

// signalQuota wakes a Send that waits if the queue has drained enough.
func (o *outbound) signalQuota() {
	if o.waiting && o.queued < writeQuota {
		o.waiting = false
		o.quota.Signal()
	}
}

// leaveLocked drops what is queued, and wakes a Send that waits.
func (st *stream) leaveLocked() {
	o := &st.out
	o.left, o.trailers = true, nil
	o.dropLocked(st.c)
	o.signalQuota()
}

// dropLocked drops what is queued.
func (o *outbound) dropLocked(c *conn) {
	for o.queue.Len() > 0 {
		o.popLocked(c)
	}
	o.queued = 0
}

// begunLocked reports whether a part of a message is framed and the rest not.
func (o *outbound) begunLocked() bool {
	if o.queue.Len() == 0 {
		return false
	}
	m := o.queue.Front()
	at, framed := 0, len(*m.buf)-len(m.rest)
	for at < framed {
		_, n, _ := grpcwire.ParsePrefix((*m.buf)[at:])
		at += grpcwire.PrefixLen + int(n)
	}
	return at > framed
}

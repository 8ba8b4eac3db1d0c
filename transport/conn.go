package transport

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-rpc/weir/inspect"
	"github.com/weir-rpc/weir/internal/field"
	"github.com/weir-rpc/weir/internal/flow"
	"github.com/weir-rpc/weir/internal/frame"
	"github.com/weir-rpc/weir/internal/liveness"
	"github.com/weir-rpc/weir/internal/sched"
	"google.golang.org/grpc/peer"
)

// lifetime is how far a connection has come. It only ever rises.
type lifetime uint8

const (
	lifeOpen     lifetime = iota
	lifeDraining          // GOAWAY sent or received: no new streams, the old ones finish
	lifeClosed            // err is set: nothing is sent any more but the last words
)

// role is the part in which client and server differ.
type role interface {
	// headers is a complete header block, decoded. On the reader.
	headers(id uint32, endStream bool, l *field.List) *frame.Error
	// received says that a stream has news. On the reader, at the end of a read.
	received(st *stream)
	// batchEnd is the end of a read's frames, after received.
	batchEnd()
	// settingsLocked says that what bounds new streams has changed: the peer's
	// SETTINGS, life, or what waits for the socket.
	settingsLocked()
	// goAway is the peer's. On the reader.
	goAway(last uint32, code ErrCode, debug []byte)
	// removedLocked says that a stream has left the table.
	removedLocked(st *stream)
	// schedule is what to do about time on a connection that is ready now.
	schedule(now time.Time) *liveness.Schedule
	// keepalive names the peer and the option by which it was found dead, and
	// gives that option's Timeout.
	keepalive() (peer, option string, timeout time.Duration)
	// restLocked lets go of what is only kept to be used again.
	restLocked()
	// closed says that the connection is over; the streams know already.
	closed(err *ConnError)
}

// conn is one HTTP/2 connection, whichever side of it: the core that
// http2Client and http2Server share. See doc.go for who owns what.
type conn struct {
	// Immutable after init.
	role    role
	nc      net.Conn
	sock    socket
	cfg     *ConnConfig
	peer    *peer.Peer
	done    chan struct{} // of a client nil until somebody asks, and guarded by mu
	client  bool
	secured bool // nc deals in records, by what AuthInfo is

	// Owned by the reader; here there is room for them.
	gotSetting bool
	partial    bool // the last frame was DATA, and its message goes on

	parts atomic.Int32 // reader, writer and the end of the streams: done is closed when all have ended

	// Owned by the reader.
	rd       frame.Reader
	frame    frame.Frame
	readBuf  *[]byte
	dec      field.Decoder
	list     field.List
	block    headerBlock
	recvFlow flow.ConnInFlow
	bdp      bdpState
	touched  []*stream
	readAt   time.Duration // when the read was whose frames are handled, after record.begun
	opening  []byte        // the first octets of a server, until it proves to be one
	budget   idleBudget    // says itself what mu guards
	rest     restState

	mu sync.Mutex
	// Guarded by mu.
	joiners  joiners
	batch    uint32        // counts what went to the socket
	ready    chan struct{} // closed when the peer's SETTINGS have come; nil if nobody waits
	over     func()        // called on a goroutine of its own when done is closed; may be nil
	err      *ConnError
	streams  streamTable
	nextID   uint32 // of the next stream that we open
	maxID    uint32 // highest id that the peer opened
	enc      field.Encoder
	hbuf     []byte // scratch for header blocks
	sendFlow flow.OutFlow
	settings peerSettings
	joined   uint32   // batch, when a client opened its latest stream
	out      pending  // what goes to the socket next
	spare    *pending // what goes there now, or nil; its turn's holder owns it while writing
	ctl      sched.ControlBuffer
	round    sched.Round[*stream]
	life     lifetime
	writing  bool   // someone has the writer's turn
	bulk     bool   // the latest messages were large, and the socket took them quickly
	owed     bool   // out has frames of the reader that nobody else flushes
	crowded  bool   // calls of a client wait until out is taken
	coming   bool   // maxID is that of a stream which is about to be in the table, or refused
	finished bool   // done is closed, or is to be when there is one
	acked    bool   // the peer knows our SETTINGS
	looks    bool   // a client's answers have a timer, or need none
	asleep   uint32 // ticket of sleepers; 0 if somebody reads
	linger   bool   // the reader closes nc, when the peer has or the time is over
	writeErr error  // nothing can be written any more; the reader ends the connection
	ping     pingState
	drain    drainState
	ended    recentIDs       // streams that we reset: late frames are nobody's fault
	refused  refusedRequests // of a server
	ackTimer *time.Timer     // nil if no acknowledgement of SETTINGS is waited for
	closer   *time.Timer     // closes nc, when the end has taken long enough
	deadline deadlineTimer
	stall    stallWatch
	live     livenessState // says itself who owns what
	record   record
	tally    *tally
	// The window of a stream as our last SETTINGS have it, and the largest that
	// the peer may count with until it acknowledges them.
	recvWindow, recvWindowMax uint32
}

// option gives the name that an option of both sides has on this one, for errors.
func (c *conn) option(name string) string {
	if c.client {
		return "With" + name
	}
	return name
}

// peerSettings are the values that the peer announced.
type peerSettings struct {
	seen              bool
	initialWindow     uint32
	maxFrameSize      uint32
	maxStreams        uint32
	maxHeaderListSize uint32
}

// init makes the core around nc. It does no I/O.
func (c *conn) init(nc net.Conn, client bool, r role, cfg *ConnConfig) {
	c.client, c.role, c.nc, c.cfg = client, r, nc, cfg
	c.peer = &peer.Peer{Addr: nc.RemoteAddr(), LocalAddr: nc.LocalAddr(), AuthInfo: cfg.AuthInfo}
	if !client {
		c.done = make(chan struct{})
	}
	if client {
		c.ready = make(chan struct{})
	}
	c.nextID = 1
	c.settings = peerSettings{
		initialWindow: 65535,
		maxFrameSize:  frame.DefaultMaxSize,
		// What a server is recommended to allow at least, until it says more.
		// https://www.rfc-editor.org/rfc/rfc9113#section-6.5.2
		maxStreams: 100,
	}
	c.rd.SetMaxSize(cfg.maxFrameSize(), cfg.largestWhole())
	c.sock = newSocket(nc, &c.rd)
	c.secured = cfg.AuthInfo != nil && cfg.AuthInfo.AuthType() != "insecure"
	c.dec.Init(cfg.headerTableSize(), cfg.maxHeaderListSize())
	c.sendFlow.Init(65535)
	c.recvWindow = cfg.initialWindowSize()
	c.recvWindowMax = max(c.recvWindow, flow.DefaultWindow)
	c.bdp.init(cfg)
	c.budget.left = cfg.rare().IdleFrames.burst()
	c.parts.Store(3)
	c.deadline.c = c
	c.record.begun = time.Now()
	c.tally = &tally{id: cfg.InspectID}
	if c.tally.id == 0 {
		c.tally.id = inspect.NextID()
	}
}

// start sends the preface and what must follow it.
func (c *conn) start() {
	c.mu.Lock()
	if c.client {
		c.out.copy([]byte(frame.ClientPreface))
	}
	c.announceLocked(c.recvFlow.Init(c.cfg.initialConnWindowSize()))
	c.flush(flushAsync)
}

// fail ends the connection: every stream fails, everyone who waits wakes, and
// what can still be said is said. The first call decides. It does not wait.
func (c *conn) fail(err *ConnError) {
	c.mu.Lock()
	c.failLocked(err)
	c.mu.Unlock()
}

func (c *conn) failLocked(err *ConnError) {
	if c.life == lifeClosed {
		return
	}
	c.life, c.err = lifeClosed, c.completeLocked(err)
	c.wakeLocked()
	streams := c.streams
	c.streams = streamTable{}
	c.stopAckTimerLocked()
	c.ping.stop()
	c.drain.stop()
	c.deadline.stop()
	c.stall.stop()
	c.live.stop()
	// Then what is pending is dropped, and calls whose headers are in it never left.
	lost := err.By != ByLocal || c.client && err.Cause == ErrWriteTimeout
	if lost {
		c.out.discard()
	}
	batch := c.batch
	if err.By == ByLocal {
		last := c.maxID
		if c.drain.last {
			// "Endpoints MUST NOT increase the value they send in the last stream
			// identifier".
			// https://www.rfc-editor.org/rfc/rfc9113#section-6.8
			last = min(last, c.drain.lastID)
		}
		c.goAwayLocked(last, err.Code, err.Reason)
	}
	for st := range streams.each {
		st.leaveLocked()
	}
	c.role.settingsLocked() // nobody tries to open a stream any more
	c.closeWithinLocked(lastWordsTimeout)
	if !c.writing {
		c.writing = true
		go c.lastWords()
	}
	// The streams are told without mu, which their owners may want.
	go func() {
		for st := range streams.each {
			unsent := c.client && lost && st.out.batch == batch
			e := c.connLost(err, unsent || st.unprocessed(err))
			e.Unsent = unsent
			st.fail(e)
		}
		c.role.closed(err)
		c.partEnded()
	}()
}

// lastWords writes what is left, GOAWAY above all, and closes the connection.
// It runs with the writer's turn, which is never given back.
func (c *conn) lastWords() {
	c.mu.Lock()
	for !c.out.empty() {
		batch := c.takeLocked()
		c.mu.Unlock()
		err := c.sock.write(batch.segs, &c.stall.taken)
		c.mu.Lock()
		batch.drop()
		if err != nil {
			break
		}
	}
	c.out.drop()
	linger := c.linger
	c.mu.Unlock()
	if half, ok := c.nc.(interface{ CloseWrite() error }); linger && ok {
		_ = half.CloseWrite()
	}
	if !linger {
		_ = c.nc.Close()
	}
	c.partEnded()
}

// lastWordsTimeout is how long a peer that does not read keeps the last words.
const lastWordsTimeout = time.Second

// closeWithinLocked sees to it that nc is closed after d, if not before: that
// ends reads and writes that wait, where there are no deadlines too.
func (c *conn) closeWithinLocked(d time.Duration) {
	if c.closer == nil {
		c.closer = time.AfterFunc(d, func() { _ = c.nc.Close() })
		return
	}
	c.closer.Reset(d)
}

func (c *conn) partEnded() {
	if c.parts.Add(-1) == 0 {
		c.mu.Lock()
		c.closer.Stop()
		over := c.over
		if c.finished = true; c.done != nil {
			close(c.done)
		}
		c.mu.Unlock()
		if over != nil {
			go over()
		}
	}
}

// readyLocked lets those go on who wait for the peer's first SETTINGS, or for
// the end of the connection.
func (c *conn) readyLocked() {
	if c.ready != nil {
		close(c.ready)
		c.ready = nil
	}
}

// close ends the connection and waits until it has.
func (c *conn) close(reason string) {
	c.mu.Lock()
	c.failLocked(&ConnError{Code: CodeNoError, By: ByLocal, Reason: reason})
	if c.linger && c.parts.Load() > 0 {
		c.closeWithinLocked(lastWordsTimeout)
	}
	c.mu.Unlock()
	<-c.Done()
}

// Done gives what is closed when the connection is over. A client has it only if
// somebody asks.
func (c *conn) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.finished {
			close(c.done)
		}
	}
	return c.done
}

// lastErr gives why the connection ended, or nil.
func (c *conn) lastErr() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		return nil
	}
	return c.err
}

// removeLocked takes st out of the table. It reports whether st was there: who
// removed a stream decides how it ends.
func (c *conn) removeLocked(st *stream) bool {
	if st.out.left {
		return false
	}
	c.streams.remove(st)
	if st.state.canRecv() {
		c.budget.leftOpenLocked(c.recvWindowMax)
	}
	st.state = stateClosed
	st.leaveLocked()
	c.role.removedLocked(st)
	c.streamsChangedLocked()
	if st.out.inRound && c.round.Len() > 2*c.streams.len()+64 {
		c.sweepRoundLocked()
	}
	c.drainedLocked()
	return true
}

// sweepRoundLocked takes the streams out of the round that have ended: a peer
// that gives no credit and resets its streams must not fill it.
func (c *conn) sweepRoundLocked() {
	for range c.round.Len() {
		if st := c.round.Pop(); !st.out.left {
			c.round.Push(st)
		} else {
			st.out.inRound = false
		}
	}
}

// resetLocked removes st and tells the peer why: before, since a connection
// that drains may end with its last stream.
func (c *conn) resetLocked(st *stream, code ErrCode) {
	if st.out.left {
		return
	}
	c.ended.add(st.id)
	c.tally.resetOutLocked(code)
	c.reply(func() bool { return c.ctl.Reset(st.id, code) })
	c.removeLocked(st)
}

// reply queues what the peer provoked. If the controlBuffer has no room, for one
// read can provoke more than it holds, what it has goes before: to what is
// pending, if nobody writes yet and it is not much. With mu held.
func (c *conn) reply(queue func() bool) {
	ok := queue()
	if !ok && !c.writing && c.out.size < refusalLimit {
		c.hbuf = c.takeControlLocked(c.hbuf[:0])
		c.out.copy(c.hbuf)
		c.shrinkScratchLocked()
		c.owed = true
		ok = queue()
	}
	c.replied(ok)
}

// replied ends the connection if there was no room for a reply: the peer makes
// us answer and does not read the answers. With mu held.
func (c *conn) replied(ok bool) {
	if !ok {
		c.failLocked(&ConnError{Code: CodeEnhanceYourCalm, By: ByLocal,
			Reason: "the peer provokes replies (PING, SETTINGS, resets) faster than it reads them"})
	}
}

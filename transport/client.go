package transport

import (
	"cmp"
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-rpc/weir/internal/field"
	"github.com/weir-rpc/weir/internal/frame"
	"github.com/weir-rpc/weir/internal/wait"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
)

// http2Client is the client's end of a connection.
type http2Client struct {
	conn
	cfg      ClientConfig
	draining chan struct{}

	// Guarded by conn.mu.
	slots    slots
	blocks   headerBlocks
	idleness idleness
	// greeting ends the wait for the server's SETTINGS; nil if nobody needs it.
	greeting *time.Timer
	ending   *ending // nil without an owner that wants to know

	// idle has streams for RoundTrip, and is nil while there are none. Each has a
	// channel, so that the pool ends with the connection.
	idle atomic.Pointer[sync.Pool]
}

// NewHTTP2Client makes a ClientTransport of nc, which is dialed and secured
// already. It sends the preface and waits, as long as ctx allows, for the
// server's SETTINGS, unless ClientConfig.EarlyCalls is set. The transport owns
// nc from then on; if an error is returned, nc is closed.
func NewHTTP2Client(ctx context.Context, nc net.Conn, cfg ClientConfig) (ClientTransport, error) {
	if err := cfg.check(); err != nil {
		_ = nc.Close()
		return nil, err
	}
	t := &http2Client{cfg: cfg, draining: make(chan struct{})}
	t.conn.init(nc, true, t, &t.cfg.ConnConfig)
	t.cfg.Authority = cmp.Or(t.cfg.Authority, at("", t.peer.Addr), "localhost") // of a socket without a name
	t.blocks.init(&t.cfg)
	ready := t.ready
	t.start()
	t.mayRest()
	go t.read()
	t.expectCalls()
	if cfg.EarlyCalls && ctx.Err() == nil {
		t.expectSettings(ctx)
		return t, nil
	}
	if err := wait.For(ctx, wait.Connect, wait.Holder{}, ready); err != nil {
		t.fail(&ConnError{By: ByLocal, Reason: noSettings, Cause: err})
		<-t.Done()
		return nil, t.lastErr()
	}
	if err := t.lastErr(); err != nil {
		<-t.Done()
		return nil, err
	}
	return t, nil
}

func (t *http2Client) Ping(ctx context.Context) error { return t.sendPing(ctx) }
func (t *http2Client) Peer() *peer.Peer               { return t.peer }
func (t *http2Client) GracefulClose()                 { t.drainClient() }
func (t *http2Client) Close(reason string)            { t.close(reason) }
func (t *http2Client) Draining() <-chan struct{}      { return t.draining }
func (t *http2Client) Err() error                     { return t.lastErr() }

// Ready has a channel only as long as there is something to wait for.
func (t *http2Client) Ready() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ready == nil {
		over := make(chan struct{})
		close(over)
		return over
	}
	return t.ready
}

// Authority gives the :authority of calls that name none.
func (t *http2Client) Authority() string { return t.cfg.Authority }

func (t *http2Client) AfterDraining(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.endingLocked().leave = f
	if t.life != lifeOpen {
		t.leaveLocked()
	}
}

// leaveLocked says that no more streams can be opened.
func (t *http2Client) leaveLocked() {
	t.endNoticeLocked()
	select {
	case <-t.draining:
	default:
		close(t.draining)
	}
	if e := t.ending; e != nil && e.leave != nil {
		go e.leave()
		e.leave = nil
	}
}

// refusedLocked is how a call ends for which no stream can be opened any more,
// or nil.
func (t *http2Client) refusedLocked() *StreamError {
	switch t.life {
	case lifeClosed:
		lost := t.connLost(t.err, true)
		lost.Unsent = true
		return lost
	case lifeDraining:
		text := "the connection is draining"
		if t.drain.reason != "" {
			text += ": " + t.drain.reason
		}
		return &StreamError{Code: CodeRefusedStream, By: ByLocal, Unprocessed: true, Unsent: true, Status: unavailable(text)}
	}
	return nil
}

// openLocked gives st the next id, sends its headers and puts it in the table:
// ids reach the wire in their order, and so does the state of the encoder.
//
// "The identifier of a newly established stream MUST be numerically greater than
// all streams that the initiating endpoint has opened or reserved."
// https://www.rfc-editor.org/rfc/rfc9113#section-5.1.1
func (t *http2Client) openLocked(ctx context.Context, st *stream, call *Call) *StreamError {
	now := t.clockLocked()
	b, err := t.encodeLocked(ctx, now, t.hbuf[:0], call)
	t.hbuf = b[:0]
	if err != nil {
		t.slots.releaseLocked(t)
		return err
	}
	st.id = t.nextID
	t.nextID += 2
	st.openLocked()
	t.budget.earned += earnedCall
	t.streams.add(st)
	st.client.method, st.client.begun = call.Method, now.Sub(t.record.begun)
	t.tally.openedLocked(st.client.begun)
	t.joined, st.out.batch = t.batch, t.batch
	t.headersLocked(st.id, b, false)
	t.streamsChangedLocked()
	t.shrinkScratchLocked()
	if !t.looks {
		t.watchAnswersLocked()
	}
	if t.nextID > fewIDs {
		t.fewIDsLocked()
	}
	return nil
}

// clockLocked gives the time for a call. Calls that leave in one write, which
// is a matter of microseconds unless the socket takes no more, share what the
// first of them saw: looking at the clock takes a hundredth of a call.
func (t *http2Client) clockLocked() time.Time {
	if t.writing && !t.stall.waiting && t.joined == t.batch && t.tally.opened > 0 {
		return t.record.begun.Add(t.tally.latest)
	}
	return time.Now()
}

// lastClientID is where a client stops opening streams: what is left above is
// for those that are about to be opened.
const lastClientID = 1<<31 - 1<<16

// acquire gets a stream slot for a call, with mu held when it succeeds.
func (t *http2Client) acquire(ctx context.Context, call *Call) *StreamError {
	if call.Slot {
		return t.acquireTaken(ctx, call)
	}
	if err := call.check(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		e := contextError(ctx)
		e.Unprocessed, e.Unsent = true, true
		return e
	}
	t.mu.Lock()
	if err := t.refusedLocked(); err != nil {
		t.mu.Unlock()
		return err
	}
	if t.slots.tryLocked(t) {
		return nil
	}
	return t.slots.wait(ctx, t)
}

// headers is a response's headers or trailers.
func (t *http2Client) headers(id uint32, end bool, l *field.List) *frame.Error {
	var r *response
	if !l.TooLarge {
		r = parseResponse(l)
	}
	t.mu.Lock()
	st := t.streams.find(id)
	if st == nil {
		idle := t.isIdleLocked(id)
		t.mu.Unlock()
		if idle || id%2 == 0 {
			return protocolErrorf("HEADERS for stream %d, which the client has not opened", id)
		}
		t.idleFrame(idleLate, 1)
		return nil
	}
	switch {
	case end:
		// The call is over, whether our side has said everything or not.
		t.tally.endedLocked(r != nil && r.isOK())
		if st.state.recvEnd() {
			t.removeLocked(st)
		} else {
			t.resetAfterLocked(st)
		}
	case l.TooLarge:
		t.resetLocked(st, CodeCancel) // before it is told: nobody else may tell, too
	}
	t.mu.Unlock()
	var fault *StreamError
	if l.TooLarge {
		fault = localErrorf(CodeCancel, codes.Internal,
			"the server sent a header list of more than %d octets (option WithMaxHeaderListSize)", t.conn.cfg.maxHeaderListSize())
		st.fail(fault)
	} else {
		fault = st.client.response(r, end)
	}
	if fault != nil && !end {
		t.mu.Lock()
		t.resetLocked(st, fault.Code)
		t.mu.Unlock()
	}
	t.touch(st)
	return nil
}

// received tells a call that something came for it.
func (t *http2Client) received(st *stream) {
	cs := st.client
	switch {
	case !st.in.over && cs.unary:
		return
	case !st.in.over, cs.gotTrailer:
		t.joiners.wakes(cs)
		st.in.Signal()
		return
	}
	st.in.Lock()
	ended, fault := st.in.ended, st.in.fault
	if ended && fault == nil && !cs.gotTrailer {
		fault = localErrorf(CodeProtocol, codes.Internal, "the server ended the stream without trailers")
		st.in.fault = fault
	}
	st.in.Unlock(false)
	if fault != nil {
		t.mu.Lock()
		t.resetLocked(st, fault.Code)
		t.mu.Unlock()
	}
	if ended || !cs.unary {
		st.in.Signal() // of a unary call the last that is done to it: see reply
	}
	if ended {
		cs.tellHeader()
	}
}

func (t *http2Client) batchEnd() {}

// settingsLocked gives out stream slots if the server raised the limit, or
// turns those away who wait for one on a connection that drains.
func (t *http2Client) settingsLocked() {
	t.slots.grantLocked(t)
	t.greetedLocked()
	switch {
	case t.life != lifeOpen:
		t.leaveLocked()
	case t.settings.maxStreams == 0:
		t.noticeLocked("the server allows no streams any more (SETTINGS_MAX_CONCURRENT_STREAMS is 0)")
	}
}

func (t *http2Client) removedLocked(*stream) { t.slots.releaseLocked(t) }

// goAway is the server's: no new streams, and those above last were not
// processed.
//
// "Activity on streams numbered lower than or equal to the last stream
// identifier might still complete successfully."
// https://www.rfc-editor.org/rfc/rfc9113#section-6.8
func (t *http2Client) goAway(last uint32, code ErrCode, debug []byte) {
	text := "the server sent " + goAwayText(code, debug) + t.tooManyPings(code, debug)
	t.mu.Lock()
	if t.holdsGoAwayLocked(last, code, debug, text) {
		t.mu.Unlock()
		return
	}
	if t.life == lifeOpen {
		t.life = lifeDraining
	}
	t.drain.reason = text
	t.settingsLocked()
	var above []*stream
	for _, st := range t.streamsLocked() {
		if st.id > last {
			t.removeLocked(st)
			above = append(above, st)
		}
	}
	var gone *ConnError
	if len(above) > 0 {
		gone = t.completeLocked(&ConnError{Code: code, By: ByPeer, Reason: text})
	}
	t.drainedLocked()
	t.mu.Unlock()
	for _, st := range above {
		st.fail(t.connLost(gone, true))
	}
}

func (t *http2Client) closed(*ConnError) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.idleness.stop()
	t.ending.stop()
	t.settingsLocked()
	t.readyLocked()
}

// encodeLocked appends the header block of a call.
func (t *http2Client) encodeLocked(ctx context.Context, now time.Time, b []byte, call *Call) ([]byte, *StreamError) {
	var timeout time.Duration
	deadline, ok := ctx.Deadline()
	if ok {
		if timeout = deadline.Sub(now); timeout <= 0 {
			return b, localErrorf(CodeCancel, codes.DeadlineExceeded, "%v before the call was sent", context.DeadlineExceeded)
		}
	}
	return t.blocks.append(b, &t.conn, call, ok, timeout)
}

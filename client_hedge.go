package weir

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-rpc/weir/internal/channel"
	"github.com/weir-rpc/weir/internal/serviceconfig"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// hedge is a call that is made several times beside itself, until one of its
// attempts is answered: that one is the call then, and the others are cancelled.
// Each attempt is a clientStream of its own. A call ends once one of three
// things has happened: an attempt has headers, or status OK; one has failed with
// a status that is fatal; all have failed and there will be no more.
//
// https://github.com/grpc/proposal/blob/master/A6-client-retries.md#hedging-policy
type hedge struct {
	// Immutable.
	c       *Client
	desc    *grpc.StreamDesc
	method  string
	info    callInfo
	comp    encoding.Compressor
	policy  *serviceconfig.Hedging
	ctx     context.Context // of all attempts; it ends with the call
	cancel  context.CancelFunc
	expire  context.CancelFunc
	unwatch func() bool // of ctx
	tried   channel.Tried

	settled chan struct{} // closed when winner and failure are set
	once    sync.Once     // fill
	outcome error         // of the call, after fill
	told    atomic.Bool   // OnFinish, or about to be

	mu      sync.Mutex
	changed sync.Cond // what follows has changed; its lock is mu

	// Guarded by mu.
	started  int  // attempts
	running  int  // of them
	waiters  int  // in wait
	sent     bool // one of them has had a stream
	frozen   bool // there will be no more
	timer    *time.Timer
	waits    bool // for timer, to make the next one
	attempts []*hedgedAttempt
	last     *hedgedAttempt // that has failed
	over     bool           // settled is closed
	winner   *hedgedAttempt // on which the call goes on; nil until then, and if there never is one
	failure  error          // with this the call has ended that has no winner
	outbox   outbox
}

// hedgedAttempt is an attempt of a call that is hedged.
type hedgedAttempt struct {
	h      *hedge
	ctx    context.Context // of the attempt
	cancel context.CancelCauseFunc

	// Guarded by h.mu.
	cs    *clientStream // another one once a server has refused it
	open  bool          // cs has a stream
	taken int           // messages of the outbox that were sent
	fed   bool          // no more of them will be
	ended bool          // with err, which is nil for OK
	err   error         // what the attempt has ended with
}

// errHedged is why the other attempts are cancelled.
var errHedged = status.Error(codes.Canceled, "another attempt of the call was answered")

// hedge makes a call whose options are read, by its hedging policy.
func (c *Client) hedge(ctx context.Context, desc *grpc.StreamDesc, method string, info callInfo, comp encoding.Compressor) *hedge {
	h := &hedge{c: c, desc: desc, method: method, info: info, comp: comp, policy: info.hedging(), settled: make(chan struct{})}
	h.changed.L = &h.mu
	h.info.codec.once = desc.ClientStreams || desc.ServerStreams // else it is Invoke's
	ctx, h.expire = info.bounded(ctx)
	h.ctx, h.cancel = context.WithCancel(ctx)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.unwatch = context.AfterFunc(h.ctx, h.cancelled)
	h.timer = time.AfterFunc(time.Hour, h.due)
	h.launchLocked()
	return h
}

// hedgeUnary makes a unary call by its hedging policy.
func (c *Client) hedgeUnary(ctx context.Context, method string, info callInfo, comp encoding.Compressor, args, reply any) error {
	h := c.hedge(ctx, &grpc.StreamDesc{}, method, info, comp)
	if err := h.SendMsg(args); err != nil {
		return err
	}
	return h.RecvMsg(reply)
}

// launchLocked makes an attempt, and those after it that do not wait.
func (h *hedge) launchLocked() {
	for {
		a := &hedgedAttempt{h: h}
		a.ctx, a.cancel = context.WithCancelCause(h.ctx) //nolint:fatcontext // each attempt has its own
		cs := a.streamLocked(retries{made: int32(h.started)})
		h.started++
		h.running++
		h.attempts = append(h.attempts, a)
		go a.run(cs)
		if !h.moreLocked() {
			return
		}
		if h.policy.Delay > 0 {
			h.waitLocked(h.policy.Delay)
			return
		}
		if !h.throttledLocked() {
			return
		}
	}
}

// moreLocked reports whether there may be more attempts.
func (h *hedge) moreLocked() bool { return !h.over && !h.frozen && h.started < h.policy.MaxAttempts }

// throttledLocked reports whether the Client's tokens allow another attempt.
// Without them there are no more.
func (h *hedge) throttledLocked() bool {
	h.frozen = !h.info.service.throttle.allows()
	return !h.frozen
}

// waitLocked puts the next attempt off.
func (h *hedge) waitLocked(d time.Duration) {
	h.waits = true
	h.timer.Reset(d)
}

// due makes the next attempt, when it is time for it.
func (h *hedge) due() {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case !h.waits || !h.moreLocked():
		return
	case h.running > 0 && !h.sent:
		// All wait for a connection, and one more would, too.
		h.waitLocked(max(h.policy.Delay, time.Millisecond))
		return
	}
	h.waits = false
	if h.throttledLocked() {
		h.launchLocked()
	} else if h.running == 0 {
		h.settleLocked(h.last)
	}
}

// streamLocked gives an attempt its stream. It keeps nothing of what it sends:
// the outbox has it.
func (a *hedgedAttempt) streamLocked(r retries) *clientStream {
	h := a.h
	cs := &clientStream{c: h.c, sends: h.desc.ClientStreams, receives: h.desc.ServerStreams, method: h.method, parent: a.ctx, info: h.info, comp: h.comp, hedged: a, retries: r}
	cs.replay.release()
	a.cs, a.open, a.ended, a.err, a.taken, a.fed = cs, false, false, nil, 0, false
	return cs
}

// run is the life of an attempt until it is answered.
func (a *hedgedAttempt) run(cs *clientStream) {
	for {
		if err := cs.begin(nil); err != nil {
			a.failed(err, nil)
			return
		}
		a.opened()
		_, _ = cs.Header()
		at := cs.at.Load()
		var err error
		if !at.st.GotHeader() {
			err = at.st.Status().Err()
		}
		if err == nil {
			a.h.answered(a)
			return
		}
		next := a.again(at.st.Refused())
		if next == nil {
			a.failed(err, at.st.Trailer()[pushbackKey])
			return
		}
		cs = next
	}
}

// opened says that an attempt has a stream.
func (a *hedgedAttempt) opened() {
	h := a.h
	h.mu.Lock()
	defer h.mu.Unlock()
	a.open, h.sent = true, true
	h.changed.Broadcast()
	go a.feed(a.cs)
}

// again gives an attempt that was refused another stream, if it may have one and
// the outbox still has all that it sends.
func (a *hedgedAttempt) again(refused *transport.StreamError) *clientStream {
	h := a.h
	h.mu.Lock()
	defer h.mu.Unlock()
	if refused == nil || h.over || !a.cs.retries.again(a.ctx, refused) {
		return nil
	}
	return a.streamLocked(a.cs.retries)
}

// answered makes an attempt the call, if none is yet.
func (h *hedge) answered(a *hedgedAttempt) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.running--
	h.settleLocked(a)
}

// failed is the end of an attempt that was not answered.
//
// "If a non-fatal status code is received from a hedged request, then the next
// hedged request in line is sent immediately, shortcutting its hedging delay. If
// any other status code is received, all outstanding RPCs are canceled and the
// error is returned to the client application layer."
// https://github.com/grpc/proposal/blob/master/A6-client-retries.md#hedging-policy
func (a *hedgedAttempt) failed(err error, pushback []string) {
	h := a.h
	h.mu.Lock()
	defer h.mu.Unlock()
	h.running--
	h.last = a
	if !a.open {
		a.ended, a.err = true, err
	}
	if h.over {
		return
	}
	wanted, said, ok := parsePushback(pushback)
	fatal := h.ctx.Err() != nil || !h.policy.NonFatal.Has(status.Code(err))
	if !ok || !fatal {
		// "[Failures are those] with a status code that qualifies as a retryable or
		// non-fatal status code, or that receive a pushback response indicating not
		// to retry."
		h.frozen = !h.info.service.throttle.failed() || !ok || h.frozen
	}
	switch {
	case fatal:
		h.settleLocked(a)
	case h.moreLocked() && said:
		h.waitLocked(wanted)
	case h.moreLocked():
		h.waits = false
		h.launchLocked()
	case h.running == 0:
		h.settleLocked(a)
	}
}

// cancelled is the end of the call's context.
func (h *hedge) cancelled() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.running == 0 && !h.over { // else those that run settle it
		h.settleLocked(&hedgedAttempt{err: status.FromContextError(h.ctx.Err()).Err()})
	}
}

// abandon ends a call for a reason of its own.
func (h *hedge) abandon(err error) {
	h.mu.Lock()
	h.settleLocked(&hedgedAttempt{err: err}) // unless it is settled
	h.mu.Unlock()
	if cs, _ := h.wait(); cs != nil {
		cs.finish(err)
	}
}

// settleLocked decides how the call goes on, if that is not decided yet: on an
// attempt, or not at all, if that has failed and never had a stream.
func (h *hedge) settleLocked(a *hedgedAttempt) {
	if h.over {
		return
	}
	h.over, h.waits = true, false
	h.timer.Stop()
	if a.open {
		h.winner = a
	} else {
		h.failure = a.err
	}
	close(h.settled)
	h.changed.Broadcast()
	for _, other := range h.attempts {
		if other != a {
			other.cancel(errHedged)
		}
	}
	h.attempts = nil
	if h.winner == nil || a.ended {
		go h.left()
	}
}

// left finishes a call that has failed if its user does not: when its context ends,
// or the Client.
func (h *hedge) left() {
	select {
	case <-h.ctx.Done(): // which it has, if the user did
	case <-h.c.ch.Closed():
	}
	h.mu.Lock()
	waiters := h.waiters
	h.mu.Unlock()
	if waiters == 0 {
		_, _ = h.wait()
	}
}

// end is the end of an attempt that had a stream. Whoever gives it another one
// has waited for that.
func (a *hedgedAttempt) end(err error) {
	h := a.h
	h.mu.Lock()
	a.ended, a.err = true, err
	mine := h.winner == a
	h.changed.Broadcast()
	h.mu.Unlock()
	if mine {
		h.fill(a, err)
	}
}

// leave is what follows end.
func (a *hedgedAttempt) leave(err error) {
	a.h.mu.Lock()
	mine := a.h.winner == a
	a.h.mu.Unlock()
	if mine {
		a.h.finish(a, err)
	}
}

// finish is the end of the call.
func (h *hedge) finish(a *hedgedAttempt, err error) {
	h.fill(a, err)
	h.leave()
}

// fill tells those who want to know how the call has ended, but for OnFinish. Who
// comes second waits.
func (h *hedge) fill(a *hedgedAttempt, err error) {
	h.once.Do(func() {
		if a != nil {
			a.cs.tell(a.cs.at.Load(), err)
		} else {
			h.logEnd(err)
			h.info.fill(noMetadata, noMetadata, nil)
		}
		h.mu.Lock()
		h.outbox.free()
		h.mu.Unlock()
		h.outcome = err
		if !h.desc.ClientStreams && !h.desc.ServerStreams {
			h.leave()
		}
	})
}

// leave tells OnFinish, after fill: see clientStream.end.
func (h *hedge) leave() {
	if h.told.Swap(true) {
		return
	}
	h.info.finished(h.outcome)
	h.unwatch()
	h.cancel()
	h.expire()
}

// wait waits until it is known how the call goes on. It gives the attempt that
// it goes on with, or why it does not. What has ended is told by then.
func (h *hedge) wait() (*clientStream, error) {
	h.mu.Lock()
	h.waiters++
	h.mu.Unlock()
	select {
	case <-h.settled:
	case <-h.c.ch.Closed():
		h.mu.Lock()
		if h.running == 0 { // else those that run settle it
			h.settleLocked(&hedgedAttempt{err: errClosed})
		}
		h.mu.Unlock()
		<-h.settled
	}
	h.mu.Lock()
	w := h.winner
	ended := w != nil && w.ended
	h.mu.Unlock()
	defer h.waited()
	switch {
	case w == nil:
		h.finish(nil, h.failure)
		return nil, h.failure
	case ended:
		h.finish(w, w.err)
	}
	return w.cs, nil
}

func (h *hedge) waited() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiters--
}

// Header gives the headers of the attempt that was answered.
func (h *hedge) Header() (metadata.MD, error) {
	cs, _ := h.wait()
	if cs == nil {
		return nil, nil
	}
	return cs.Header()
}

// Trailer gives the trailers of the call.
func (h *hedge) Trailer() metadata.MD {
	h.mu.Lock()
	w := h.winner
	h.mu.Unlock()
	if w == nil {
		return nil
	}
	return w.cs.Trailer()
}

// Context gives the context of the call: as long as it is not settled which
// attempt it goes on with, that of all of them.
func (h *hedge) Context() context.Context {
	h.mu.Lock()
	w := h.winner
	h.mu.Unlock()
	if w == nil {
		return h.ctx
	}
	return w.cs.Context()
}

// RecvMsg receives a message of the attempt that was answered.
func (h *hedge) RecvMsg(v any) error {
	cs, err := h.wait()
	if err != nil {
		return err
	}
	return cs.RecvMsg(v)
}

package weir

import (
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-rpc/weir/internal/grpcwire"
	"github.com/weir-rpc/weir/transport"
)

// defaultMaxReplay is how much a stream keeps of what it has sent, in octets,
// unless grpc.MaxRetryRPCBufferSize says otherwise.
const defaultMaxReplay = 256 << 10

// replay keeps what a stream has sent as long as another attempt may have to
// send it again: because the server refuses the stream without having looked at
// it, or because a retry policy says so. That time is over with the first
// answer, or when too much is kept.
type replay struct {
	// order is held to send, and to open the stream again, until over is set.
	// Before mu.
	order turn
	over  atomic.Bool // nothing is kept any more; written with mu

	mu sync.Mutex
	// Guarded by mu, as is the change of clientStream.at.
	ended     bool   // the messages, and then the end
	reopening bool   // another attempt is made and gets what is sent:
	committed bool   // there is none after it, and over is set then
	sent      []byte // messages with their prefixes
	cause     error  // with this the call has ended
	rare      *rareReplay
}

// rareReplay is what few calls need.
type rareReplay struct {
	notes   []sentNote // of what is sent, if there is a stats handler
	failure error      // with this an attempt has ended, before it had a stream
}

func (r *replay) rareLocked() *rareReplay {
	if r.rare == nil {
		r.rare = new(rareReplay)
	}
	return r.rare
}

// sentNote is what a stats handler is told of a message.
type sentNote struct {
	v          any
	size, wire int  // before it was compressed, and after
	early      bool // tell before it is sent: who receives is another goroutine
}

// keep keeps a message.
func (r *replay) keep(m transport.Buffer, note *sentNote, limit int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over.Load() {
		return
	}
	if len(r.sent)+grpcwire.PrefixLen+m.Len() > limit || m.Value() != nil {
		r.releaseLocked()
		return
	}
	var prefix [grpcwire.PrefixLen]byte
	grpcwire.PutPrefix(prefix[:], m.Compressed, m.Len())
	r.sent = append(append(r.sent, prefix[:]...), m.Bytes()...)
	if note != nil {
		rare := r.rareLocked()
		rare.notes = append(rare.notes, *note)
	}
}

// release says that the stream will not be opened again.
func (r *replay) release() {
	if r.over.Load() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.releaseLocked()
}

func (r *replay) releaseLocked() {
	if r.committed = true; !r.reopening { // else who sends it all again says so, when it is sent
		r.over.Store(true)
		if r.sent = nil; r.rare != nil {
			r.rare.notes = nil
		}
	}
}

// ends says how the call ends, on which attempt it is then and what it leaves
// to be ended.
func (cs *clientStream) ends(cause error) (a *attempt, unwatch func() bool, life *lifetime) {
	r := &cs.replay
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cause = cause
	r.releaseLocked()
	return cs.at.Load(), cs.unwatch, cs.life
}

// fault gives the error of the second attempt if it never had a stream.
func (r *replay) fault() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rare == nil {
		return nil
	}
	return r.rare.failure
}

// settle waits until no other attempt is being made for a call that has ended. That
// is soon, for it ends for the same reason.
func (r *replay) settle() {
	if r.reopens() {
		r.order.Lock()
		defer r.order.Unlock()
	}
}

// reopens reports whether another attempt is made.
func (r *replay) reopens() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reopening
}

// send sends a message, on another attempt if this one ends before its answer.
func (cs *clientStream) send(m transport.Buffer, last bool, note *sentNote) error {
	r := &cs.replay
	if r.over.Load() {
		return cs.at.Load().send(m, last, note)
	}
	r.order.Lock()
	defer r.order.Unlock()
	r.keep(m, note, cs.info.maxReplay)
	if last {
		cs.noteEnd()
	}
	a := cs.at.Load()
	err := a.send(m, last, note)
	if err == io.EOF {
		resend, ok := cs.reopen(a)
		if resend != nil {
			resend()
		}
		if ok {
			return nil // it is among those that were sent again
		}
	}
	return err
}

// closeSend is CloseSend, on whatever attempt.
func (cs *clientStream) closeSend() {
	if !cs.replay.over.Load() {
		cs.replay.order.Lock()
		defer cs.replay.order.Unlock()
		cs.noteEnd()
	}
	cs.at.Load().st.CloseSend()
}

func (cs *clientStream) noteEnd() {
	cs.replay.mu.Lock()
	defer cs.replay.mu.Unlock()
	cs.replay.ended = true
}

// goesOn reports whether the call goes on after the end of an attempt: on
// another one, which takes its place.
func (cs *clientStream) goesOn(a *attempt) bool {
	over := cs.replay.over.Load() // before at, which changes first
	if cs.at.Load() != a {
		return true
	}
	if over {
		return false
	}
	cs.replay.order.Lock()
	resend, ok := cs.reopen(a)
	if resend == nil {
		cs.replay.order.Unlock()
		return ok
	}
	go func() { // who receives does not wait for credit: the server may wait for it
		resend()
		cs.replay.order.Unlock()
	}()
	return ok
}

// reopen puts another attempt in the place of a, if a has ended so that there is
// to be one, and nobody has done so yet. It reports whether there is one, and
// gives what sends all again on it, or nil. With replay.order held, also when
// that is called.
func (cs *clientStream) reopen(a *attempt) (resend func(), ok bool) {
	if cs.at.Load() != a {
		return nil, true
	}
	r := &cs.replay
	if r.over.Load() {
		return nil, false
	}
	delay, failure := cs.another(a)
	if failure == nil {
		return nil, false
	}
	r.mu.Lock()
	if r.over.Load() { // since a moment ago: nothing is kept
		r.mu.Unlock()
		return nil, false
	}
	sent, notes, ended := r.sent, r.rareLocked().notes, r.ended
	r.reopening = true
	r.mu.Unlock()
	a.told(failure)
	next, err := cs.openAfter(delay, failure)
	r.mu.Lock()
	if err == nil && r.cause != nil {
		next.st.Cancel(r.cause) // the end of the call did not know of it
		next.told(r.cause)
		err = r.cause
	}
	if err == nil {
		cs.at.Store(next)
	}
	r.rare.failure = err
	r.mu.Unlock()
	if err != nil {
		r.reopened(true)
		return nil, false
	}
	return func() {
		next.resend(sent, notes, ended)
		a.st.Cancel(failure)
		r.reopened(cs.retries.policy == nil)
	}, true
}

// another gives how an attempt has failed after which there is to be another,
// and how long to wait; no error if there is to be none. It waits until that is
// known.
func (cs *clientStream) another(a *attempt) (delay time.Duration, failure error) {
	if refused := a.st.Refused(); refused != nil && cs.retries.again(cs.parent, refused) {
		return 0, refused
	}
	if cs.retries.policy == nil {
		return 0, nil
	}
	if !a.st.GotHeader() { // so it has ended
		failure = a.st.Status().Err()
	}
	if failure != nil {
		if delay, ok := cs.retries.later(failure, a.st.Trailer()[pushbackKey]); ok {
			return delay, failure
		}
	}
	cs.replay.release() // who asks next must not count it again
	return 0, nil
}

// openAfter makes the attempt that follows one that failed.
func (cs *clientStream) openAfter(delay time.Duration, failure error) (*attempt, error) {
	if !cs.retries.transparent {
		if err := cs.c.pause(cs.lifetime(), delay, failure); err != nil {
			return nil, err
		}
	}
	return cs.open()
}

// reopened says that all is sent again, or cannot be, and whether that was the
// last time.
func (r *replay) reopened(last bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reopening = false
	if last || r.committed {
		r.releaseLocked()
	}
}

// resend sends messages that were sent before. If the attempt ends meanwhile,
// who receives hears of it.
func (a *attempt) resend(sent []byte, notes []sentNote, ended bool) {
	for i := 0; len(sent) > 0; i++ {
		compressed, n, _ := grpcwire.ParsePrefix(sent) // as keep put it
		whole := grpcwire.PrefixLen + int(n)
		m := transport.NewBuffer(int(n))
		m.Compressed = compressed
		copy(m.Bytes(), sent[grpcwire.PrefixLen:whole])
		sent = sent[whole:]
		last := ended && len(sent) == 0
		var note *sentNote
		if i < len(notes) {
			note = &notes[i]
			note.early = true
		}
		if err := a.send(m, last, note); err != nil || last {
			return
		}
	}
	if ended {
		a.st.CloseSend()
	}
}

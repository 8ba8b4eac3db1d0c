package transport

import (
	"fmt"
	"time"

	"github.com/weir-rpc/weir/internal/frame"
	"github.com/weir-rpc/weir/internal/liveness"
)

// answerWatch looks whether the server is there, while calls are open. They do not
// pay for it: a timer looks what came. Guarded by conn.mu.
type answerWatch struct {
	liveness.Answers
	timer *time.Timer
}

// answerPing is the payload of the PING frames that ask a server which owes answers.
var answerPing = [8]byte{'w', 'e', 'i', 'r', 'h', 'e', 'r', 'e'}

// watchAnswersLocked begins to look: a call was begun.
func (t *http2Client) watchAnswersLocked() {
	t.looks = true
	if t.cfg.Answers.timeout() <= 0 || t.life == lifeClosed {
		return
	}
	e := t.endingLocked()
	if e.answers != nil {
		e.answers.timer.Reset(t.cfg.Answers.lookEvery())
		return
	}
	e.answers = &answerWatch{
		Answers: liveness.Answers{Keepalive: t.cfg.Keepalive.Time > 0},
		timer:   time.AfterFunc(t.cfg.Answers.lookEvery(), t.lookForAnswers),
	}
}

// lookForAnswers is the timer's.
func (t *http2Client) lookForAnswers() {
	t.mu.Lock()
	w := t.ending.answers
	if t.life == lifeClosed || w == nil {
		t.mu.Unlock()
		return
	}
	v, next := w.Look(liveness.Seen{
		Calls:    t.streams.len(),
		Opened:   t.tally.opened,
		Received: t.record.received,
		Answers:  t.answeredLocked(),
	})
	if next {
		w.timer.Reset(t.cfg.Answers.lookEvery())
	} else {
		t.looks = false
		if w.Fresh() {
			t.ending.answers = nil
		}
	}
	switch v {
	case liveness.VerdictAsk:
		t.hbuf = frame.AppendPing(t.hbuf[:0], false, answerPing)
		t.tally.pingOutLocked()
		t.out.copy(t.hbuf)
	case liveness.VerdictSuspect:
		t.noticeLocked(t.unansweredLocked())
	case liveness.VerdictLeave:
		t.leaveOpenLocked(t.unansweredLocked())
	case liveness.VerdictEnd:
		if !t.cfg.Answers.PatientCalls {
			t.failLocked(&ConnError{By: ByNetwork, Reason: t.unansweredLocked()})
		}
	}
	t.flush(flushAsync)
}

// forgetAnswersLocked stops to look if there is nothing to look for.
func (t *http2Client) forgetAnswersLocked() {
	if e := t.ending; e != nil && e.answers != nil && t.streams.len() == 0 && e.answers.Fresh() {
		e.stop()
		e.answers, t.looks = nil, false
	}
}

// answeredLocked counts what the server has said about calls.
func (t *http2Client) answeredLocked() uint64 { return t.tally.messagesIn + t.tally.finished }

// unansweredLocked says why the connection is left.
func (t *http2Client) unansweredLocked() string {
	return fmt.Sprintf("the server is not answering: nothing came from it for %v while calls waited, nor for the PING that asked (option WithAnswerTimeout, %v)",
		(t.record.age() - t.record.heard).Round(time.Millisecond), t.cfg.Answers.Timeout)
}

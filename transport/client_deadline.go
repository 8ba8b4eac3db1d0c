package transport

import (
	"context"

	"github.com/weir-rpc/weir/internal/wait"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// awaited is what a call waited for when its deadline passed. A client's stream
// has room for one octet.
type awaited uint8

const (
	awaitsAnswer awaited = iota + 1
	awaitsEnd
	awaitsReceiver
	awaitsStreamWindow
	awaitsConnWindow
	awaitsSocket

	awaitsInSilence awaited = 1 << 7 // nothing has come for anybody since the call began
)

// contextError is how the call ends whose context has ended. Of a deadline it
// says what the call waited for, the same to all who find out at a time.
func (cs *http2ClientStream) contextError(ctx context.Context) *StreamError {
	e := contextError(ctx)
	if e.Status.Code() != codes.DeadlineExceeded {
		return e
	}
	c := cs.c
	c.mu.Lock()
	if cs.awaits == 0 {
		cs.awaits = cs.awaitedLocked()
	}
	awaits := cs.awaits
	c.mu.Unlock()
	if awaits != 0 {
		e.Status = status.New(codes.DeadlineExceeded, e.Status.Message()+": "+awaits.text(c))
	}
	return e
}

// awaitedLocked is 0 if the call has ended and all of it is received.
func (cs *http2ClientStream) awaitedLocked() awaited {
	c, o := cs.c, &cs.out
	if o.queued > 0 && !o.left {
		switch o.blockedBy(c) {
		case wait.StreamWindow:
			return awaitsStreamWindow
		case wait.ConnWindow:
			return awaitsConnWindow
		}
		return awaitsSocket
	}
	if o.left && cs.unary {
		return 0 // the answer is on its way, and what it signals must be the last (see reply)
	}
	cs.in.Lock()
	unread, begun := cs.in.count > 0 && !cs.unary, cs.gotHeader // a unary call takes its message when it has ended
	cs.in.Unlock(cs.in.ended)
	what := awaitsAnswer
	switch {
	case unread:
		return awaitsReceiver
	case o.left:
		return 0
	case begun:
		what = awaitsEnd
	}
	if c.record.heard < cs.begun {
		what |= awaitsInSilence
	}
	return what
}

// text says what it is, and who keeps it from ending.
func (a awaited) text(c *conn) string {
	server := "the server"
	if c.peer != nil {
		server += at(" at ", c.peer.Addr)
	}
	silence := ""
	if a&awaitsInSilence != 0 {
		silence = ", and nothing has come from it since the call began"
	}
	switch a &^ awaitsInSilence {
	case awaitsStreamWindow:
		return "messages wait for the stream's window: " + server + " does not read this stream"
	case awaitsConnWindow:
		return "messages wait for the connection's window: " + server + " reads too little of all its streams"
	case awaitsSocket:
		return "messages wait for the socket: the network or " + server + " takes too little"
	case awaitsReceiver:
		return "messages of " + server + " wait to be received here"
	case awaitsEnd:
		return server + " has begun to answer and has not ended the call" + silence
	}
	return server + " has not answered" + silence
}

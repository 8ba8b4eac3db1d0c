package transport

import (
	"time"

	"github.com/weir-rpc/weir/internal/frame"
	"google.golang.org/grpc/codes"
)

// foreignAnswer is an answer that is not gRPC, of a proxy as a rule. Its first
// octets are waited for, since they often tell what is wrong, but not for long.
// Guarded by stream.in.
type foreignAnswer struct {
	code codes.Code
	what string // its headers
	body []byte
	late *time.Timer
}

const (
	foreignOctets = 512         // of its body, are shown
	foreignTime   = time.Second // is how long they are waited for
)

// fault is how the call ends.
func (f *foreignAnswer) fault() *StreamError {
	f.late.Stop()
	if len(f.body) == 0 {
		return localErrorf(CodeCancel, f.code, "%s", f.what)
	}
	return localErrorf(CodeCancel, f.code, "%s, it begins with %q", f.what, f.body)
}

// foreignLocked begins to wait for the body of an answer that is not gRPC.
func (cs *http2ClientStream) foreignLocked(code codes.Code, what string) {
	cs.foreign = &foreignAnswer{code: code, what: what, late: time.AfterFunc(foreignTime, cs.foreignLate)}
}

// foreignLate ends the call with what has come. The reader may be about to do
// so, too: whoever is first to have the lock says why, and nothing changes in
// the inbox any more once a signal can have been given.
func (cs *http2ClientStream) foreignLate() {
	cs.in.Lock()
	over := cs.in.ended
	if !over {
		cs.in.stop(cs.foreign.fault())
	}
	cs.in.Unlock(false)
	if over {
		return // who ended it tells
	}
	cs.abandon(CodeCancel)
	cs.in.Signal()
	cs.tellHeader()
}

// earlyData is DATA before the headers of a gRPC answer. On the reader.
func (c *conn) earlyData(st *stream, f *frame.Frame) *frame.Error {
	cs, end := st.client, f.EndStream()
	st.in.Lock()
	answer := cs.foreign
	if answer == nil {
		st.in.Unlock(false)
		return &frame.Error{Code: CodeProtocol, StreamID: f.StreamID, Reason: "DATA before the headers of the response"}
	}
	room := foreignOctets - len(answer.body)
	answer.body = append(answer.body, f.Payload[:min(room, len(f.Payload))]...)
	whole := end || len(f.Payload) >= room
	if whole {
		st.in.stop(answer.fault())
		st.in.over = true
	}
	st.in.Unlock(false)
	if !whole {
		return nil
	}
	c.mu.Lock()
	if end && !st.out.left && st.state.recvEnd() { // the call may have been cancelled meanwhile
		c.removeLocked(st)
	} else {
		c.resetLocked(st, CodeCancel)
	}
	c.mu.Unlock()
	c.touch(st)
	return nil
}

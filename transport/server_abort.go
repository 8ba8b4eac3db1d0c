package transport

import "google.golang.org/grpc/status"

// An Aborter is a ServerStream that can end before its handler has returned. The
// streams of this package are.
type Aborter interface {
	// Abort is WriteStatus for a handler that goes on: its context ends with that
	// status, Recv gives it, and a Send that waits fails. What was sent before goes
	// first, and the stream holds its place until the handler has returned. It
	// reports whether it was the end of the stream: false if that had come before.
	Abort(end *status.Status) bool
}

var _ Aborter = (*http2ServerStream)(nil)

// Abort is Aborter's.
func (st *http2ServerStream) Abort(end *status.Status) bool {
	s := st.s
	s.mu.Lock()
	if st.stream == nil || st.reply != nil || st.statusSent || st.out.left {
		s.mu.Unlock()
		return false
	}
	st.aborted = true
	st.finishLocked(end)
	if o := &st.out; o.waiting {
		o.waiting = false
		o.quota.Signal()
	}
	s.flush(flushInline)
	st.fail(&StreamError{Code: CodeNoError, By: ByLocal, Status: end})
	return true
}

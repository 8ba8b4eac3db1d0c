package transport

import (
	"context"

	"github.com/weir-rpc/weir/internal/wait"
)

// A SendWaiter is a stream whose wait in Send can have a bound. The streams of
// this package are, of both sides.
type SendWaiter interface {
	// WaitSend waits until Send would not, because enough of what was sent before
	// is on its way or because the stream has ended, of which Send then tells. The
	// error is the cause of ctx, if that ended first: one that has ended already
	// does not wait. Who sends calls it, and nobody beside.
	WaitSend(ctx context.Context) error
}

var (
	_ SendWaiter = (*http2ClientStream)(nil)
	_ SendWaiter = (*http2ServerStream)(nil)
)

// WaitSend is SendWaiter's.
func (st *stream) WaitSend(ctx context.Context) error {
	st.c.mu.Lock()
	defer st.c.mu.Unlock()
	return st.waitQuotaLocked(ctx)
}

// WaitSend is SendWaiter's. A unary call whose answer is sent does not wait.
func (st *http2ServerStream) WaitSend(ctx context.Context) error {
	st.s.mu.Lock()
	inner := st.stream
	st.s.mu.Unlock()
	if inner == nil {
		return nil
	}
	return inner.WaitSend(ctx)
}

// waitQuotaLocked waits as long as too much of the stream waits to be framed,
// with mu, which it lets go of meanwhile.
func (st *stream) waitQuotaLocked(ctx context.Context) error {
	c, o := st.c, &st.out
	for o.queued >= writeQuota && !o.left && !o.end {
		o.waiting = true
		o.quota.Init() // most streams never need it
		reason := o.reason
		c.mu.Unlock()
		if reason == 0 {
			reason = wait.WriteQuota
		}
		err := wait.For(ctx, reason, wait.Holder{Stream: st.id}, o.quota.C())
		c.mu.Lock()
		if err != nil && o.queued >= writeQuota && !o.left && !o.end {
			o.waiting = false
			return err
		}
	}
	return nil
}

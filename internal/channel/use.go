package channel

import (
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/weir-rpc/weir/transport"
)

// use tells whether somebody wants a connection while there is none. Calls on a
// connection do not come here: there, the connection sees to it.
type use struct {
	timeout time.Duration // none if zero or less
	calls   atomic.Int64  // that wait
	latest  atomic.Int64  // when somebody asked or stopped waiting, in nanoseconds
}

func (u *use) now() { u.latest.Store(time.Now().UnixNano()) }

func (u *use) begin() { u.calls.Add(1) }

func (u *use) end() {
	u.now() // before: who sees no calls sees the time
	u.calls.Add(-1)
}

// left is how long there may be no call until nobody wants a connection. It is
// zero or less if that is so.
func (u *use) left() time.Duration {
	switch {
	case u.timeout <= 0:
		return math.MaxInt64
	case u.calls.Load() > 0:
		return u.timeout
	}
	return u.timeout - time.Since(time.Unix(0, u.latest.Load()))
}

// error is why the channel is IDLE then.
func (u *use) error() error {
	return fmt.Errorf("idle for %v: %w", u.timeout, transport.ErrIdle)
}

package pool

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"
)

// A Conn is the use of a Client that the pool has lent. It is the
// grpc.ClientConnInterface that generated clients take. Its methods may be called
// by several goroutines at a time.
type Conn struct {
	pool   *ConnectionPool
	shared *shared
	closed atomic.Bool
}

var _ grpc.ClientConnInterface = (*Conn)(nil)

var errConnClosed = status.Error(codes.Canceled, "pool: the Conn is closed: Get another one")

// begin is a call that begins. It is not ok if the Conn is closed.
func (c *Conn) begin() (ok bool) {
	c.shared.users.Add(1)
	if c.closed.Load() {
		c.pool.left(c.shared)
		return false
	}
	c.shared.calls.Add(1)
	return true
}

func (c *Conn) end() {
	c.shared.calls.Add(-1)
	c.pool.left(c.shared)
}

// Invoke makes a unary call. See weir.Client.Invoke. After Close it fails with
// CANCELLED.
func (c *Conn) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	if !c.begin() {
		return errConnClosed
	}
	defer c.end()
	return c.shared.client.Load().Invoke(ctx, method, args, reply, opts...)
}

// NewStream opens a stream. See weir.Client.NewStream. The Client is in use until
// the stream has ended, of which grpc.OnFinish tells the pool. After Close it
// fails with CANCELLED.
func (c *Conn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if !c.begin() {
		return nil, errConnClosed
	}
	end := sync.OnceFunc(c.end)
	opts = append(slices.Clip(opts), grpc.OnFinish(func(error) { end() }))
	st, err := c.shared.client.Load().NewStream(ctx, desc, method, opts...)
	if err != nil {
		end()
	}
	return st, err
}

// Target gives the target of the Client.
func (c *Conn) Target() string { return c.shared.key.target }

// GetState gives the Client's state of connectivity.
func (c *Conn) GetState() connectivity.State { return c.shared.client.Load().GetState() }

// WaitForStateChange waits until the Client's state is another than source. It
// reports false if ctx ended before that.
func (c *Conn) WaitForStateChange(ctx context.Context, source connectivity.State) bool {
	return c.shared.client.Load().WaitForStateChange(ctx, source)
}

// Connect makes an IDLE Client connect. It does not wait.
func (c *Conn) Connect() { c.shared.client.Load().Connect() }

// Close gives the Client back. Calls that run go on, and keep it in use; new ones
// fail. It may be called again, and its error is nil.
func (c *Conn) Close() error {
	if !c.closed.Swap(true) {
		c.pool.left(c.shared)
	}
	return nil
}

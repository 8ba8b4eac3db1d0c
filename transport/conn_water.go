package transport

import "time"

// How much waits for the socket before messages wait in their streams instead.
// It bounds the memory that a peer which does not read can hold, and the time
// that a small call stands behind large ones.
const (
	highWater = 64 << 10

	// bulkWater takes its place while nothing but large messages is sent, to a
	// socket that takes them quickly: fewer and larger writes cost less, and
	// nobody stands behind them for long.
	bulkWater = 4 * highWater
	quickWait = time.Millisecond
)

// waterLocked is the mark for what is pending.
func (c *conn) waterLocked() int {
	if c.bulk && !c.out.small {
		return bulkWater
	}
	return highWater
}

// sentLocked notes what was written, and whether the socket took it quickly.
func (c *conn) sentLocked(batch *pending, quick bool) {
	if batch.data {
		c.bulk = quick && !batch.small
	}
}

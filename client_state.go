package weir

import (
	"context"

	"github.com/weir-rpc/weir/internal/channel"
	"google.golang.org/grpc/connectivity"
)

// A ConnectError says why there is no connection to an address. errors.As finds
// it in what a state observer is told, and in the errors of calls that failed
// for want of a connection. It has these fields:
//
//	Address   string // what was dialed, or the host name if it was not found
//	Proxy     string // the proxy on the way there, as a URL without a password; may be empty
//	Permanent bool   // time alone will not mend it: a certificate is refused, for example
//	Err       error  // the cause, which Unwrap gives
type ConnectError = channel.ConnectError

// WithStateObserver sets a function that is told of each change of the Client's
// state: of all of them, in their order, one at a time. It is called on a
// goroutine of its own and without a lock, so that it may call what it likes,
// Close too. The state may have changed again meanwhile. If the Client became
// IDLE, the error is why the connection ended; in TRANSIENT_FAILURE it is why
// there is none; else it is nil. A function that takes its time holds up
// further changes, and no calls. Close does not wait for it.
func WithStateObserver(f func(from, to connectivity.State, err error)) DialOption {
	return dialOption(func(c *clientConfig) { c.observer = f })
}

// GetState gives the state of connectivity:
//
//	IDLE               there is no connection; the next call, or Connect, makes one
//	CONNECTING         one is being made; calls wait
//	READY              calls run
//	TRANSIENT_FAILURE  the addresses have failed and are tried again until one
//	                   is connected; calls fail unless grpc.WaitForReady is set
//	SHUTDOWN           the Client is closed
func (c *Client) GetState() connectivity.State { return c.ch.State() }

// WaitForStateChange waits until the state is another one than source, or has
// been for a moment since the call began. It reports false if ctx ended first.
func (c *Client) WaitForStateChange(ctx context.Context, source connectivity.State) bool {
	return c.ch.WaitForStateChange(ctx, source)
}

// Connect makes an IDLE Client connect, as a call would. It does not wait, and
// does nothing in another state.
func (c *Client) Connect() { c.ch.Connect() }

// ResetConnectBackoff makes the Client try again at once if it waits before the
// next attempt to connect, and lets the waits start from the BaseDelay again.
// It is for programs that know that the network is back.
func (c *Client) ResetConnectBackoff() { c.ch.ResetConnectBackoff() }

// CanonicalTarget gives the target with its scheme, as scheme://authority/endpoint:
// dns:///host:port for one that has none.
func (c *Client) CanonicalTarget() string { return c.ch.CanonicalTarget() }

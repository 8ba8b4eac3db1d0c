package weir

import (
	"context"

	"github.com/weir-rpc/weir/internal/channel"
	"google.golang.org/grpc/connectivity"
)

// A ConnectError says why there is no connection to an address. errors.As finds
// it in what a state observer is told, and in the errors of calls that failed for
// want of a connection; its Permanent tells a certificate that is refused, say,
// from a server that is down.
type ConnectError = channel.ConnectError

// WithStateObserver sets a function that is told of each change of state: of
// all of them, in their order, one at a time, on a goroutine of its own without
// any lock, so that it may call what it likes, Close too. The state may have
// changed again meanwhile. The error is why the connection ended if the Client
// became IDLE, and why there is none if it is in TRANSIENT_FAILURE, else nil.
// Changes wait for a function that takes its time, and calls do not. Close does
// not wait for it.
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

// WaitForStateChange waits until the state is another than source, or was for
// some time after the call began. It reports false if ctx ended before that.
func (c *Client) WaitForStateChange(ctx context.Context, source connectivity.State) bool {
	return c.ch.WaitForStateChange(ctx, source)
}

// Connect makes an IDLE Client connect, as a call would. It does not wait, and
// does nothing in another state.
func (c *Client) Connect() { c.ch.Connect() }

// ResetConnectBackoff makes the Client try again at once if it waits to do so,
// and the time between attempts start from its base. It is for programs that
// know that the network is back.
func (c *Client) ResetConnectBackoff() { c.ch.ResetConnectBackoff() }

// CanonicalTarget gives the target with its scheme, as scheme://authority/endpoint:
// dns:///host:port for one that has none.
func (c *Client) CanonicalTarget() string { return c.ch.CanonicalTarget() }

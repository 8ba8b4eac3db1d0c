// Package wait is the one place where a call waits. Nothing is counted yet:
// what later tells who stalls whom hangs on this seam.
package wait

import "context"

// A Reason says for what a call waits.
type Reason uint8

// The reasons, in the order in which a call can meet them.
const (
	Resolve      Reason = iota + 1 // a name to become addresses
	Pick                           // a balancer to choose a connection
	Connect                        // a connection to be made
	TLS                            // a security handshake
	StreamSlot                     // the peer's SETTINGS_MAX_CONCURRENT_STREAMS
	WriteQuota                     // what was sent earlier on this stream to leave it
	StreamWindow                   // the peer to grant the stream credit
	ConnWindow                     // the peer to grant the connection credit
	Socket                         // the operating system to take octets
	HandlerQuota                   // a handler to return
	MemoryBudget                   // memory for what is received
	Peer                           // the peer's headers, message or status
)

var names = [...]string{
	Resolve: "resolve", Pick: "pick", Connect: "connect", TLS: "TLS handshake",
	StreamSlot: "stream slot", WriteQuota: "write quota", StreamWindow: "stream window",
	ConnWindow: "connection window", Socket: "socket", HandlerQuota: "handler quota",
	MemoryBudget: "memory budget", Peer: "peer",
}

// String gives the reason's name in words.
func (r Reason) String() string {
	if int(r) < len(names) && names[r] != "" {
		return names[r]
	}
	return "unknown"
}

// A Holder names what holds the waiter up. The zero value means that it is
// not known.
type Holder struct {
	Stream uint32 // the stream, zero for the connection as a whole
}

// For waits until something can be received from ready, which gives nil, or
// until ctx is done, which gives the context's cause. A nil ctx never ends.
func For(ctx context.Context, _ Reason, _ Holder, ready <-chan struct{}) error {
	var done <-chan struct{}
	if ctx != nil {
		done = ctx.Done()
	}
	if done == nil {
		<-ready
		return nil
	}
	select {
	case <-ready:
		return nil
	case <-done:
		return context.Cause(ctx)
	}
}

package channel

import (
	"context"

	"github.com/weir-rpc/weir/transport"
)

// A picker chooses the connection for a call. It is part of a view and lives
// as long: what a balancer knows changes with the picker, not within it. It is
// used by many calls at a time, and does not block.
type picker interface {
	// pick gives a connection, or why there is none: errNotYet if a call has to
	// wait for the next view in any case, errClosed if it is not to wait, and
	// else the status of calls that do not wait until a connection is ready. What
	// a balancer says besides goes into p.
	pick(ctx context.Context, p *Pick) (transport.ClientTransport, error)
}

// without is the picker while there is no connection and nothing to be done
// about it by calls.
type without struct{ err error }

func (p without) pick(context.Context, *Pick) (transport.ClientTransport, error) { return nil, p.err }

// idle is the picker of a channel that connects when it is needed.
type idle struct{ wake func() }

func (p idle) pick(context.Context, *Pick) (transport.ClientTransport, error) {
	p.wake()
	return nil, errNotYet
}

// single is the picker of one connection.
type single struct {
	tr   transport.ClientTransport
	lost func(transport.ClientTransport)
}

func (p *single) pick(context.Context, *Pick) (transport.ClientTransport, error) {
	select {
	case <-p.tr.Draining():
		p.lost(p.tr)
		return nil, errNotYet
	default:
		return p.tr, nil
	}
}

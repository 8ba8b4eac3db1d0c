package channel

import (
	"context"
	"sync"
	"time"

	"github.com/weir-rpc/weir/transport"
)

// attemptDelay is how long an address has the field for itself before the next
// is tried beside it.
//
// https://www.rfc-editor.org/rfc/rfc8305#section-5
const attemptDelay = 250 * time.Millisecond

// round tries addresses in their order until one is connected: the next when
// one failed, or after attemptDelay.
type round struct {
	connect func(ctx context.Context, address string) (transport.ClientTransport, error)
	timeout time.Duration // for each address
	work    *sync.WaitGroup

	address string // of the connection that run gave
}

type outcome struct {
	tr      transport.ClientTransport
	address string
	err     error
}

// run gives the first connection, or what each address failed with. Attempts
// that are not needed any more end without it, and are counted in work.
func (r *round) run(ctx context.Context, addresses []string) (transport.ClientTransport, []error) {
	if len(addresses) > 1 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
	}
	outcomes := make(chan outcome)
	next := time.NewTimer(0)
	defer next.Stop()
	var errs []error
	for started := 0; len(errs) < len(addresses); {
		select {
		case <-next.C:
			if started < len(addresses) {
				address := addresses[started]
				started++
				r.work.Go(func() { r.try(ctx, address, outcomes) })
				next.Reset(attemptDelay)
			}
		case o := <-outcomes:
			if o.err == nil {
				r.address = o.address
				return o.tr, nil
			}
			errs = append(errs, o.err)
			next.Reset(0)
		case <-ctx.Done():
			return nil, []error{context.Cause(ctx)}
		}
	}
	return nil, errs
}

// try connects to one address and tells the round, if that still waits.
func (r *round) try(ctx context.Context, address string, outcomes chan<- outcome) {
	attempt, cancel := context.WithTimeoutCause(ctx, r.timeout, &connectTimeoutError{r.timeout})
	tr, err := r.connect(attempt, address)
	cancel()
	select {
	case outcomes <- outcome{tr, address, err}:
	case <-ctx.Done():
		if err == nil {
			tr.Close("another address answered first, or the client was closed")
		}
	}
}

package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/weir-rpc/weir/bench/internal/benchpb"
	"github.com/weir-rpc/weir/bench/internal/peers"
	"github.com/weir-rpc/weir/bench/internal/scenario"
)

// openers is how many connections or streams are opened at a time.
const openers = 16

// Idle opens connections or streams, uses each once, and leaves them alone. It
// is for one goroutine.
type Idle struct {
	scenario scenario.Scenario
	client   peers.Client
	dial     Dial

	conns   []peers.Client
	streams []peers.PingPong
	cancel  context.CancelFunc // of the streams
}

// NewIdle is for a scenario. Streams are opened on the client.
func NewIdle(s scenario.Scenario, client peers.Client, dial Dial) *Idle {
	return &Idle{scenario: s, client: client, dial: dial}
}

// Open opens all. It is called once.
func (i *Idle) Open(ctx context.Context) error {
	n := i.scenario.Outstanding
	ctx, i.cancel = context.WithCancel(ctx)
	var one func(at int) error
	switch i.scenario.Shape {
	case scenario.IdleConns:
		i.conns = make([]peers.Client, n)
		one = func(at int) (err error) {
			if i.conns[at], err = i.dial(); err != nil {
				return err
			}
			return Once(ctx, i.scenario, i.conns[at])
		}
	case scenario.IdleAddresses:
		client, err := i.dial()
		if err != nil {
			return err
		}
		i.conns = []peers.Client{client}
		return peers.Reach(ctx, client, n)
	case scenario.IdleStreams:
		i.streams = make([]peers.PingPong, n)
		payload := benchpb.Fill(0, i.scenario.Payload)
		one = func(at int) (err error) {
			if i.streams[at], err = i.client.PingPong(ctx); err != nil {
				return err
			}
			return (&lane{payload: payload}).exchange(i.streams[at])
		}
	default:
		return fmt.Errorf("expected something to be idle; came a scenario of the shape %q", i.scenario.Shape)
	}
	var (
		next  atomic.Int64
		opens sync.WaitGroup
		errs  [openers]error
	)
	for k := range openers {
		opens.Go(func() {
			for at := int(next.Add(1)) - 1; at < n && errs[k] == nil; at = int(next.Add(1)) - 1 {
				errs[k] = one(at)
			}
		})
	}
	opens.Wait()
	return errors.Join(errs[:]...)
}

// Close ends what was opened.
func (i *Idle) Close() error {
	if i.cancel != nil {
		i.cancel()
	}
	var errs []error
	for _, c := range i.conns {
		if c != nil {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}

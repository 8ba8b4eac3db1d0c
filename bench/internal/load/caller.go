// Package load keeps calls outstanding and times them.
package load

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-rpc/weir/bench/internal/benchpb"
	"github.com/weir-rpc/weir/bench/internal/peers"
	"github.com/weir-rpc/weir/bench/internal/scenario"
	"github.com/weir-rpc/weir/bench/internal/usage"
)

// patience is how much longer than its duration a run may take, before it is
// taken for one that hangs.
const patience = 30 * time.Second

// callDeadline is that of each call in scenarios with deadlines. It never
// passes.
const callDeadline = time.Minute

// Window is what a run measured.
type Window struct {
	Calls   int           `json:"calls"` // or messages of streams
	Elapsed time.Duration `json:"elapsed_ns"`
	Latency Latency       `json:"latency"`
	Used    usage.Used    `json:"used"`   // by the client's process
	Midway  usage.Holds   `json:"midway"` // by the same
}

// Caller calls over its clients as a scenario says. It is for one goroutine.
type Caller struct {
	scenario scenario.Scenario
	lanes    []*lane
}

// NewCaller shares the outstanding calls out over the clients.
func NewCaller(s scenario.Scenario, clients []peers.Client) *Caller {
	c := &Caller{scenario: s}
	for i := range s.Outstanding {
		payload := benchpb.Fill(uint64(i), s.Payload)
		if s.Shape == scenario.Stream {
			payload = benchpb.Sent(s.Payload)
		}
		c.lanes = append(c.lanes, &lane{
			client:   clients[i%len(clients)],
			sequence: uint64(i) << 40,
			req:      &benchpb.Message{Payload: payload},
			payload:  payload,
		})
	}
	return c
}

// Run calls for the duration and then awaits the calls in flight. It ends with
// the first call that fails.
func (c *Caller) Run(ctx context.Context, d time.Duration) (Window, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work, err := c.work()
	if err != nil {
		return Window{}, err
	}
	for _, l := range c.lanes {
		l.calls = 0
		l.timed.reset()
	}
	var (
		over   atomic.Bool
		midway usage.Holds
		halved = make(chan error, 1)
		lanes  sync.WaitGroup
	)
	before, err := usage.Now()
	if err != nil {
		return Window{}, err
	}
	started := time.Now()
	half := time.AfterFunc(d/2, func() {
		var err error
		midway, err = usage.Glance()
		halved <- err
	})
	defer half.Stop()
	defer time.AfterFunc(d, func() { over.Store(true) }).Stop()
	defer time.AfterFunc(d+patience, func() {
		cancel(fmt.Errorf("the calls did not end within %v of %v", patience, d))
	}).Stop()
	for _, l := range c.lanes {
		lanes.Go(func() {
			// Each lane has a context of its own, as requests have: calls that
			// share one queue for its lock.
			ctx, done := context.WithCancel(ctx)
			defer done()
			if err := work(ctx, l, &over); err != nil {
				cancel(err)
			}
		})
	}
	lanes.Wait()
	elapsed := time.Since(started)
	after, err := usage.Now()
	if err != nil {
		return Window{}, err
	}
	if err := context.Cause(ctx); err != nil {
		return Window{}, err
	}
	if err := <-halved; err != nil {
		return Window{}, err
	}
	w := Window{Elapsed: elapsed, Used: after.Sub(before), Midway: midway}
	timed := make([]samples, len(c.lanes))
	for i, l := range c.lanes {
		w.Calls += l.calls
		timed[i] = l.timed
	}
	w.Latency = spread(timed)
	return w, nil
}

func (c *Caller) work() (func(context.Context, *lane, *atomic.Bool) error, error) {
	switch c.scenario.Shape {
	case scenario.Unary:
		if c.scenario.Deadline {
			return unaryWithDeadline, nil
		}
		return unary, nil
	case scenario.PingPong:
		return pingPong, nil
	case scenario.Stream:
		return func(ctx context.Context, l *lane, over *atomic.Bool) error {
			return stream(ctx, l, over, c.scenario.Burst)
		}, nil
	default:
		return nil, fmt.Errorf("expected a shape of calls; came %q", c.scenario.Shape)
	}
}

// Once makes one unary call as a scenario has them.
func Once(ctx context.Context, s scenario.Scenario, client peers.Client) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	payload := benchpb.Fill(0, s.Payload)
	l := &lane{client: client, req: &benchpb.Message{Payload: payload}, payload: payload}
	return l.echo(ctx)
}

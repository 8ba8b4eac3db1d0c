// Package load keeps calls outstanding and times them.
package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

	// Bulk is how many octets of payload came on streams beside the calls.
	Bulk int64 `json:"bulk,omitempty"`
	// Dialed is how many connections were made, and closed again.
	Dialed int `json:"dialed,omitempty"`
	// First is how long a new connection took to answer its first call, of
	// scenarios with a delay. It is measured before the rest.
	First time.Duration `json:"first_ns,omitempty"`
}

// Dial makes one more connection.
type Dial func() (peers.Client, error)

// Caller calls over its clients as a scenario says. It is for one goroutine.
type Caller struct {
	scenario scenario.Scenario
	dial     Dial
	lanes    []*lane
	bulk     []*lane // streams beside them
}

// NewCaller shares the outstanding calls out over the clients. It dials as the
// scenario says, if it does.
func NewCaller(s scenario.Scenario, clients []peers.Client, dial Dial) *Caller {
	c := &Caller{scenario: s, dial: dial}
	for i := range s.Bulk {
		c.bulk = append(c.bulk, &lane{client: clients[i%len(clients)], payload: benchpb.Sent(scenario.BulkSize)})
	}
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
	for _, l := range slices.Concat(c.lanes, c.bulk) {
		l.calls = 0
		l.timed.reset()
	}
	jobs, err := c.jobs(d)
	if err != nil {
		return Window{}, err
	}
	var w Window
	if c.scenario.Delay > 0 {
		if w.First, err = c.first(ctx); err != nil {
			return Window{}, err
		}
		w.Dialed = 1
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
	for _, work := range jobs {
		lanes.Go(func() {
			// Each lane has a context of its own, as requests have: calls that
			// share one queue for its lock.
			ctx, done := context.WithCancel(ctx)
			defer done()
			if err := work(ctx, &over); err != nil {
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
	w.Elapsed, w.Used, w.Midway = elapsed, after.Sub(before), midway
	timed := make([]samples, len(c.lanes))
	for i, l := range c.lanes {
		w.Calls += l.calls
		timed[i] = l.timed
	}
	for _, l := range c.bulk {
		w.Bulk += int64(l.calls) * scenario.BulkSize
	}
	if c.scenario.Shape == scenario.Churn {
		w.Dialed += w.Calls
	}
	w.Latency = spread(timed)
	return w, nil
}

// job is what one goroutine of a run does, until it is over.
type job func(ctx context.Context, over *atomic.Bool) error

func (c *Caller) jobs(d time.Duration) (jobs []job, err error) {
	work := unary
	switch c.scenario.Shape {
	case scenario.Unary:
		if c.scenario.Deadline {
			work = unaryWithDeadline
		}
	case scenario.PingPong:
		work = pingPong
	case scenario.Stream:
		work = func(ctx context.Context, l *lane, over *atomic.Bool) error {
			return stream(ctx, l, over, c.scenario.Burst)
		}
	case scenario.Churn:
		work = func(ctx context.Context, l *lane, over *atomic.Bool) error {
			return churn(ctx, l, over, c.dial)
		}
	case scenario.Open:
		sched, err := newSchedule(c.scenario.Rate, d)
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, sched.keep)
		work = func(ctx context.Context, l *lane, _ *atomic.Bool) error { return sched.calls(ctx, l) }
	default:
		return nil, fmt.Errorf("expected a shape of calls; came %q", c.scenario.Shape)
	}
	for _, l := range c.lanes {
		jobs = append(jobs, func(ctx context.Context, over *atomic.Bool) error { return work(ctx, l, over) })
	}
	for _, l := range c.bulk {
		jobs = append(jobs, func(ctx context.Context, over *atomic.Bool) error { return bulk(ctx, l, over) })
	}
	return jobs, nil
}

// first is how long a new connection takes to answer.
func (c *Caller) first(ctx context.Context) (took time.Duration, err error) {
	started := time.Now()
	client, err := c.dial()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	if err := Once(ctx, c.scenario, client); err != nil {
		return 0, err
	}
	return time.Since(started), nil
}

// Once makes one unary call as a scenario has them.
func Once(ctx context.Context, s scenario.Scenario, client peers.Client) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	payload := benchpb.Fill(0, s.Payload)
	l := &lane{client: client, req: &benchpb.Message{Payload: payload}, payload: payload}
	return l.echo(ctx)
}

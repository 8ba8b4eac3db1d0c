package load

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-rpc/weir/cmd/weir/internal/demopb"
)

// Payload is the size of the trace in each request and each reply, in octets.
const Payload = 32

// Window is what a client measured while it called.
type Window struct {
	Calls   int           `json:"calls"`
	Elapsed time.Duration `json:"elapsed_ns"`
	P50     time.Duration `json:"p50_ns"`
	P99     time.Duration `json:"p99_ns"`
	Used    Usage         `json:"used"` // by the client's process
}

// caller keeps a number of calls outstanding. It is for one goroutine.
type caller struct {
	client demopb.GaugeClient
	took   [][]time.Duration // for each lane, kept to be filled again
}

func newCaller(client demopb.GaugeClient, outstanding int) *caller {
	c := &caller{client: client, took: make([][]time.Duration, outstanding)}
	for i := range c.took {
		c.took[i] = make([]time.Duration, 0, 1<<12)
	}
	return c
}

// run calls for the duration and then awaits the calls in flight. It ends with
// the first call that fails.
func (c *caller) run(ctx context.Context, d time.Duration) (Window, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	before, err := Used()
	if err != nil {
		return Window{}, err
	}
	started := time.Now()
	var over atomic.Bool
	timer := time.AfterFunc(d, func() { over.Store(true) })
	defer timer.Stop()
	var lanes sync.WaitGroup
	for i := range c.took {
		lanes.Go(func() {
			if err := c.lane(ctx, i, &over); err != nil {
				cancel(err)
			}
		})
	}
	lanes.Wait()
	elapsed := time.Since(started)
	after, err := Used()
	if err != nil {
		return Window{}, err
	}
	if err := context.Cause(ctx); err != nil {
		return Window{}, err
	}
	w := Window{Elapsed: elapsed, Used: after.Sub(before)}
	w.Calls, w.P50, w.P99 = spread(c.took)
	return w, nil
}

// lane makes one call after the other, and one at least: a window may be over before
// it begins.
func (c *caller) lane(ctx context.Context, i int, over *atomic.Bool) error {
	trace := bytes.Repeat([]byte{byte(i)}, Payload)
	req := &demopb.ReadRequest{Station: "load", Trace: trace}
	took := c.took[i][:0]
	for started := time.Now(); ; {
		reply, err := c.client.Read(ctx, req)
		if err != nil {
			return fmt.Errorf("a call of the load: expected a reply; came %w", err)
		}
		if !bytes.Equal(reply.GetTrace(), trace) {
			return fmt.Errorf("a reply of the load: expected the trace %x; came %x", trace, reply.GetTrace())
		}
		ended := time.Now()
		took = append(took, ended.Sub(started))
		started = ended
		if over.Load() {
			c.took[i] = took
			return nil
		}
	}
}

// spread gives the number of the times, and the times that half of them and 99
// of 100 do not exceed. Both are zero when there are none.
func spread(lanes [][]time.Duration) (n int, p50, p99 time.Duration) {
	all := slices.Concat(lanes...)
	if len(all) == 0 {
		return 0, 0, 0
	}
	slices.Sort(all)
	rank := func(percent int) time.Duration { return all[(len(all)*percent+99)/100-1] }
	return len(all), rank(50), rank(99)
}

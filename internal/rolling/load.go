package rolling

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// mostOpen is the bound of the calls under way, in seconds of the rate.
const mostOpen = 4

// A Load is an open loop: a call begins when its time has come, whatever became of
// those before, each in a goroutine of its own. What a call waits for is therefore
// part of its own time, and of nobody else's.
//
// A machine that cannot keep up is not buried under calls: those that are due while
// as many are under way as four seconds have are left out.
type Load struct {
	Rate    int                             // calls a second
	Timeout time.Duration                   // of each call
	Call    func(ctx context.Context) error // makes one call; for several goroutines
}

// A Run is a Load that goes on, until Stop.
type Run struct {
	load  Load
	began time.Time
	stop  chan struct{}
	all   sync.WaitGroup // the pace, and the calls under way
	open  atomic.Int64   // these calls

	mu    sync.Mutex
	calls []Call // those that have ended; guarded by mu
}

// A Call is one that has ended.
type Call struct {
	At   time.Duration // since the load began: when its time had come
	Took time.Duration // since then
	Err  error
}

// Start begins with the first call.
func (l Load) Start() *Run {
	r := &Run{load: l, began: time.Now(), stop: make(chan struct{})}
	r.all.Go(r.pace)
	return r
}

func (r *Run) pace() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := 0; ; n++ {
		at := time.Duration(n) * time.Second / time.Duration(r.load.Rate)
		timer.Reset(time.Until(r.began.Add(at)))
		select {
		case <-r.stop:
			return
		case <-timer.C:
		}
		if r.open.Load() < mostOpen*int64(r.load.Rate) {
			r.open.Add(1)
			r.all.Go(func() { r.call(at) })
		}
	}
}

func (r *Run) call(at time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), r.load.Timeout)
	defer cancel()
	err := r.load.Call(ctx)
	c := Call{At: at, Took: time.Since(r.began) - at, Err: err}
	r.mu.Lock()
	r.calls = append(r.calls, c)
	r.mu.Unlock()
	r.open.Add(-1)
}

// Since is the time that a Call has as At, now.
func (r *Run) Since() time.Duration { return time.Since(r.began) }

// Stop ends the load and waits for the calls under way. It is for one time.
func (r *Run) Stop() Report {
	close(r.stop)
	r.all.Wait()
	return newReport(r.calls)
}

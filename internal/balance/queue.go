package balance

import "sync"

// queue runs what a balancer is called with: one call after the other, in their
// order, on a goroutine that there is as long as there are some.
type queue struct {
	mu      sync.Mutex
	tasks   []func()
	running bool
	closed  bool
}

// put adds a call. It reports false if the queue is closed.
func (q *queue) put(f func()) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.add(f)
	return true
}

// add is with mu.
func (q *queue) add(f func()) {
	q.tasks = append(q.tasks, f)
	if !q.running {
		q.running = true
		go q.run()
	}
}

func (q *queue) run() {
	for {
		q.mu.Lock()
		if len(q.tasks) == 0 {
			q.running, q.tasks = false, nil
			q.mu.Unlock()
			return
		}
		f := q.tasks[0]
		q.tasks[0] = nil
		q.tasks = q.tasks[1:]
		q.mu.Unlock()
		f()
	}
}

// close runs last as the last call, and waits for it. It does nothing the second
// time. It must not be called by what the queue runs.
func (q *queue) close(last func()) {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return
	}
	q.closed = true
	done := make(chan struct{})
	q.add(func() {
		defer close(done)
		last()
	})
	q.mu.Unlock()
	<-done
}

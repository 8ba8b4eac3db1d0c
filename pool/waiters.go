package pool

import (
	"container/list"
)

// waiters are those who wait for room, first come first served. With the pool's
// lock held.
type waiters struct {
	queue  list.List // of *waiter
	called int       // who were called and have not looked yet
}

type waiter struct {
	key    key
	called chan struct{}
	place  *list.Element
	gone   bool // called
}

// none reports whether a newcomer may take what is free.
func (ws *waiters) none() bool { return ws.queue.Len() == 0 && ws.called == 0 }

// add puts one in the queue: at its head if it had its turn, and nothing came of
// it.
func (ws *waiters) add(k key, head bool) *waiter {
	w := &waiter{key: k, called: make(chan struct{})}
	if head {
		w.place = ws.queue.PushFront(w)
	} else {
		w.place = ws.queue.PushBack(w)
	}
	return w
}

// remove takes one out that gives up. It reports false if that was called
// already.
func (ws *waiters) remove(w *waiter) bool {
	if w.gone {
		return false
	}
	ws.queue.Remove(w.place)
	return true
}

func (ws *waiters) call(w *waiter) {
	ws.queue.Remove(w.place)
	w.gone = true
	ws.called++
	close(w.called)
}

// callNext calls the first, unless another who was called has not looked yet: it
// calls the next one.
func (ws *waiters) callNext() {
	if e := ws.queue.Front(); e != nil && ws.called == 0 {
		ws.call(e.Value.(*waiter))
	}
}

// callFor calls all who wait for k: they can share it.
func (ws *waiters) callFor(k key) {
	for e := ws.queue.Front(); e != nil; {
		w := e.Value.(*waiter)
		e = e.Next()
		if w.key == k {
			ws.call(w)
		}
	}
}

func (ws *waiters) callAll() {
	for e := ws.queue.Front(); e != nil; e = ws.queue.Front() {
		ws.call(e.Value.(*waiter))
	}
}

package transport

import (
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// bubbled counts the goroutines of the test's bubble, which no other test can be
// in. The runtime's own count is no measure of a few: while it moves 32 that have
// ended from one of its lists to another, it counts them as alive.
func bubbled() int {
	buf := make([]byte, 1<<20)
	return strings.Count(string(buf[:runtime.Stack(buf, true)]), ", synctest bubble ")
}

// Functions run at once, all of them, and one that ends its goroutine or leaves
// it locked to its thread takes nobody with it.
func TestWorkers_Go(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWorkers()
		before := bubbled()
		var done sync.WaitGroup
		var running atomic.Int32
		block := make(chan struct{})
		for range 20 {
			done.Add(1)
			w.Go(func() {
				defer done.Done()
				running.Add(1)
				<-block
			})
		}
		synctest.Wait()
		if n := running.Load(); n != 20 {
			t.Errorf("%d functions run at a time, want 20", n)
		}
		close(block)
		done.Wait()
		for i := range 100 {
			done.Add(1)
			w.Go(func() {
				defer done.Done()
				switch i % 10 {
				case 3:
					runtime.Goexit()
				case 7:
					runtime.LockOSThread()
				}
			})
			synctest.Wait()
		}
		done.Wait()
		w.Close()
		synctest.Wait()
		if n := bubbled() - before; n > 0 {
			t.Errorf("%d goroutines are left", n)
		}
		done.Add(1)
		w.Go(done.Done) // on a goroutine that ends
		done.Wait()
	})
}

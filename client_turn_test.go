package weir

import (
	"testing"
	"testing/synctest"
	"time"
)

// One at a time has the turn, each gets it, and fake time passes meanwhile.
func TestTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var (
			tr   turn
			n    int
			done = make(chan int)
		)
		for range 5 {
			go func() {
				tr.Lock()
				n++
				mine := n
				<-time.After(time.Second)
				if n != mine {
					t.Error("two have the turn")
				}
				go tr.Unlock()
				done <- mine
			}()
		}
		start := time.Now()
		for range 5 {
			<-done
		}
		if d := time.Since(start); n != 5 || d != 5*time.Second {
			t.Errorf("%d had the turn in %v", n, d)
		}
	})
}

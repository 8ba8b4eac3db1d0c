package weir

import (
	"context"
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

func TestTurn_LockWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tr turn
		if !tr.lockWithin(noTime) {
			t.Fatal("a turn that is free takes time")
		}
		if tr.lockWithin(noTime) {
			t.Fatal("two have the turn")
		}
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if tr.lockWithin(ctx) || time.Since(start) != time.Second {
			t.Fatalf("two have the turn, or it was given up after %v", time.Since(start))
		}
		time.AfterFunc(time.Second, tr.Unlock)
		if !tr.lockWithin(t.Context()) || time.Since(start) != 2*time.Second {
			t.Errorf("no turn after %v", time.Since(start))
		}
		tr.Unlock()
		if !tr.lockWithin(noTime) {
			t.Error("the turn is not given back")
		}
	})
}

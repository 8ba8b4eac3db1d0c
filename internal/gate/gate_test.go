package gate

import (
	"sync"
	"testing"
	"testing/synctest"

	"github.com/weir-rpc/weir/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestSignalBeforeWaitIsNotLost(t *testing.T) {
	var g Gate
	g.Init()
	g.Lock()
	g.Unlock(true)
	select {
	case <-g.C():
	default:
		t.Fatal("the condition was published before anyone waited, and nobody hears of it")
	}
}

func TestUnlockWithoutConditionWakesNobody(t *testing.T) {
	var g Gate
	g.Init()
	g.Lock()
	g.Unlock(false)
	select {
	case <-g.C():
		t.Fatal("woken though the condition does not hold")
	default:
	}
}

func TestConditionThatLastsReachesEveryWaiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Gate
		g.Init()
		open := false
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				for {
					<-g.C()
					g.Lock()
					holds := open
					g.Unlock(holds) // it lasts: pass it on
					if holds {
						return
					}
				}
			})
		}
		synctest.Wait()
		g.Lock()
		open = true
		g.Unlock(open)
		wg.Wait()
	})
}

func TestResetForgetsStaleSignal(t *testing.T) {
	var g Gate
	g.Init()
	g.Signal()
	g.Reset()
	select {
	case <-g.C():
		t.Fatal("a signal survived Reset")
	default:
	}
}

func TestSignalWithoutInitDoesNothing(t *testing.T) {
	var g Gate
	g.Lock()
	g.Unlock(true) // must neither block nor panic
	g.Reset()
}

package peers

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/bench/internal/benchpb"
	"github.com/weir-rpc/weir/bench/internal/scenario"
)

func TestSlowHandlers(t *testing.T) {
	const sleep = 3 * time.Millisecond
	each(t, scenario.Scenario{Shape: scenario.Unary, Sleep: sleep}, func(t *testing.T, p Peer) {
		client := serve(t, p, Config{}, Config{Sleep: sleep, Turns: 100})
		started := time.Now()
		if _, err := client.Echo(t.Context(), new(benchpb.Message)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(started); took < sleep {
			t.Errorf("a call takes %v, and its handler %v", took, sleep)
		}
	})
}

func TestSleepEndsWithItsCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		gone := errors.New("the caller has gone")
		time.AfterFunc(time.Millisecond, func() { cancel(gone) })
		started := time.Now()
		s := &service{cfg: Config{Sleep: time.Hour}}
		if err := s.work(ctx); !errors.Is(err, gone) {
			t.Errorf("error %v, want %v", err, gone)
		}
		if took := time.Since(started); took != time.Millisecond {
			t.Errorf("took %v", took)
		}
	})
}

// TestTurns: as many turns take as long, if the machine has a moment of quiet. It may
// have none while it is looked for, or be slower then than later.
func TestTurns(t *testing.T) {
	const d = time.Millisecond
	for try := range 20 {
		turns, err := Turns(d)
		if err != nil {
			t.Fatal(err)
		}
		fastest := time.Hour
		for range 50 {
			started := time.Now()
			Spin(turns)
			fastest = min(fastest, time.Since(started))
		}
		if fastest >= d/3 && fastest <= 3*d {
			return
		}
		t.Logf("try %d: %d turns take %v, want %v", try, turns, fastest, d)
	}
	t.Error("turns never took as long as they should")
}

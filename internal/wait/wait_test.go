package wait

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestForEndsWithTheSignal(t *testing.T) {
	ready := make(chan struct{}, 1)
	ready <- struct{}{}
	if err := For(context.Background(), Peer, Holder{}, ready); err != nil {
		t.Fatalf("For = %v, want nil: the signal was there", err)
	}
}

func TestForGivesTheCauseOfTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("the user left")
		ctx, cancel := context.WithCancelCause(context.Background())
		time.AfterFunc(time.Second, func() { cancel(cause) })
		start := time.Now()
		if err := For(ctx, StreamSlot, Holder{Stream: 3}, make(chan struct{})); !errors.Is(err, cause) {
			t.Fatalf("For = %v, want %v", err, cause)
		}
		if d := time.Since(start); d != time.Second {
			t.Fatalf("waited %v, want 1s", d)
		}
	})
}

func TestEveryReasonHasAName(t *testing.T) {
	seen := map[string]bool{}
	for r := Resolve; r <= Peer; r++ {
		if name := r.String(); name == "unknown" || seen[name] {
			t.Errorf("reason %d is called %q", r, name)
		} else {
			seen[name] = true
		}
	}
	if got := (Peer + 1).String(); got != "unknown" {
		t.Errorf("the reason after the last is called %q", got)
	}
}

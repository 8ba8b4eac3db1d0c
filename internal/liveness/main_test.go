package liveness

import (
	"testing"
	"time"

	"github.com/weir-rpc/weir/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// epoch is when the connections of tests become ready.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// at is a time of a test, counted from epoch.
func at(d time.Duration) time.Time { return epoch.Add(d) }

const (
	sec    = time.Second
	minute = time.Minute
)

// nexter is what has a Next.
type nexter interface {
	Next(now time.Time) (Action, time.Duration)
}

// want asks k at d and checks what it gives.
func want(t *testing.T, k nexter, d time.Duration, a Action, wait time.Duration) {
	t.Helper()
	action, w := k.Next(at(d))
	if action != a || w != wait {
		t.Errorf("after %v: %v, wait %v; want %v, wait %v", d, action, w, a, wait)
	}
}

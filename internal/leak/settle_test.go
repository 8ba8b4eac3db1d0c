package leak

import (
	"testing"
	"testing/synctest"
	"time"
)

// impatient shortens the wait for what will not end.
func impatient(t *testing.T) {
	old := patience
	patience = 50 * time.Millisecond
	t.Cleanup(func() { patience = old })
}

func TestSettle(t *testing.T) {
	for _, tt := range []struct {
		name        string
		needed      time.Duration // until done holds
		holds       bool
		least, most time.Duration
	}{
		{"at once", 0, true, 0, 0},
		{"soon", 5 * time.Millisecond, true, 5 * time.Millisecond, 10 * time.Millisecond},
		{"late", 1500 * time.Millisecond, true, 1500 * time.Millisecond, 1600 * time.Millisecond},
		{"never", time.Hour, false, patience, patience + 100*time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				holds := settle(patience, func() bool { return time.Since(start) >= tt.needed })
				if took := time.Since(start); holds != tt.holds || took < tt.least || took > tt.most {
					t.Errorf("%t after %v, want %t after %v to %v", holds, took, tt.holds, tt.least, tt.most)
				}
			})
		})
	}
}

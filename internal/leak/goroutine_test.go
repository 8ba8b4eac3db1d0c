package leak

import (
	"testing"
	"testing/synctest"
)

func TestParse(t *testing.T) {
	const dump = "goroutine 7 [running]:\nmain.main()\n\t/x/main.go:3 +0x1d\n\n" +
		"goroutine 18 [chan receive, 2 minutes, synctest bubble 1]:\nmain.f()\n\t/x/main.go:9 +0x1d\ncreated by main.main in goroutine 7\n\t/x/main.go:4 +0x2\n\n" +
		"something else\n"
	list := parse([]byte(dump))
	if len(list) != 3 {
		t.Fatalf("%d goroutines, want 3", len(list))
	}
	for i, want := range []uint64{7, 18, 0} {
		if list[i].id != want {
			t.Errorf("goroutine %d has id %d, want %d", i, list[i].id, want)
		}
	}
	for i, want := range []string{"", "1", ""} {
		if got := list[i].bubble(); got != want {
			t.Errorf("goroutine %d is in the bubble %q, want %q", i, got, want)
		}
	}
}

// Others, in a bubble or in none, do not count; those that have ended do not.
func TestBubbled(t *testing.T) {
	stop := make(chan struct{})
	defer close(stop)
	go leakUntil(stop)
	for range 3 {
		synctest.Test(t, func(t *testing.T) {
			before := Bubbled()
			stop := make(chan struct{})
			for range 500 {
				go leakUntil(stop)
			}
			if got := Bubbled() - before; got != 500 {
				t.Errorf("%d new goroutines, want 500", got)
			}
			close(stop)
			synctest.Wait()
			if got := Bubbled(); got != before {
				t.Errorf("%d goroutines when they have ended, %d before", got, before)
			}
		})
	}
}

func TestDaemon(t *testing.T) {
	tests := []struct {
		name   string
		stack  string
		daemon bool
	}{
		{"signal loop", "goroutine 5 [syscall]:\nos/signal.signal_recv()\nos/signal.loop()\n\t/go/signal_unix.go:23\ncreated by os/signal.Notify.func1.1 in goroutine 1", true},
		{"finalizers", "goroutine 5 [running]:\nmain.f()\ncreated by runtime.createfing in goroutine 1", true},
		{"one that calls the runtime", "goroutine 5 [select]:\nruntime.gopark()\nmain.f()\ncreated by main.main in goroutine 1", false},
		{"one started by a test", "goroutine 5 [select]:\nmain.f()\ncreated by main.TestX in goroutine 1", false},
		{"a test that hangs", "goroutine 5 [select]:\nmain.TestX()\ntesting.tRunner()\ncreated by testing.(*T).Run in goroutine 1", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := (goroutine{stack: tt.stack}).daemon(); got != tt.daemon {
				t.Errorf("daemon: %t, want %t", got, tt.daemon)
			}
		})
	}
}

// TestGoroutinesOfManyStacks has a dump that does not fit the first buffer.
func TestGoroutinesOfManyStacks(t *testing.T) {
	const n = 2000
	stop := make(chan struct{})
	before := takeCensus()
	for range n {
		go leakUntil(stop)
	}
	if got := len(before.since()); got != n {
		t.Errorf("%d new goroutines, want %d", got, n)
	}
	close(stop)
	if left := before.waitForEnd(); len(left) != 0 {
		t.Errorf("%d goroutines did not end: %s", len(left), left[0].stack)
	}
}

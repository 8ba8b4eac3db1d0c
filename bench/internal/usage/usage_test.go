package usage

import (
	"runtime"
	"testing"
	"time"
)

var kept []byte

func TestNow(t *testing.T) {
	before, err := Now()
	if err != nil {
		t.Fatal(err)
	}
	const objects, size = 64, 1 << 10
	for range objects {
		kept = make([]byte, size)
	}
	for range 50_000_000 { // on a busy machine, time passes without it
		runtime.KeepAlive(kept)
	}
	after, err := Now()
	if err != nil {
		t.Fatal(err)
	}
	used := after.Sub(before)
	if used.CPU < time.Millisecond || used.CPU > time.Minute {
		t.Errorf("CPU %v for a loop of some 20 ms", used.CPU)
	}
	if used.Allocs < objects || used.Allocs > 100*objects {
		t.Errorf("%d objects, want about %d", used.Allocs, objects)
	}
	if used.Bytes < objects*size || used.Bytes > 100*objects*size {
		t.Errorf("%d octets, want about %d", used.Bytes, objects*size)
	}
}

func TestSettle(t *testing.T) {
	before, err := Settle()
	if err != nil {
		t.Fatal(err)
	}
	const size = 32 << 20
	kept = make([]byte, size)
	for i := 0; i < size; i += 512 {
		kept[i] = 1
	}
	stop := make(chan struct{})
	const waiting = 100
	for range waiting {
		go func() { <-stop }()
	}
	full, err := Settle()
	if err != nil {
		t.Fatal(err)
	}
	close(stop)
	// Some that others left may have ended meanwhile.
	if got := full.Goroutines - before.Goroutines; got < waiting-5 || got > waiting {
		t.Errorf("%d more goroutines, want %d", got, waiting)
	}
	for _, m := range []struct {
		name          string
		before, after uint64
	}{{"RSS", before.RSS, full.RSS}, {"heap", before.Heap, full.Heap}} {
		// The race detector needs memory of its own for that, and Linux's count of
		// resident pages lags by some for each CPU.
		if grown := int64(m.after - m.before); grown < size/2 || grown > 8*size {
			t.Errorf("%s grew by %d octets, want about %d", m.name, grown, size)
		}
	}
	kept = nil
	empty, err := Settle()
	if err != nil {
		t.Fatal(err)
	}
	// The rest may be code that was read in meanwhile.
	if shrunk := int64(full.RSS - empty.RSS); shrunk < size/2 {
		t.Errorf("RSS shrank by %d octets when %d were freed", shrunk, size)
	}
}

// Package usage reads what its process has used and holds.
package usage

import (
	"runtime"
	"runtime/debug"
	"time"
)

// Used is what a process has used: since it started, or between two readings.
type Used struct {
	CPU    time.Duration `json:"cpu_ns"` // user and system
	Allocs uint64        `json:"allocs"` // objects
	Bytes  uint64        `json:"bytes"`  // of these objects
}

// Sub is what was used between u and the earlier reading.
func (u Used) Sub(earlier Used) Used {
	return Used{CPU: u.CPU - earlier.CPU, Allocs: u.Allocs - earlier.Allocs, Bytes: u.Bytes - earlier.Bytes}
}

// Holds is what a process has at one moment. Memory is in octets.
type Holds struct {
	Goroutines int    `json:"goroutines"`
	RSS        uint64 `json:"rss"`
	Heap       uint64 `json:"heap"`  // objects in use; only after Settle
	Stack      uint64 `json:"stack"` // of goroutines; only after Settle
}

// Now is what this process has used so far. It stops the process for a moment.
func Now() (Used, error) {
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	cpu, err := processCPU()
	if err != nil {
		return Used{}, err
	}
	return Used{CPU: cpu, Allocs: mem.Mallocs, Bytes: mem.TotalAlloc}, nil
}

// Glance is what this process holds, found without stopping it.
func Glance() (Holds, error) {
	rss, err := residentSet()
	if err != nil {
		return Holds{}, err
	}
	return Holds{Goroutines: runtime.NumGoroutine(), RSS: rss}, nil
}

// Settle gives back to the system what this process does not need, and then
// tells what it holds.
func Settle() (Holds, error) {
	// What a finalizer or a pool let go of is found by the cycle after that.
	for range 3 {
		runtime.GC()
	}
	debug.FreeOSMemory()
	holds, err := Glance()
	if err != nil {
		return Holds{}, err
	}
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	holds.Heap, holds.Stack = mem.HeapAlloc, mem.StackInuse
	return holds, nil
}

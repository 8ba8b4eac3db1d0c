// Package load measures unary calls of one implementation next to those of
// another, with a process for each server and each client.
package load

import (
	"runtime"
	"time"
)

// Usage is what a process has used: since it started, or in a window.
type Usage struct {
	CPU    time.Duration `json:"cpu_ns"` // user and system
	Allocs uint64        `json:"allocs"` // objects
}

// Used is what this process has used since it started.
func Used() (Usage, error) {
	cpu, err := processCPU()
	if err != nil {
		return Usage{}, err
	}
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	return Usage{CPU: cpu, Allocs: mem.Mallocs}, nil
}

// Sub is what was used between u and the earlier usage.
func (u Usage) Sub(earlier Usage) Usage {
	return Usage{CPU: u.CPU - earlier.CPU, Allocs: u.Allocs - earlier.Allocs}
}

// Add is what two processes used.
func (u Usage) Add(other Usage) Usage {
	return Usage{CPU: u.CPU + other.CPU, Allocs: u.Allocs + other.Allocs}
}

package usage

import (
	"fmt"
	"os"
	"syscall"
	"time"
)

func processCPU() (time.Duration, error) {
	var ru syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
		return 0, fmt.Errorf("getrusage: %w", err)
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano()), nil
}

// residentSet is the second number of /proc/self/statm, in octets. See proc(5).
func residentSet() (uint64, error) {
	const name = "/proc/self/statm"
	text, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	var size, resident uint64
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		return 0, fmt.Errorf("%s: expected two numbers; came %q", name, text)
	}
	return resident * uint64(os.Getpagesize()), nil
}

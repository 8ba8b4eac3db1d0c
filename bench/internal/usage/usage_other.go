//go:build !linux

package usage

import (
	"errors"
	"time"
)

var errNotLinux = errors.New("the benchmark reads CPU time and memory as Linux tells them: run it there")

func processCPU() (time.Duration, error) { return 0, errNotLinux }

func residentSet() (uint64, error) { return 0, errNotLinux }

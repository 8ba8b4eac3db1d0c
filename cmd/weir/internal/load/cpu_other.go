//go:build !unix

package load

import (
	"errors"
	"time"
)

func processCPU() (time.Duration, error) {
	return 0, errors.New("CPU per call is measured with getrusage, which this system does not have; run the demo with --skip-load")
}

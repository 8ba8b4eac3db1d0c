//go:build linux && race

package engines

import "time"

// As without the race detector, with which each call costs several times as much.
const (
	rate      = 100
	largeRate = 1
	parallel  = "4"
	usual     = 5 * time.Second
	late      = 1500 * time.Millisecond
)

//go:build linux && !race

package engines

import "time"

const (
	// rate is that of a load, in calls a second, and largeRate that of large ones.
	rate      = 500
	largeRate = 10
	// parallel is how many tests run at a time.
	parallel = "6"
	// usual is what most calls may take. It is less than a back-off: if calls had to
	// wait for one, most of those of a second would.
	usual = 900 * time.Millisecond
	// late is how much later than it should something may happen here.
	late = 1500 * time.Millisecond
)

//go:build !race

package scenario

// rate is that of the load of rolling restarts, in calls a second.
const rate = 500

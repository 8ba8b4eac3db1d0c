//go:build race

package scenario

// As without the race detector, with which each call costs several times as much.
const rate = 100

package simnet

import (
	"testing/synctest"
	"time"
)

// Advance lets d of fake time pass, and gives back when all goroutines of the
// bubble wait for something that is later. It panics outside a synctest
// bubble, where time would be real. One goroutine at a time may call it, as a
// rule the test's own.
func Advance(d time.Duration) {
	synctest.Wait()
	time.Sleep(d)
	synctest.Wait()
}

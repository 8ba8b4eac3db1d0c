package leak

import "time"

// patience is how long what was started may take to end by itself after the
// tests are over: in real time, or in the fake time of a synctest bubble. Tests of this
// package shorten it where they wait for its end.
var patience = 20 * time.Second

// settle asks done again and again, ever more slowly, until it holds or limit
// is over, and says which of the two it was.
func settle(limit time.Duration, done func() bool) bool {
	deadline := time.Now().Add(limit)
	for pause := time.Millisecond; !done(); pause = min(2*pause, 100*time.Millisecond) {
		if !time.Now().Before(deadline) {
			return false
		}
		<-time.NewTimer(pause).C
	}
	return true
}

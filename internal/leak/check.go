package leak

import "testing"

// Check fails t if goroutines that were started after this call still run twenty
// seconds after the test and all its later cleanups are over. Call it first.
//
// It sees the goroutines of the whole process, so it is not for tests that run
// in parallel with others. A test in a synctest bubble does not need it, and
// fails if it asks: a bubble waits for its goroutines by itself.
func Check(t testing.TB) {
	t.Helper()
	check(t)
}

// tester is what Check and Pool need of a testing.TB.
type tester interface {
	Helper()
	Cleanup(f func())
	Errorf(format string, args ...any)
}

func check(t tester) {
	t.Helper()
	if goroutines()[0].bubble() != "" {
		t.Errorf("leak.Check was called in a synctest bubble, which waits for its goroutines by itself: leave the call out")
		return
	}
	before := takeCensus()
	t.Cleanup(func() {
		for _, g := range before.waitForEnd() {
			t.Errorf("the test left a goroutine behind:\n%s", g.stack)
		}
	})
}

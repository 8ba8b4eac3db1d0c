package leak

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

// recorder is a tester that keeps what it is told.
type recorder struct {
	cleanups []func()
	errors   []string
}

func (r *recorder) Helper()          {}
func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

// end plays the end of the test.
func (r *recorder) end() {
	for _, f := range slices.Backward(r.cleanups) {
		f()
	}
}

// want fails t unless the recorder was told exactly one error for each entry,
// with all words of it.
func (r *recorder) want(t *testing.T, errors ...[]string) {
	t.Helper()
	if len(r.errors) != len(errors) {
		t.Fatalf("%d errors, want %d:\n%s", len(r.errors), len(errors), strings.Join(r.errors, "\n"))
	}
	for i, words := range errors {
		for _, word := range words {
			if !strings.Contains(r.errors[i], word) {
				t.Errorf("error %d does not say %q:\n%s", i, word, r.errors[i])
			}
		}
	}
}

func TestCheckFindsGoroutine(t *testing.T) {
	impatient(t)
	stop := make(chan struct{})
	defer close(stop)
	var r recorder
	check(&r)
	go leakUntil(stop)
	stop <- struct{}{}
	r.end()
	r.want(t, []string{"left a goroutine", "leak.leakUntil", "TestCheckFindsGoroutine"})
}

func TestCheckWaitsForCleanups(t *testing.T) {
	stop := make(chan struct{})
	var r recorder
	check(&r)
	r.Cleanup(func() { close(stop) })
	go leakUntil(stop)
	r.end()
	r.want(t)
}

func TestCheckIgnoresOlderGoroutines(t *testing.T) {
	stop := make(chan struct{})
	defer close(stop)
	go leakUntil(stop)
	var r recorder
	check(&r)
	r.end()
	r.want(t)
}

func TestCheckRefusesBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		check(&r)
		r.end()
		r.want(t, []string{"synctest bubble"})
	})
}

func TestCheckPassesOnItself(t *testing.T) {
	Check(t)
	done := make(chan struct{})
	go func() { close(done) }()
	<-done
}

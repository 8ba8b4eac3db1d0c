package leak

import (
	"bytes"
	"runtime"
	"strconv"
	"strings"
)

// A goroutine is one entry of a dump of all stacks.
type goroutine struct {
	id    uint64
	stack string
}

// goroutines lists all goroutines, the one that asks first.
func goroutines() []goroutine {
	buf := make([]byte, 1<<16)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			return parse(buf[:n])
		}
		buf = make([]byte, 2*len(buf))
	}
}

// parse cuts a dump of stacks into goroutines. What it cannot read it keeps,
// with id zero: a leak in a format that is not known yet is still a leak.
func parse(dump []byte) []goroutine {
	var list []goroutine
	for block := range bytes.SplitSeq(dump, []byte("\n\n")) {
		stack := strings.TrimSpace(string(block))
		if stack == "" {
			continue
		}
		digits, _, _ := strings.Cut(strings.TrimPrefix(stack, "goroutine "), " ")
		id, _ := strconv.ParseUint(digits, 10, 64)
		list = append(list, goroutine{id, stack})
	}
	return list
}

// daemons are calls by which a goroutine of the standard library is known that
// outlives the tests by design.
var daemons = []string{
	"created by runtime.",             // finalizers, cleanups
	"created by os/signal.",           // the signal loop, once Notify was called
	"created by runtime/pprof.",       // -cpuprofile
	"created by runtime/trace.",       // -trace
	"created by internal/fuzz.",       // -fuzz
	"created by testing.(*M).",        // flags of the test binary
	"created by testing.runTests",     // the goroutine that runs TestMain's tests
	"created by testing.runFuzzTests", // seeds
	"created by testing.runFuzzing",   // -fuzz
}

func (g goroutine) daemon() bool {
	for line := range strings.SplitSeq(g.stack, "\n") {
		for _, call := range daemons {
			if strings.HasPrefix(line, call) {
				return true
			}
		}
	}
	return false
}

// bubble names the synctest bubble that the goroutine belongs to, or is empty.
func (g goroutine) bubble() string {
	header, _, _ := strings.Cut(g.stack, "\n")
	_, name, _ := strings.Cut(header, "synctest bubble ")
	return strings.TrimRight(name, "]:")
}

// Bubbled counts the goroutines of the caller's synctest bubble, or those of
// none. Other than runtime.NumGoroutine it leaves out what other tests left
// running, and those that have ended and that the runtime has yet to put away.
func Bubbled() int {
	all := goroutines()
	n := 0
	for _, g := range all {
		if g.bubble() == all[0].bubble() {
			n++
		}
	}
	return n
}

// A census is the set of goroutines that were there at some time.
type census map[uint64]bool

func takeCensus() census {
	c := make(census)
	for _, g := range goroutines() {
		c[g.id] = true
	}
	return c
}

// since lists the goroutines that came after the census, without the one that
// asks and without the daemons of the standard library.
func (c census) since() []goroutine {
	var news []goroutine
	for _, g := range goroutines()[1:] {
		if !c[g.id] && !g.daemon() {
			news = append(news, g)
		}
	}
	return news
}

// waitForEnd gives those that came after the census time to end, and lists
// the ones that did not.
func (c census) waitForEnd() []goroutine {
	var left []goroutine
	settle(patience, func() bool {
		left = c.since()
		return len(left) == 0
	})
	return left
}

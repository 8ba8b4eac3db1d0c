package h2peer

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// traceLines bounds the trace that a failure shows.
const traceLines = 100

// A trace tells what happened on the connection. The reader and the script
// write to it.
type trace struct {
	start time.Time

	mu      sync.Mutex
	lines   []string
	dropped int
}

func (tr *trace) note(format string, args ...any) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if len(tr.lines) == traceLines {
		copy(tr.lines, tr.lines[1:])
		tr.lines = tr.lines[:traceLines-1]
		tr.dropped++
	}
	tr.lines = append(tr.lines, fmt.Sprintf("%12v  ", time.Since(tr.start))+fmt.Sprintf(format, args...))
}

// step notes that a step held.
func (tr *trace) step(sentence string) { tr.note("   ok: %s", sentence) }

func (tr *trace) String() string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	var b strings.Builder
	if tr.dropped > 0 {
		fmt.Fprintf(&b, "\t(%d earlier lines)\n", tr.dropped)
	}
	for _, line := range tr.lines {
		fmt.Fprintf(&b, "\t%s\n", line)
	}
	return b.String()
}

// fail ends the test.
func (p *Peer) fail(sentence, wanted, got string) {
	p.t.Helper()
	p.t.Fatalf("h2peer: %s\n\twanted: %s\n\tgot:    %s\ntrace (-> peer, <- subject):\n%s", sentence, wanted, got, p.trace)
}

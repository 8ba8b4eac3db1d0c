package weir

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
	"weak"

	"github.com/weir-rpc/weir/inspect"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/peer"
)

// Stop ends the server at once: its listeners, its connections, and with them
// the calls, which fail. It waits until the connections have ended. Handlers
// may still run then, unless WaitForHandlers is set; their contexts have ended.
func (s *Server) Stop() {
	var closing sync.WaitGroup
	s.mu.Lock()
	s.stopped = true
	s.closeListenersLocked()
	open := len(s.conns)
	for c := range s.conns {
		tr := c.tr
		closing.Go(func() {
			if tr != nil {
				tr.Close("the server has stopped") // waits for a client that does not read
			} else {
				_ = c.nc.Close()
			}
		})
	}
	s.quiet.Broadcast() // nobody waits for handlers any more
	s.mu.Unlock()
	s.cfg.telemetry.say(slog.LevelInfo, "server stops", slog.Int("connections", open))
	closing.Wait()
	s.awaitQuiet(context.Background())
	s.finish()
}

// GracefulStop lets the open calls finish. It closes the listeners, tells the
// clients to open no more calls here, and waits until the last handler and the
// last connection have ended, however long that takes. Stop ends the wait. If
// the registered grpc.health.v1.Health has a method Shutdown(), as that of
// google.golang.org/grpc/health has, this is called before anything else; who
// watches the health is told UNAVAILABLE then, and not waited for.
func (s *Server) GracefulStop() {
	s.drain()
	s.awaitQuiet(context.Background())
	s.finish()
}

// Shutdown is GracefulStop until ctx ends, and Stop then. It returns nil if all
// calls have finished. If ctx ended the wait, the error wraps that of ctx and
// tells for whom the server has waited: the clients, the methods of their open
// calls, and for how long these have run. If Stop ended it, the error is
// ErrServerStopped.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	before := s.stopped
	s.mu.Unlock()
	s.drain()
	if !s.awaitQuiet(ctx) {
		held := s.held()
		s.Stop()
		if err, cause := ctx.Err(), context.Cause(ctx); cause != err {
			return fmt.Errorf("weir: Shutdown: %w (%w) before all calls had finished: %s", err, cause, held)
		}
		return fmt.Errorf("weir: Shutdown: %w before all calls had finished: %s", ctx.Err(), held)
	}
	s.finish()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped && !before {
		return ErrServerStopped
	}
	return nil
}

// drain begins the graceful end: what the load balancer sees first, then
// listeners and connections.
func (s *Server) drain() {
	s.mu.Lock()
	health := s.health
	s.mu.Unlock()
	if health != nil {
		health.Shutdown()
	}
	s.cfg.telemetry.say(slog.LevelInfo, "server drains")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
	s.closeListenersLocked()
	for c := range s.conns {
		if c.tr != nil {
			c.drain(c.tr, "the server stops")
		}
	}
	if s.silent == nil {
		s.silent = time.AfterFunc(transport.DefaultDrainTimeout, s.closeSilent)
	}
}

// closeSilent closes connections that are still in their handshakes: such a
// client has no call, and ConnectionTimeout is long to wait for.
func (s *Server) closeSilent() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if c.tr == nil {
			c.closed, c.draining = true, "the server stops"
			_ = c.nc.Close()
		}
	}
}

// awaitQuiet waits until there are no connections and, unless the server is
// stopped, no handlers. It reports whether that was before the end of ctx.
func (s *Server) awaitQuiet(ctx context.Context) bool {
	defer context.AfterFunc(ctx, s.signal)()
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.conns) > 0 || s.admission.refused > 0 || (!s.stopped || s.cfg.intake.waitForHandlers) && s.running.any() {
		if ctx.Err() != nil {
			return false
		}
		s.quiet.Wait()
	}
	return true
}

// signal has those who wait for quiet look again.
func (s *Server) signal() {
	s.mu.Lock()
	s.quiet.Broadcast()
	s.mu.Unlock()
}

// finish lets go of what a server has that serves nobody any more.
func (s *Server) finish() {
	s.workers.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.silent != nil {
		s.silent.Stop()
	}
	select {
	case <-s.finished:
	default:
		close(s.finished)
		s.inspect.end()
	}
}

func (s *Server) closeListenersLocked() {
	if !s.closing.Swap(true) {
		close(s.quit)
	}
	for lis := range s.listeners {
		_ = lis.Close()
	}
}

// holder is a client for which Shutdown waits.
type holder struct {
	who     string
	state   string // instead of calls
	calls   int
	oldest  time.Duration
	methods map[string]int
	tr      transport.ServerTransport // of a client with handlers, unless its connection has ended
}

// held tells for whom the server waits.
func (s *Server) held() string {
	holders := make(map[*peer.Peer]*holder)
	total := 0
	for _, c := range s.running.list() {
		h := holders[c.peer]
		if h == nil {
			h = &holder{who: address(c.peer.Addr), state: " (its connection has ended)", methods: make(map[string]int)}
			holders[c.peer] = h
		}
		total++
		h.calls++
		h.oldest = max(h.oldest, time.Since(c.received))
		h.methods[c.method]++
	}
	all := make([]*holder, 0, len(holders))
	var idle []transport.ServerTransport // no handler runs for them
	var silent []net.Conn                // in their handshakes
	s.mu.Lock()
	conns := len(s.conns)
	for c := range s.conns {
		if c.tr == nil {
			silent = append(silent, c.nc)
		} else if h := holders[c.tr.Peer()]; h != nil {
			h.state, h.tr = "", c.tr
		} else {
			idle = append(idle, c.tr)
		}
	}
	s.mu.Unlock()
	for _, tr := range idle {
		all = append(all, unhandled(tr))
	}
	for _, nc := range silent {
		_ = nc.Close() // as Stop does next: one that looks for its address in what comes would wait
		all = append(all, &holder{who: address(nc.RemoteAddr()), state: " is in its handshakes"})
	}
	all = slices.AppendSeq(all, maps.Values(holders))
	slices.SortFunc(all, func(a, b *holder) int {
		return cmp.Or(cmp.Compare(b.oldest, a.oldest), cmp.Compare(a.who, b.who))
	})
	var text strings.Builder
	fmt.Fprintf(&text, "%d handlers running, %d connections open", total, conns)
	for i, h := range all {
		if i == maxTold {
			fmt.Fprintf(&text, "; and %d more clients", len(all)-i)
			break
		}
		text.WriteString("; ")
		h.appendTo(&text)
	}
	return text.String()
}

// unhandled tells what a client holds for which no handler runs.
func unhandled(tr transport.ServerTransport) *holder {
	h := &holder{who: address(tr.Peer().Addr), state: " is not drained: it has not heard GOAWAY, or does not close", methods: make(map[string]int)}
	c, ok := tr.(inspect.Connection)
	if !ok {
		return h
	}
	for _, st := range c.Inspect(true).Streams {
		h.state = ", for which no handler runs since requests have not come whole or answers are not read,"
		h.calls++
		h.oldest = max(h.oldest, time.Since(st.Since))
		h.methods[st.Method]++
	}
	return h
}

// maxTold bounds the clients that an error names, and the methods of each.
const maxTold = 16

func (h *holder) appendTo(text *strings.Builder) {
	text.WriteString(h.who + h.state)
	if h.calls == 0 {
		return
	}
	fmt.Fprintf(text, " has %d, the oldest for %v:", h.calls, h.oldest.Round(time.Millisecond))
	methods := slices.SortedFunc(maps.Keys(h.methods), func(a, b string) int {
		return cmp.Or(cmp.Compare(h.methods[b], h.methods[a]), cmp.Compare(a, b))
	})
	for i, m := range methods {
		if i == maxTold {
			fmt.Fprintf(text, " and %d more methods", len(methods)-i)
			break
		}
		fmt.Fprintf(text, " %s (%d)", m, h.methods[m])
	}
	if c, ok := h.tr.(inspect.Connection); ok {
		if more := c.Inspect(false).Open.Streams - h.calls; more > 0 {
			fmt.Fprintf(text, " and %d open calls without a handler", more)
		}
	}
}

// address names a client. Those of a unix socket have no name as a rule.
func address(a net.Addr) string {
	if a == nil {
		return "unknown"
	}
	if name := a.String(); name != "" && name != "@" {
		return name
	}
	return "a client by " + a.Network()
}

// runningCalls knows every call object that there is, so that who stops the
// server can find those of running handlers. A call pays nothing for it but
// the words that it sets.
type runningCalls struct {
	mu sync.Mutex
	// Guarded by mu.
	calls []weak.Pointer[call]
	sweep int // look for those that the pool has dropped when there are as many
}

func (r *runningCalls) add(c *call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.calls) >= r.sweep {
		r.calls = slices.DeleteFunc(r.calls, func(p weak.Pointer[call]) bool { return p.Value() == nil })
		r.sweep = max(64, 2*len(r.calls))
	}
	r.calls = append(r.calls, weak.Make(c))
}

// any reports whether a handler runs.
func (r *runningCalls) any() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.calls, func(p weak.Pointer[call]) bool {
		c := p.Value()
		return c != nil && c.stream() != nil
	})
}

// runningCall is a call whose handler runs.
type runningCall struct {
	peer     *peer.Peer // one for a connection
	method   string
	received time.Time
}

func (r *runningCalls) list() (running []runningCall) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.calls {
		c := p.Value()
		if c == nil {
			continue
		}
		if st := c.stream(); st != nil {
			running = append(running, runningCall{st.Peer(), st.Method(), st.Received()})
		}
	}
	return running
}

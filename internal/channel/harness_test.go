package channel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/internal/simnet"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

const ms = time.Millisecond

// steady is gRPC's backoff without its jitter, for tests that tell the time.
var steady = backoff.Config{BaseDelay: time.Second, Multiplier: 1.6, MaxDelay: 120 * time.Second}

// world is a channel, and a network for it, in a bubble.
type world struct {
	t   *testing.T
	net simnet.Network
	ch  *Channel
	cfg Config // of ch

	mu    sync.Mutex
	start time.Time
	dials []string // "12.6s address"
	moves []string // "IDLE>CONNECTING"
	errs  []error  // what the observer was told with them
	hosts []func(n int) ([]string, error)
	asked int // lookups
}

// inWorld runs f in a bubble, with a channel to target that adapt has changed.
func inWorld(t *testing.T, target string, adapt func(w *world, cfg *Config), f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, start: time.Now()}
		tg, err := ParseTarget(target)
		if err != nil {
			t.Fatal(err)
		}
		cfg := Config{
			Target: tg, Credentials: insecure.NewCredentials(),
			Dial: w.dial, Resolver: w, Observer: w.observe, Backoff: steady,
			Transport: transport.ClientConfig{Authority: tg.Authority},
		}
		if adapt != nil {
			adapt(w, &cfg)
		}
		w.ch, w.cfg = New(cfg), cfg
		defer w.ch.Close()
		f(t, w)
	})
}

func (w *world) dial(ctx context.Context, address string) (net.Conn, error) {
	w.mu.Lock()
	w.dials = append(w.dials, fmt.Sprintf("%v %s", time.Since(w.start), address))
	w.mu.Unlock()
	return w.net.Dial(ctx, address)
}

// wantDials wants the dials since the last time it was called: "at address".
func (w *world) wantDials(want ...string) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Equal(w.dials, want) {
		w.t.Errorf("dialed %q, want %q", w.dials, want)
	}
	w.dials = nil
}

func (w *world) observe(from, to connectivity.State, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.moves = append(w.moves, from.String()+">"+to.String())
	w.errs = append(w.errs, err)
}

// wantMoves wants the changes of state since the last time it was called.
func (w *world) wantMoves(want ...string) []error {
	w.t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Equal(w.moves, want) {
		w.t.Fatalf("moved %q, want %q", w.moves, want)
	}
	errs := w.errs
	w.moves, w.errs = nil, nil
	return errs
}

func (w *world) wantState(want connectivity.State) {
	w.t.Helper()
	synctest.Wait()
	if got := w.ch.State(); got != want {
		w.t.Errorf("the state is %v, want %v", got, want)
	}
}

// LookupHost answers as the next of hosts does; the last one stays.
func (w *world) LookupHost(_ context.Context, host string) ([]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked++
	if len(w.hosts) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	f := w.hosts[0]
	if len(w.hosts) > 1 {
		w.hosts = w.hosts[1:]
	}
	return f(w.asked)
}

// names says what the next lookups give.
func (w *world) names(hosts ...func(int) ([]string, error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hosts = hosts
}

// resolvesTo answers lookups with these.
func resolvesTo(addresses ...string) func(int) ([]string, error) {
	return func(int) ([]string, error) { return addresses, nil }
}

func (w *world) wantLookups(n int) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.asked != n {
		w.t.Errorf("%d lookups, want %d", w.asked, n)
	}
}

// host listens on a name of the network and serves gRPC there.
type host struct {
	lis  net.Listener
	work sync.WaitGroup

	mu  sync.Mutex
	all []transport.ServerTransport
}

// serve makes a server. Its handlers wait for the end of their streams.
func (w *world) serve(name string) *host {
	w.t.Helper()
	return w.accept(name, func(h *host, nc net.Conn) { h.serve(nc) })
}

func (h *host) serve(nc net.Conn) {
	sv, err := transport.NewServerTransport(nc, transport.ServerConfig{})
	if err != nil {
		return
	}
	h.mu.Lock()
	h.all = append(h.all, sv)
	h.mu.Unlock()
	sv.HandleStreams(context.Background(), func(st transport.ServerStream) { <-st.Context().Done() })
}

// accept listens on a name and runs each for every connection.
func (w *world) accept(name string, each func(h *host, nc net.Conn)) *host {
	w.t.Helper()
	lis, err := w.net.Listen(name)
	if err != nil {
		w.t.Fatal(err)
	}
	h := &host{lis: lis}
	h.work.Go(func() {
		for {
			nc, err := lis.Accept()
			if err != nil {
				return
			}
			h.work.Go(func() { each(h, nc) })
		}
	})
	w.t.Cleanup(h.stop)
	return h
}

// silent accepts connections and says nothing until the client leaves.
func silent(_ *host, nc net.Conn) {
	var b [1024]byte
	for {
		if _, err := nc.Read(b[:]); err != nil {
			nc.Close()
			return
		}
	}
}

// each calls f for every connection that was made.
func (h *host) each(f func(transport.ServerTransport)) {
	synctest.Wait() // a client may be ready before its server is
	h.mu.Lock()
	all := slices.Clone(h.all)
	h.mu.Unlock()
	for _, sv := range all {
		f(sv)
	}
}

func (h *host) stop() {
	h.lis.Close()
	h.each(func(sv transport.ServerTransport) { sv.Close("the test is over") })
	h.work.Wait()
}

// within is Pick with so much time.
func (w *world) within(d time.Duration, waitForReady bool) (transport.ClientTransport, error) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return w.ch.Pick(ctx, waitForReady, new(Pick))
}

// mustConnect gets a connection and uses it.
func (w *world) mustConnect() transport.ClientTransport {
	w.t.Helper()
	tr, err := w.within(time.Minute, true)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := tr.Ping(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	return tr
}

// wantStatus wants a status error that has all the words.
func wantStatus(t *testing.T, err error, code codes.Code, words ...string) {
	t.Helper()
	if status.Code(err) != code {
		t.Fatalf("%v, want code %v", err, code)
	}
	wantWords(t, err, words...)
}

func wantWords(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", words)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %q", err, word)
		}
	}
}

// elapsed wants f to take exactly so long, in the time of the bubble.
func elapsed(t *testing.T, want time.Duration, f func()) {
	t.Helper()
	start := time.Now()
	f()
	if got := time.Since(start); got != want {
		t.Errorf("it took %v, want %v", got, want)
	}
}

var errBroken = errors.New("broken cable")

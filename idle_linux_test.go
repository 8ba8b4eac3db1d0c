package weir_test

import (
	"context"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// Feature: Goroutines of an idle connection
//
// None waits for a connection that nobody uses, on either side, but where a
// dialer or a listener of the user may have kept the connection: there one does.
func TestIdleConnection_HasNoGoroutine(t *testing.T) {
	kept := func(ctx context.Context, address string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", address)
	}
	own := func(lis net.Listener) net.Listener { return lis }
	for name, tt := range map[string]struct {
		opts    []weir.DialOption
		wrap    func(net.Listener) net.Listener
		readers int
	}{
		"own dialer":        {nil, own, 0},
		"WithContextDialer": {[]weir.DialOption{weir.WithContextDialer(kept)}, own, 1},
		"user's listener":   {nil, func(lis net.Listener) net.Listener { return &keepsConns{Listener: lis} }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			srv := weir.NewServer()
			testpb.RegisterTestServiceServer(srv, echo{})
			lis := tt.wrap(listen(t))
			background(t, srv, lis)
			c, err := weir.NewClient("passthrough:///"+lis.Addr().String(), append(tt.opts, weir.WithTransportCredentials(insecure.NewCredentials()))...)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			call := func() {
				if _, err := testpb.NewTestServiceClient(c).EmptyCall(t.Context(), &testpb.Empty{}); err != nil {
					t.Fatal(err)
				}
			}
			call()
			if n := rested(t); n != tt.readers {
				t.Errorf("%d goroutines read an idle connection, want %d", n, tt.readers)
			}
			call()
		})
	}
}

// A listener of the user that closes a connection ends the calls on it, though
// nothing was read for long.
func TestIdleConnection_ClosedByItsListener_Ends(t *testing.T) {
	srv := weir.NewServer()
	handler := outlasts{begun: make(chan struct{}), over: make(chan struct{})}
	testpb.RegisterTestServiceServer(srv, handler)
	lis := &keepsConns{Listener: listen(t)}
	background(t, srv, lis)
	c, err := weir.NewClient("passthrough:///"+lis.Addr().String(), weir.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := testpb.NewTestServiceClient(c).FullDuplexCall(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-handler.begun
	rested(t)
	lis.closeConns()
	select {
	case <-handler.over:
	case <-time.After(20 * time.Second):
		t.Error("the handler goes on")
	}
}

// outlasts handles a call until its client is gone.
type outlasts struct {
	echo
	begun, over chan struct{}
}

func (h outlasts) FullDuplexCall(s testpb.TestService_FullDuplexCallServer) error {
	close(h.begun)
	<-s.Context().Done()
	close(h.over)
	return nil
}

// keepsConns is a listener that can close what it has accepted.
type keepsConns struct {
	net.Listener
	mu    sync.Mutex
	conns []net.Conn // guarded by mu
}

func (l *keepsConns) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.conns = append(l.conns, nc)
	}
	return nc, err
}

func (l *keepsConns) closeConns() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, nc := range l.conns {
		_ = nc.Close()
	}
}

// rested waits until all goroutines that read a connection now have come to rest,
// and counts those that read in their place. One that has not begun to yet shows
// soon: it looks for a while. On a busy machine some are in their place already.
func rested(t *testing.T) (count int) {
	t.Helper()
	before, rest := readers()
	before = slices.DeleteFunc(before, func(name string) bool { return slices.Contains(rest, name) })
	tick := time.NewTicker(5 * time.Millisecond) // a look stops the process
	defer tick.Stop()
	same := 0
	// A machine that is busy has few looks for its time.
	for end, looks := time.Now().Add(20*time.Second), 0; looks < 1000 || time.Now().Before(end); <-tick.C {
		looks++
		now, _ := readers()
		if slices.ContainsFunc(now, func(name string) bool { return slices.Contains(before, name) }) {
			continue
		}
		if len(now) != count {
			count, same = len(now), 0
		}
		if same++; same == 50 {
			return count
		}
	}
	t.Fatal("a connection does not rest")
	return 0
}

// readers names the goroutines that read a connection, and those of them that
// began when another came to rest.
func readers() (names, rest []string) {
	buf := make([]byte, 1<<20)
	for g := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		begins := strings.Contains(g, "transport.(*conn).sleep.gowrap") // and has not run yet
		if name, _, ok := strings.Cut(g, " ["); ok && (begins || strings.Contains(g, "transport.(*conn).read(")) {
			names = append(names, name)
			if strings.Contains(g, "created by github.com/weir-rpc/weir/transport.(*conn).sleep ") {
				rest = append(rest, name)
			}
		}
	}
	return names, rest
}

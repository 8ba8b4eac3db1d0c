package weir_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/status"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// swallow has the kernel drop every segment that comes for a connection: who sends
// gets no acknowledgement.
func swallow(t *testing.T, nc net.Conn) {
	t.Helper()
	rc, err := nc.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	nothing := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K}
	if e := rc.Control(func(fd uintptr) {
		err = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &nothing})
	}); e != nil || err != nil {
		t.Fatal(e, err)
	}
}

// Row B4: a server in a black hole of TCP: the call that waits for it fails, by the
// user timeout or by the option, and the next goes to another server.
func TestBlackHole_OfTCP(t *testing.T) {
	for name, tt := range map[string]struct {
		opt  weir.DialOption
		want time.Duration // at the latest, on a machine that is idle
		says string
	}{
		"user timeout":      {weir.WithKeepaliveParams(keepalive.ClientParameters{Time: time.Hour, Timeout: 2 * time.Second}), 5 * time.Second, "TCP_USER_TIMEOUT"},
		"WithAnswerTimeout": {weir.WithAnswerTimeout(1200 * time.Millisecond), 1500 * time.Millisecond, "WithAnswerTimeout, 1.2s"},
	} {
		t.Run(name, func(t *testing.T) {
			lis, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			dark := &accepting{lis, make(chan net.Conn, 8)}
			srv := weir.NewServer()
			testpb.RegisterTestServiceServer(srv, echo{})
			served := make(chan error, 1)
			go func() { served <- srv.Serve(dark) }()
			defer func() {
				srv.Stop()
				<-served
			}()
			other, _ := serveAt(t, "tcp", "127.0.0.1:0")
			r := balanced(lis) // alone: of two the other is tried too if this one takes long
			c := testpb.NewTestServiceClient(newWeirClient(t, "whatever:///svc", weir.WithResolvers(r), tt.opt))
			whom(t, c, lis.Addr().String())
			var both resolver.State
			for _, l := range []net.Listener{lis, other} {
				both.Addresses = append(both.Addresses, resolver.Address{Addr: l.Addr().String()})
			}
			r.UpdateState(both)
			lis.Close()
			swallow(t, <-dark.conns)
			start := time.Now()
			_, err = c.EmptyCall(t.Context(), &testpb.Empty{})
			if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("the call ended with %v, want one that says %q", err, tt.says)
			}
			if d := time.Since(start); d > tt.want+time.Minute { // the system's own patience is of a quarter of an hour
				t.Errorf("the call ended after %v, want %v", d, tt.want)
			} else {
				t.Logf("the call ended after %v", d)
			}
			var at peer.Peer
			if _, err := c.EmptyCall(t.Context(), &testpb.Empty{}, grpc.Peer(&at), grpc.WaitForReady(true)); err != nil || at.Addr.String() != other.Addr().String() {
				t.Errorf("the next call went to %v: %v", at.Addr, err)
			}
		})
	}
}

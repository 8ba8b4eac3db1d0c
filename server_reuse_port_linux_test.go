package weir_test

import (
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"golang.org/x/sys/unix"
	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// reusable listens on an address that others may listen on too.
func reusable(t *testing.T, address string) net.Listener {
	t.Helper()
	lc := net.ListenConfig{Control: func(_, _ string, rc syscall.RawConn) (err error) {
		if e := rc.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		}); e != nil {
			return e
		}
		return err
	}}
	lis, err := lc.Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return lis
}

// Feature: SO_REUSEPORT
//
// Two Servers share a port, by a listener that says so: the system shares the
// connections out. When one has stopped the other has all, and no call fails for
// want of a listener.
func TestReusePort(t *testing.T) {
	a := reusable(t, "127.0.0.1:0")
	b := reusable(t, a.Addr().String())
	servers := make([]*weir.Server, 2)
	for i, lis := range []net.Listener{a, b} {
		servers[i] = weir.NewServer()
		testpb.RegisterTestServiceServer(servers[i], echo{})
		background(t, servers[i], lis)
	}
	call := func() {
		t.Helper()
		c := newWeirClient(t, "passthrough:///"+a.Addr().String())
		if _, err := testpb.NewTestServiceClient(c).EmptyCall(t.Context(), &testpb.Empty{}); err != nil {
			t.Fatal(err)
		}
	}
	served := func(s *weir.Server) bool { return s.InspectServer(0).Calls.Started > 0 }
	for end := time.Now().Add(20 * time.Second); !served(servers[0]) || !served(servers[1]); call() {
		if time.Now().After(end) {
			t.Fatal("one server of two gets all connections")
		}
	}
	servers[0].GracefulStop()
	before := servers[1].InspectServer(0).Calls.Started
	for range 20 {
		call()
	}
	if n := servers[1].InspectServer(0).Calls.Started - before; n != 20 {
		t.Errorf("%d calls of 20 went to the server that is left", n)
	}
}

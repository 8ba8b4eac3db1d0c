package weir_test

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/inproc"
	"github.com/weir-rpc/weir/internal/simnet"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
)

// fromAddress is a connection that comes from somewhere.
type fromAddress struct {
	net.Conn
	at net.Addr
}

func (c fromAddress) RemoteAddr() net.Addr { return c.at }

// fromAddresses has each connection of a listener come from the next of several
// addresses.
type fromAddresses struct {
	net.Listener
	next chan net.Addr
}

func (l fromAddresses) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return fromAddress{nc, <-l.next}, nil
}

// An address of IPv6 counts by its network of 64 bits, within which a host has the
// addresses that it likes; one of IPv4 counts by itself, however it is written.
func TestMaxConnectionsPerIP_NetworkOfIPv6(t *testing.T) {
	tcp := func(at string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(at)) }
	for name, tt := range map[string]struct {
		first, second net.Addr
		refused       string // in the error of the second; empty if it is let in
	}{
		"the same network":            {tcp("[2001:db8:1:2::1]:1"), tcp("[2001:db8:1:2:ffff:ffff:ffff:ffff]:2"), "the server has 1 from 2001:db8:1:2::/64 (option MaxConnectionsPerIP)"},
		"its neighbour":               {tcp("[2001:db8:1:2::1]:1"), tcp("[2001:db8:1:3::1]:2"), ""},
		"one link":                    {tcp("[fe80::1%eth0]:1"), tcp("[fe80::2%eth0]:2"), "from fe80::/64"},
		"the same address":            {tcp("192.0.2.1:1"), tcp("192.0.2.1:2"), "the server has 1 from 192.0.2.1 (option MaxConnectionsPerIP)"},
		"another address":             {tcp("192.0.2.1:1"), tcp("192.0.2.2:2"), ""},
		"the same, mapped":            {tcp("192.0.2.1:1"), tcp("[::ffff:192.0.2.1]:2"), "from 192.0.2.1 "},
		"another, mapped":             {tcp("[::ffff:192.0.2.1]:1"), tcp("[::ffff:192.0.2.2]:2"), ""},
		"mapped, in another notation": {&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1).To4(), Port: 2}, "from 192.0.2.1 "},
		"no address":                  {new(net.TCPAddr), new(net.TCPAddr), ""},
		"a unix socket":               {&net.UnixAddr{Name: "@", Net: "unix"}, &net.UnixAddr{Name: "@", Net: "unix"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var network simnet.Network
				inner, err := network.Listen("svc:80")
				if err != nil {
					t.Fatal(err)
				}
				lis := fromAddresses{inner, make(chan net.Addr, 3)}
				refused := make(chan error, 3)
				srv := weir.NewServer(weir.MaxConnectionsPerIP(1), weir.OnConnState(func(c *weir.ServerConn, state weir.ConnState) {
					if state == weir.ConnClosed {
						refused <- c.Err()
					}
				}))
				background(t, srv, lis)
				dial := func(at net.Addr) net.Conn {
					lis.next <- at
					nc, err := network.Dial(t.Context(), "svc:80")
					if err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
					return nc
				}
				first, second := dial(tt.first), dial(tt.second)
				defer func() { _, _ = first.Close(), second.Close() }()
				switch n := len(srv.Conns()); {
				case tt.refused == "":
					if n != 2 {
						t.Errorf("%d connections, want both: %v", n, <-refused)
					}
				case n != 1:
					t.Errorf("%d connections, want the first alone", n)
				default:
					if err := <-refused; !strings.Contains(err.Error(), tt.refused) {
						t.Errorf("it is refused with %q, want %q", err, tt.refused)
					}
					_ = first.Close() // which makes room for the other address
					synctest.Wait()
					third := dial(tt.second)
					defer third.Close()
					if n := len(srv.Conns()); n != 1 {
						t.Errorf("%d connections after the first has ended, want 1", n)
					}
				}
			})
		})
	}
}

// The limits are for those who come from outside: what the program connects itself
// is neither kept out by them nor takes anybody's place.
func TestMaxConnections_WithinTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := simulate(t, echo{}, weir.MaxConnections(1), weir.MaxConnectionsPerIP(1))
		call := func(c testpb.TestServiceClient) error {
			_, err := c.EmptyCall(t.Context(), &testpb.Empty{}, grpc.WaitForReady(false))
			return err
		}
		within := func() testpb.TestServiceClient {
			c, err := inproc.NewClient(s.Server)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close() })
			return testpb.NewTestServiceClient(c)
		}
		if err := call(within()); err != nil {
			t.Errorf("within the process: %v", err)
		}
		outside, beyond := s.client(t), s.client(t)
		if err := call(outside); err != nil {
			t.Errorf("from outside, beside it: %v", err)
		}
		if err := call(within()); err != nil {
			t.Errorf("within the process, at the limit: %v", err)
		}
		if err := call(beyond); status.Code(err) != codes.Unavailable {
			t.Errorf("from outside, beyond the limit: %v", err)
		}
		if n := len(s.Conns()); n != 3 {
			t.Errorf("%d connections, want 3", n)
		}
		s.Stop()
	})
}

// forgetful is a connection that does not know where it came from when it is closed,
// as those of a network stack in user space do.
type forgetful struct {
	net.Conn
	closed chan struct{}
}

func (f *forgetful) RemoteAddr() net.Addr {
	select {
	case <-f.closed:
		return nil
	default:
		return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}
	}
}

func (f *forgetful) Close() error {
	select {
	case <-f.closed:
	default:
		close(f.closed)
	}
	return f.Conn.Close()
}

// An address has its place back when its connection has ended, whether that still
// knows the address or not.
func TestMaxConnectionsPerIP_AddressIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network simnet.Network
		lis, err := network.Listen("svc:80")
		if err != nil {
			t.Fatal(err)
		}
		srv := weir.NewServer(weir.MaxConnectionsPerIP(1))
		testpb.RegisterTestServiceServer(srv, echo{})
		background(t, srv, wrapping{lis, func(nc net.Conn) net.Conn { return &forgetful{nc, make(chan struct{})} }})
		for range 3 {
			c := newWeirClient(t, "passthrough:///svc:80", weir.WithContextDialer(network.Dial))
			if _, err := testpb.NewTestServiceClient(c).EmptyCall(t.Context(), &testpb.Empty{}); err != nil {
				t.Error(err)
			}
			_ = c.Close()
			synctest.Wait()
		}
	})
}

// Stop waits until it is told that a connection was kept out, as for all that
// OnConnState has to tell.
func TestMaxConnections_StopWhileOneIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told atomic.Bool
		busy := make(chan struct{})
		s := simulate(t, echo{}, weir.MaxConnections(1), weir.OnConnState(func(c *weir.ServerConn, _ weir.ConnState) {
			if errors.Is(c.Err(), weir.ErrTooManyConnections) {
				<-busy
				told.Store(true)
			}
		}))
		for range 2 {
			defer s.dial(t).Close()
			synctest.Wait()
		}
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			s.Stop()
			if !told.Load() {
				t.Error("Stop returns before it is told of a connection that was kept out")
			}
		}()
		synctest.Wait()
		close(busy)
		<-stopped
	})
}

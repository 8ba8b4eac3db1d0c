package weir_test

import (
	"context"
	"crypto/x509"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// accepting keeps the connections that it accepts.
type accepting struct {
	net.Listener
	conns chan net.Conn
}

func (l *accepting) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err == nil {
		l.conns <- nc
	}
	return nc, err
}

// userTimeout is TCP_USER_TIMEOUT of nc, in milliseconds.
func userTimeout(t *testing.T, nc net.Conn) (ms int) {
	t.Helper()
	rc, err := nc.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var errno error
	if err := rc.Control(func(fd uintptr) {
		ms, errno = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
	}); err != nil || errno != nil {
		t.Fatal(err, errno)
	}
	return ms
}

// Row B4: TCP_USER_TIMEOUT of both ends is keepalive's Timeout, 20 s without
// keepalive, and under TLS too.
func TestUserTimeout(t *testing.T) {
	cert := certificate(t)
	pool := x509.NewCertPool()
	pool.AddCert(cert.Leaf)
	for name, tt := range map[string]struct {
		dial           []weir.DialOption
		serve          []weir.ServerOption
		client, server int
	}{
		"by default": {nil, nil, 20_000, 20_000},
		"Timeout": {
			[]weir.DialOption{weir.WithKeepaliveParams(keepalive.ClientParameters{Time: time.Hour, Timeout: 30 * time.Second})},
			[]weir.ServerOption{weir.KeepaliveParams(keepalive.ServerParameters{Timeout: 40 * time.Second})},
			30_000, 40_000,
		},
		"keepalive by default": {
			[]weir.DialOption{weir.WithKeepaliveParams(keepalive.ClientParameters{})},
			[]weir.ServerOption{weir.KeepaliveParams(keepalive.ServerParameters{Time: -1, Timeout: 40 * time.Second})},
			20_000, 20_000,
		},
	} {
		for _, secure := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				dial, serve := slices.Clone(tt.dial), slices.Clone(tt.serve)
				if secure {
					dial = append(dial, weir.WithTransportCredentials(credentials.NewClientTLSFromCert(pool, "")))
					serve = append(serve, weir.Creds(credentials.NewServerTLSFromCert(&cert)))
				}
				s := weir.NewServer(serve...)
				testpb.RegisterTestServiceServer(s, echo{})
				lis := &accepting{listen(t), make(chan net.Conn, 1)}
				served := background(t, s, lis)
				dialed := make(chan net.Conn, 1)
				dial = append(dial, weir.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
					nc, err := new(net.Dialer).DialContext(ctx, "tcp", address)
					dialed <- nc
					return nc, err
				}))
				c := newWeirClient(t, "passthrough:///"+lis.Addr().String(), dial...)
				if _, err := testpb.NewTestServiceClient(c).EmptyCall(t.Context(), &testpb.Empty{}); err != nil {
					t.Fatal(err)
				}
				if ms := userTimeout(t, <-dialed); ms != tt.client {
					t.Errorf("the client's is %d ms, want %d", ms, tt.client)
				}
				if ms := userTimeout(t, <-lis.conns); ms != tt.server {
					t.Errorf("the server's is %d ms, want %d", ms, tt.server)
				}
				s.Stop()
				<-served
			})
		}
	}
}

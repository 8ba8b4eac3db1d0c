package transport

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-rpc/weir/internal/simnet"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
)

// sockets are the kinds of connections of the operating system: each gives
// the two ends of one.
var sockets = map[string]func(t *testing.T) (client, server net.Conn){
	"tcp":  func(t *testing.T) (net.Conn, net.Conn) { return connected(t, "tcp", "127.0.0.1:0") },
	"unix": func(t *testing.T) (net.Conn, net.Conn) { return connected(t, "unix", simnet.SocketPath(t)) },
	"tls": func(t *testing.T) (net.Conn, net.Conn) {
		a, b := connected(t, "tcp", "127.0.0.1:0")
		cert := certificate(t)
		roots := x509.NewCertPool()
		roots.AddCert(cert.Leaf)
		return tls.Client(a, &tls.Config{RootCAs: roots, ServerName: "sim", NextProtos: []string{"h2"}}),
			tls.Server(b, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2"}})
	},
}

func connected(t *testing.T, network, address string) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	accepted := async(func() net.Conn {
		nc, err := l.Accept()
		if err != nil {
			t.Error(err)
		}
		return nc
	})
	client, err = net.Dial(network, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return client, <-accepted
}

func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"sim"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// onSockets runs f on each kind of socket, with a server whose handlers do
// handle.
func onSockets(t *testing.T, handle func(ServerStream), f func(t *testing.T, ct ClientTransport, sv ServerTransport)) {
	t.Helper()
	for name, connect := range sockets {
		t.Run(name, func(t *testing.T) {
			a, b := connect(t)
			var cfg ConnConfig
			if _, ok := a.(*tls.Conn); ok {
				cfg.AuthInfo = credentials.TLSInfo{}
			}
			server := make(chan ServerTransport, 1)
			result := async(func() error {
				sv, err := NewServerTransport(b, ServerConfig{ConnConfig: cfg, Unary: unaryMethods, MaxRecvMessageSize: -1})
				if err != nil {
					close(server)
					return err
				}
				server <- sv
				return sv.HandleStreams(t.Context(), handle)
			})
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			ct, err := NewHTTP2Client(ctx, a, ClientConfig{ConnConfig: cfg})
			if err != nil {
				t.Fatal(err)
			}
			f(t, ct, <-server)
			ct.Close("the test is over")
			if err := <-result; !errors.Is(err, net.ErrClosed) {
				t.Errorf("HandleStreams gave %v", err)
			}
		})
	}
}

// Row A105: large messages go both ways at once, whole.
func TestSocket_LargeMessages_ArriveWhole(t *testing.T) {
	onSockets(t, echoUnary, func(t *testing.T, ct ClientTransport, _ ServerTransport) {
		var wg sync.WaitGroup
		for w := range 3 {
			wg.Go(func() {
				want := strings.Repeat(fmt.Sprintf("large %d ", w), 500_000)
				var reply Reply
				err := ct.RoundTrip(t.Context(), &Call{Method: "/u/Echo", MaxRecvMessageSize: -1}, text(want), &reply)
				if err != nil || string(reply.Message.Data) != want {
					t.Errorf("%d octets came back of %d, %v", len(reply.Message.Data), len(want), err)
				}
				reply.Free()
			})
		}
		wg.Wait()
	})
}

// Many small calls at once are all answered.
func TestSocket_ManySmallCalls_AreAnswered(t *testing.T) {
	onSockets(t, echoUnary, func(t *testing.T, ct ClientTransport, _ ServerTransport) {
		var wg sync.WaitGroup
		for w := range 16 {
			wg.Go(func() {
				for i := range 200 {
					want := fmt.Sprint(w, ".", i)
					var reply Reply
					if err := ct.RoundTrip(t.Context(), &Call{Method: "/u/Echo"}, text(want), &reply); err != nil || string(reply.Message.Data) != want {
						t.Errorf("%q came back as %q, %v", want, reply.Message.Data, err)
					}
					reply.Free()
				}
			})
		}
		wg.Wait()
	})
}

// A receiver that takes its time holds the sender up and loses nothing, while
// calls beside it are answered.
func TestSocket_SlowReceiver_HoldsUpItsSenderOnly(t *testing.T) {
	const messages, each = 100, 100_000
	handle := func(st ServerStream) {
		if st.Method() == "/u/Echo" {
			echoUnary(st)
			return
		}
		for i := range messages {
			if err := st.Send(text(strings.Repeat(string(rune('a'+i%26)), each))); err != nil {
				t.Errorf("Send: %v", err)
				return
			}
		}
		st.WriteStatus(nil)
	}
	onSockets(t, handle, func(t *testing.T, ct ClientTransport, _ ServerTransport) {
		cs, err := ct.NewStream(t.Context(), &Call{Method: "/s/Stream"})
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			c := roundTrip(t.Context(), ct, "beside")
			c.want(t, "beside")
		}
		for i := range messages {
			m, err := cs.Recv()
			if err != nil || len(m.Data) != each || m.Data[0] != byte('a'+i%26) || m.Data[each-1] != m.Data[0] {
				t.Fatalf("message %d has %d octets, %v", i, len(m.Data), err)
			}
			m.Free()
		}
		if _, err := cs.Recv(); err != io.EOF || cs.Status().Code() != codes.OK {
			t.Errorf("the stream ended with %v, %v", err, cs.Status())
		}
	})
}

// A peer that does not read at all fills the socket: tryWrite takes what goes,
// the rest waits, and all of it arrives in its order when the peer reads.
func TestSocket_PeerDoesNotRead_TheRestWaits(t *testing.T) {
	for _, name := range []string{"tcp", "unix"} {
		t.Run(name, func(t *testing.T) {
			a, b := sockets[name](t)
			s := newPlainSocketOf(t, a)
			var want, got []byte
			blocked := false
			var rest [][]byte
			for i := 0; !blocked; i++ {
				segs := [][]byte{[]byte(strings.Repeat(string(rune('a'+i%26)), 10_000)), nil, []byte(strings.Repeat("-", 50_000))}
				for _, seg := range segs {
					want = append(want, seg...)
				}
				var err error
				if rest, err = s.tryWrite(segs); err != nil {
					t.Fatal(err)
				}
				blocked = len(rest) > 0
			}
			wrote := async(func() error {
				err := s.write(rest, new(atomic.Uint32))
				_ = a.Close()
				return err
			})
			got, err := io.ReadAll(b)
			if err != nil || string(got) != string(want) {
				t.Errorf("%d octets of %d arrived, %v", len(got), len(want), err)
			}
			if err := <-wrote; err != nil {
				t.Error(err)
			}
			_ = b.Close()
		})
	}
}

// A socket that is closed, or past its deadline, takes nothing, whatever it took
// before.
func TestSocket_WriteFails_NothingIsWritten(t *testing.T) {
	for name, end := range map[string]func(net.Conn) error{
		"closed": net.Conn.Close,
		"late":   func(nc net.Conn) error { return nc.SetWriteDeadline(time.Unix(1, 0)) },
	} {
		t.Run(name, func(t *testing.T) {
			a, b := sockets["tcp"](t)
			s := newPlainSocketOf(t, a)
			if rest, err := s.tryWrite([][]byte{make([]byte, 1000)}); err != nil || len(rest) > 0 {
				t.Fatal(len(rest), err)
			}
			if err := end(a); err != nil {
				t.Fatal(err)
			}
			if rest, err := s.tryWrite([][]byte{{'x'}}); err == nil || len(rest) != 1 || len(rest[0]) != 1 {
				t.Errorf("%d pieces are left, error %v", len(rest), err)
			}
			_, _ = a.Close(), b.Close()
		})
	}
}

func newPlainSocketOf(t *testing.T, nc net.Conn) socket {
	t.Helper()
	s := newSocket(nc, nil)
	if !s.canTry() {
		t.Skip("this system's sockets are taken as any net.Conn")
	}
	return s
}

// A connection that is closed in the middle of everything ends all calls.
func TestSocket_ClosedInTheMiddle_EndsTheCalls(t *testing.T) {
	handle := func(st ServerStream) {
		for st.Send(octets(50_000)) == nil {
		}
	}
	onSockets(t, handle, func(t *testing.T, ct ClientTransport, sv ServerTransport) {
		var wg sync.WaitGroup
		for range 4 {
			cs, err := ct.NewStream(t.Context(), &Call{Method: "/s/Stream"})
			if err != nil {
				t.Fatal(err)
			}
			if m, err := cs.Recv(); err != nil {
				t.Fatal(err)
			} else {
				m.Free()
			}
			wg.Go(func() {
				for {
					m, err := cs.Recv()
					if err != nil {
						if status.Code(err) != codes.Unavailable {
							t.Errorf("the stream ended with %v", err)
						}
						return
					}
					m.Free()
				}
			})
		}
		sv.Close("in the middle")
		wg.Wait()
		<-ct.Done()
	})
}

// What does not speak HTTP/2 is told so on a real socket too, and called by
// its name.
func TestSocket_NotHTTP2_SaysWhatItIs(t *testing.T) {
	for octets, says := range map[string]string{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n":    "speaks HTTP/1",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc": "speaks TLS",
	} {
		a, b := connected(t, "tcp", "127.0.0.1:0")
		result := async(func() error { _, err := NewServerTransport(b, ServerConfig{}); return err })
		if _, err := a.Write([]byte(octets)); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(a)
		if err != nil || !strings.Contains(string(got), says) {
			t.Errorf("the client got %q, %v, want GOAWAY that says %q", got, err, says)
		}
		_ = a.Close()
		if err := <-result; err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("NewServerTransport gave %v, want %q", err, says)
		}
	}
	for octets, says := range map[string]string{
		"HTTP/1.1 400 Bad Request\r\n\r\n":        "speaks HTTP/1",
		"\x15\x03\x03\x00\x02\x02\x32 and more..": "speaks TLS",
	} {
		a, b := connected(t, "tcp", "127.0.0.1:0")
		if _, err := b.Write([]byte(octets)); err != nil {
			t.Fatal(err)
		}
		closed := async(func() error {
			preface := make([]byte, 24)
			_, err := io.ReadFull(b, preface)
			_ = b.(*net.TCPConn).CloseWrite()
			return err
		})
		if _, err := NewHTTP2Client(t.Context(), a, ClientConfig{}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("NewHTTP2Client gave %v, want %q", err, says)
		}
		<-closed
		_ = b.Close()
	}
}

// cropped takes a part of what it is given and reports no error, which io.Writer
// does not allow.
type cropped struct{ net.Conn }

func (c cropped) Write(b []byte) (int, error) {
	return c.Conn.Write(b[:min(len(b), 100)])
}

// A net.Conn that loses octets in silence ends the connection: what would follow
// is no HTTP/2.
func TestSocket_ShortWriteWithoutError_EndsTheConnection(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Link{})
		result := async(func() error {
			sv, err := NewServerTransport(b, ServerConfig{Unary: unaryMethods})
			if err != nil {
				return err
			}
			return sv.HandleStreams(t.Context(), echoUnary)
		})
		ct, err := NewHTTP2Client(t.Context(), cropped{a}, ClientConfig{})
		if err != nil {
			t.Fatal(err)
		}
		if err := roundTrip(t.Context(), ct, strings.Repeat("long ", 100)).wantError(t, codes.Unavailable); !errors.Is(err, io.ErrShortWrite) {
			t.Errorf("the call gave %v", err)
		}
		<-ct.Done()
		<-result
	})
}

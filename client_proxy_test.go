package weir_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"google.golang.org/grpc"
	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// splice passes octets on between a proxy's connections until one of them ends.
func splice(near io.ReadWriteCloser, far net.Conn) {
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.Copy(far, near); far.Close(); near.Close() })
	both.Go(func() { _, _ = io.Copy(near, far); far.Close(); near.Close() })
	both.Wait()
}

// httpProxy is a CONNECT proxy made of net/http. It connects everybody who has
// the password with one address, and counts.
type httpProxy struct {
	to    string
	wants string // the host and port that are to be asked for
	asked atomic.Int32
}

func (p *httpProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	user, password, _ := (&http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}).BasicAuth()
	switch {
	case r.Method != http.MethodConnect || r.Host != p.wants:
		http.Error(w, "there is no "+r.Host, http.StatusBadGateway)
		return
	case user != "me" || password != "secret":
		http.Error(w, "who are you?", http.StatusProxyAuthRequired)
		return
	}
	p.asked.Add(1)
	far, err := net.Dial("tcp", p.to)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	w.WriteHeader(http.StatusOK)
	near, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		far.Close()
		return
	}
	splice(struct {
		io.Reader
		io.Writer
		io.Closer
	}{rw, near, near}, far)
}

// socksProxy serves SOCKS5 (RFC 1928, with RFC 1929's passwords) on one
// connection.
func (p *httpProxy) socks(nc net.Conn) error {
	defer nc.Close()
	r := bufio.NewReader(nc)
	read := func(n int) []byte {
		b := make([]byte, n)
		_, _ = io.ReadFull(r, b)
		return b
	}
	methods := read(int(read(2)[1]))
	if !strings.Contains(string(methods), "\x02") {
		_, _ = nc.Write([]byte{5, 0xff})
		return errors.New("no password is offered")
	}
	_, _ = nc.Write([]byte{5, 2})
	user := read(int(read(2)[1]))
	password := read(int(read(1)[0]))
	if string(user) != "me" || string(password) != "secret" {
		_, _ = nc.Write([]byte{1, 1})
		return errors.New("the password is wrong")
	}
	_, _ = nc.Write([]byte{1, 0})
	request := read(4)
	if string(request) != "\x05\x01\x00\x03" {
		return errors.New("not a request to connect to a name")
	}
	host := string(read(int(read(1)[0])))
	port := read(2)
	p.asked.Add(1)
	if host+":443" != p.wants || string(port) != "\x01\xbb" {
		_, _ = nc.Write([]byte{5, 4, 0, 1, 0, 0, 0, 0, 0, 0})
		return nil
	}
	far, err := net.Dial("tcp", p.to)
	if err != nil {
		return err
	}
	_, _ = nc.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	splice(struct {
		io.Reader
		io.Writer
		io.Closer
	}{r, nc, nc}, far)
	return nil
}

// serveSOCKS accepts connections for socks.
func (p *httpProxy) serveSOCKS(t *testing.T) string {
	lis := listen(t)
	var work sync.WaitGroup
	work.Go(func() {
		for {
			nc, err := lis.Accept()
			if err != nil {
				return
			}
			work.Go(func() { _ = p.socks(nc) })
		}
	})
	t.Cleanup(func() { lis.Close(); work.Wait() })
	return lis.Addr().String()
}

// Feature: HTTP CONNECT and SOCKS5 proxies.
func TestProxies(t *testing.T) {
	server, client := secrets(t, "svc.test", "proxy.test")
	proxyTLS := client.Clone()
	proxyTLS.ServerName = "proxy.test"
	srv := weir.NewServer(weir.Creds(credentials.NewTLS(server)))
	testpb.RegisterTestServiceServer(srv, echo{})
	lis := listen(t)
	background(t, srv, lis)

	tests := []struct {
		name  string
		begin func(t *testing.T, p *httpProxy) string
	}{
		{"http", func(t *testing.T, p *httpProxy) string {
			s := httptest.NewServer(p)
			t.Cleanup(s.Close)
			return "http://me:secret@" + s.Listener.Addr().String()
		}},
		{"https", func(t *testing.T, p *httpProxy) string {
			s := httptest.NewUnstartedServer(p)
			s.TLS = server.Clone()
			s.TLS.NextProtos = []string{"http/1.1"}
			s.StartTLS()
			t.Cleanup(s.Close)
			return "https://me:secret@" + s.Listener.Addr().String()
		}},
		{"socks5", func(t *testing.T, p *httpProxy) string { return "socks5://me:secret@" + p.serveSOCKS(t) }},
		{"socks5h", func(t *testing.T, p *httpProxy) string { return "socks5h://me:secret@" + p.serveSOCKS(t) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := &httpProxy{to: lis.Addr().String(), wants: "svc.test:443"}
			way := tt.begin(t, p)
			call := func(opts ...weir.DialOption) error {
				opts = append(opts, weir.WithTransportCredentials(credentials.NewTLS(client)), weir.WithProxyTLS(proxyTLS))
				c := newWeirClient(t, "svc.test", opts...)
				defer c.Close()
				var at peer.Peer
				_, err := testpb.NewTestServiceClient(c).EmptyCall(t.Context(), &testpb.Empty{}, grpc.Peer(&at))
				if err == nil && at.Addr.String() != mustParse(t, way).Host {
					t.Errorf("the peer is %v, want the proxy", at.Addr)
				}
				return err
			}
			with := func(way string) weir.DialOption {
				return weir.WithProxy(func(string) (*url.URL, error) { return url.Parse(way) })
			}
			if err := call(with(way)); err != nil {
				t.Errorf("by option: %v", err)
			}
			t.Run("by environment", func(t *testing.T) {
				t.Setenv("HTTPS_PROXY", way)
				t.Setenv("NO_PROXY", "")
				if err := call(); err != nil {
					t.Error(err)
				}
			})
			if n := p.asked.Load(); n != 2 {
				t.Errorf("the proxy made %d connections, want 2", n)
			}
			err := call(with(strings.Replace(way, "secret", "wrong", 1)))
			if err == nil {
				t.Fatal("a wrong password is good enough")
			}
			u := mustParse(t, way)
			wantWords(t, err, []string{"cannot connect to svc.test:443 through the proxy " + u.Scheme + "://" + u.Host})
			if strings.Contains(err.Error(), "wrong") {
				t.Errorf("the error tells the password: %v", err)
			}
		})
	}
}

func mustParse(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// The server's certificate is checked behind a proxy as without one.
func TestProxyAndForeignServer(t *testing.T) {
	server, client := secrets(t, "other.test")
	lis, err := tls.Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	srv := weir.NewServer()
	background(t, srv, lis)
	p := &httpProxy{to: lis.Addr().String(), wants: "svc.test:443"}
	s := httptest.NewServer(p)
	defer s.Close()
	c := newWeirClient(t, "svc.test", weir.WithTransportCredentials(credentials.NewTLS(client)),
		weir.WithProxy(func(string) (*url.URL, error) { return url.Parse("http://me:secret@" + s.Listener.Addr().String()) }))
	defer c.Close()
	_, err = testpb.NewTestServiceClient(c).EmptyCall(t.Context(), &testpb.Empty{})
	wantWords(t, err, []string{"no secure connection with svc.test:443 through the proxy http://" + s.Listener.Addr().String(), "other.test"})
}

// Without a proxy: by option, under a dialer of the user's own, or because the
// environment says so. A dialer reaches the proxy that an option names.
func TestProxyIsNotUsed(t *testing.T) {
	var dialed string
	dialer := weir.WithContextDialer(func(_ context.Context, address string) (net.Conn, error) {
		dialed = address
		return nil, errNoDial
	})
	option := weir.WithProxy(func(string) (*url.URL, error) { return url.Parse("http://option.test:1") })
	tests := []struct {
		name string
		opts []weir.DialOption
		want string
	}{
		{"a dialer", []weir.DialOption{dialer}, "192.0.2.1:443"},
		{"a dialer and the option", []weir.DialOption{dialer, option}, "option.test:1"},
		{"WithNoProxy", []weir.DialOption{weir.WithNoProxy(), dialer, option}, "192.0.2.1:443"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("HTTPS_PROXY", "http://environment.test:1")
			t.Setenv("NO_PROXY", "")
			c := newWeirClient(t, "192.0.2.1:443", tt.opts...)
			_, err := testpb.NewTestServiceClient(c).EmptyCall(t.Context(), &testpb.Empty{})
			c.Close()
			if err == nil || dialed != tt.want {
				t.Errorf("dialed %q: %v, want %q", dialed, err, tt.want)
			}
		})
	}
}

package weir_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// listen opens a listener on loopback.
func listen(tb testing.TB) net.Listener {
	tb.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	return lis
}

// background serves lis and tells what Serve returns. The server is stopped
// when the test ends.
func background(tb testing.TB, srv anyServer, lis net.Listener) (served <-chan error) {
	tb.Helper()
	ended, result := make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(ended)
		result <- srv.Serve(lis)
	}()
	tb.Cleanup(func() {
		srv.Stop()
		<-ended
	})
	return result
}

// clients are the two that call a weir server.
var clients = map[string]func(testing.TB, string) connector{
	"weir":    func(tb testing.TB, address string) connector { return newWeirClient(tb, "passthrough:///"+address) },
	"grpc-go": func(tb testing.TB, address string) connector { return newGRPCClient(tb, "passthrough:///"+address) },
}

// issuer is an authority that issues certificates.
type issuer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool // with the authority alone
}

func newIssuer(t *testing.T, name string) issuer {
	t.Helper()
	i := issuer{pool: x509.NewCertPool()}
	root := i.issue(t, name, func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	})
	i.cert, i.key = root.Leaf, root.PrivateKey.(*ecdsa.PrivateKey)
	i.pool.AddCert(i.cert)
	return i
}

// issue makes a certificate for a host, valid now and for both ends of a
// connection unless edit changes that. An issuer without a key signs itself.
func (i issuer) issue(t *testing.T, host string, edit ...func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, f := range edit {
		f(template)
	}
	parent, signer := i.cert, i.key
	if signer == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func withTLS(edit ...func(*tls.Config)) credentials.TransportCredentials {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	for _, f := range edit {
		f(cfg)
	}
	return credentials.NewTLS(cfg)
}

func presenting(c tls.Certificate) func(*tls.Config) {
	return func(cfg *tls.Config) { cfg.Certificates = []tls.Certificate{c} }
}

func trusting(i issuer) func(*tls.Config) {
	return func(cfg *tls.Config) { cfg.RootCAs = i.pool }
}

func demanding(i issuer) func(*tls.Config) {
	return func(cfg *tls.Config) { cfg.ClientAuth, cfg.ClientCAs = tls.RequireAndVerifyClientCert, i.pool }
}

// gate is a service that tells who calls, and counts the calls.
type gate struct {
	streamer
	calls atomic.Int32
}

func (g *gate) EmptyCall(ctx context.Context, _ *testpb.Empty) (*testpb.Empty, error) {
	g.calls.Add(1)
	p, _ := peer.FromContext(ctx)
	return &testpb.Empty{}, grpc.SetHeader(ctx, identity(p))
}

// identity puts into metadata what TLS says of a peer.
func identity(p *peer.Peer) metadata.MD {
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok {
		return metadata.MD{"x-type": {fmt.Sprintf("%T", p.AuthInfo)}}
	}
	md := metadata.MD{
		"x-type":  {info.AuthType()},
		"x-level": {info.SecurityLevel.String()},
		"x-alpn":  {info.State.NegotiatedProtocol},
		"x-tls":   {tls.VersionName(info.State.Version)},
	}
	if len(info.State.VerifiedChains) > 0 {
		md["x-name"] = []string{info.State.VerifiedChains[0][0].Subject.CommonName}
	}
	if info.SPIFFEID != nil {
		md["x-spiffe"] = []string{info.SPIFFEID.String()}
	}
	return md
}

func wantIdentity(t *testing.T, side string, md metadata.MD, want map[string]string) {
	t.Helper()
	for k, v := range want {
		if got := strings.Join(md[k], ","); got != v {
			t.Errorf("%s: %s is %q, want %q", side, k, got, v)
		}
	}
}

// Security is not left to chance: that there is none has to be said.
func TestClientWithoutCredentials(t *testing.T) {
	_, err := weir.NewClient("localhost:80")
	if err == nil {
		t.Fatal("there is a client that nobody said is not secured")
	}
	wantWords(t, err, []string{"weir: ", "WithTransportCredentials", "insecure.NewCredentials"})
}

// Calls and streams of all sizes over TLS. Both ends know what protects them.
func TestTLS(t *testing.T) {
	ca := newIssuer(t, "ca.test")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, p := range pairings {
			t.Run(tls.VersionName(version)+"/"+p.name, func(t *testing.T) {
				only := func(cfg *tls.Config) { cfg.MinVersion, cfg.MaxVersion = version, version }
				dial := guarded(t, p, &gate{}, withTLS(only, presenting(ca.issue(t, "svc.test"))))
				c := testpb.NewTestServiceClient(dial(t, withTLS(only, trusting(ca)), "svc.test"))
				var header metadata.MD
				var server peer.Peer
				want := map[string]string{"x-type": "tls", "x-level": "PrivacyAndIntegrity", "x-alpn": "h2", "x-tls": tls.VersionName(version), "x-name": ""}
				if _, err := c.EmptyCall(t.Context(), &testpb.Empty{}, grpc.Header(&header), grpc.Peer(&server)); err != nil {
					t.Fatal(err)
				}
				wantIdentity(t, "the client, as the server sees it", header, want)
				want["x-name"] = "svc.test"
				wantIdentity(t, "the server, as the client sees it", identity(&server), want)
				for _, n := range []int{0, 1, 16 << 10, 100_000, 1 << 20} {
					out, err := c.UnaryCall(t.Context(), &testpb.SimpleRequest{ResponseSize: int32(n), Payload: &testpb.Payload{Body: bytes.Repeat([]byte("x"), n)}})
					if err != nil || len(out.GetPayload().GetBody()) != n {
						t.Errorf("%d octets: got %d, %v", n, len(out.GetPayload().GetBody()), err)
					}
				}
				s, err := c.FullDuplexCall(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for range 20 {
					exchange(t, s)
				}
				if err := s.CloseSend(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// A connection that one side does not trust carries no call, and the client
// says why.
func TestTLSRefused(t *testing.T) {
	ca, other := newIssuer(t, "ca.test"), newIssuer(t, "other-ca.test")
	good := ca.issue(t, "svc.test")
	expired := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }
	tests := []struct {
		name           string
		server, client credentials.TransportCredentials
		authority      string
		word           string
	}{
		{"wrong name", withTLS(presenting(good)), withTLS(trusting(ca)), "other.test", "other.test"},
		{"expired", withTLS(presenting(ca.issue(t, "svc.test", expired))), withTLS(trusting(ca)), "svc.test", "expired"},
		{"not valid yet", withTLS(presenting(ca.issue(t, "svc.test", func(c *x509.Certificate) {
			c.NotBefore = time.Now().Add(time.Minute)
		}))), withTLS(trusting(ca)), "svc.test", "not yet valid"},
		{"unknown authority", withTLS(presenting(good)), withTLS(trusting(other)), "svc.test", "unknown authority"},
		{"not for servers", withTLS(presenting(ca.issue(t, "svc.test", func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		}))), withTLS(trusting(ca)), "svc.test", "key usage"},
		{"no certificate of the client", withTLS(presenting(good), demanding(ca)), withTLS(trusting(ca)), "svc.test", "certificate"},
		{"client's of an unknown authority", withTLS(presenting(good), demanding(ca)), withTLS(trusting(ca), func(cfg *tls.Config) {
			c := other.issue(t, "me.test") // sent although the server does not name its issuer
			cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c, nil }
		}), "svc.test", "certificate"},
		{"client's expired", withTLS(presenting(good), demanding(ca)), withTLS(trusting(ca), presenting(ca.issue(t, "me.test", expired))), "svc.test", "certificate"},
		{"no common version", withTLS(presenting(good), func(cfg *tls.Config) { cfg.MinVersion = tls.VersionTLS13 }),
			withTLS(trusting(ca), func(cfg *tls.Config) { cfg.MaxVersion = tls.VersionTLS12 }), "svc.test", "protocol version"},
		{"plain client", withTLS(presenting(good)), insecure.NewCredentials(), "svc.test", ""},
		{"plain server", insecure.NewCredentials(), withTLS(trusting(ca)), "svc.test", "TLS"},
	}
	for _, p := range pairings {
		for _, tt := range tests {
			t.Run(p.name+"/"+tt.name, func(t *testing.T) {
				g := &gate{}
				c := guarded(t, p, g, tt.server)(t, tt.client, tt.authority)
				_, err := testpb.NewTestServiceClient(c).EmptyCall(t.Context(), &testpb.Empty{})
				if status.Code(err) != codes.Unavailable || p.weirClient && !strings.Contains(err.Error(), tt.word) {
					t.Errorf("the call gives %v, want UNAVAILABLE with %q", err, tt.word)
				}
				if n := g.calls.Load(); n != 0 {
					t.Errorf("%d calls reached the server", n)
				}
			})
		}
	}
	for _, tt := range tests {
		t.Run("permanent/"+tt.name, func(t *testing.T) {
			lis := listen(t)
			background(t, weir.NewServer(weir.Creds(tt.server)), lis)
			told := make(chan error, 100)
			c := newWeirClient(t, lis.Addr().String(), weir.WithTransportCredentials(tt.client), weir.WithAuthority(tt.authority),
				weir.WithStateObserver(func(_, to connectivity.State, err error) {
					if to == connectivity.TransientFailure {
						select {
						case told <- err:
						default:
						}
					}
				}))
			c.Connect()
			var ce *weir.ConnectError
			want := tt.name != "plain client" // to which the server has no way to say what is wrong
			if err := <-told; !errors.As(err, &ce) || ce.Permanent != want {
				t.Errorf("the observer was told %v; permanent is %t, want %t", err, ce != nil && ce.Permanent, want)
			}
		})
	}
}

// With certificates on both sides each handler sees who calls, though all come
// through one server: name, chain and SPIFFE id.
func TestMutualTLS(t *testing.T) {
	ca, clientCA := newIssuer(t, "ca.test"), newIssuer(t, "client-ca.test")
	for _, p := range pairings {
		t.Run(p.name, func(t *testing.T) {
			dial := guarded(t, p, &gate{}, withTLS(presenting(ca.issue(t, "svc.test")), demanding(clientCA)))
			for _, name := range []string{"alice", "bob"} {
				cert := clientCA.issue(t, name, func(c *x509.Certificate) {
					c.DNSNames, c.URIs = nil, []*url.URL{{Scheme: "spiffe", Host: "weir.test", Path: "/" + name}}
				})
				c := testpb.NewTestServiceClient(dial(t, withTLS(trusting(ca), presenting(cert)), "svc.test"))
				var header metadata.MD
				if _, err := c.EmptyCall(t.Context(), &testpb.Empty{}, grpc.Header(&header)); err != nil {
					t.Fatal(err)
				}
				wantIdentity(t, "the client", header, map[string]string{"x-type": "tls", "x-name": name, "x-spiffe": "spiffe://weir.test/" + name})
			}
		})
	}
}

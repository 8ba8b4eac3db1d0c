package channel

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-rpc/weir/internal/simnet"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

var plain = insecure.NewCredentials()

// A dialer that does not heed its context costs the connect timeout, and what
// it gives in the end is closed.
func TestDialerThatHangs(t *testing.T) {
	var (
		release   chan struct{}
		late, far net.Conn
	)
	inWorld(t, "passthrough:///a", func(_ *world, cfg *Config) {
		release = make(chan struct{})
		late, far = simnet.Pipe(simnet.Link{})
		cfg.MinConnectTimeout = 5 * time.Second
		cfg.Dial = func(context.Context, string) (net.Conn, error) { <-release; return late, nil }
	}, func(t *testing.T, w *world) {
		elapsed(t, 5*time.Second, func() {
			_, err := w.within(time.Hour, false)
			wantStatus(t, err, codes.Unavailable, "cannot connect to a", "connect timeout of 5s", "MinConnectTimeout")
		})
		elapsed(t, 0, func() { w.ch.Close() })
		close(release)
		if _, err := far.Read(make([]byte, 1)); err == nil {
			t.Error("the late connection is in use")
		}
	})
}

// Row B3: a dialer that gives neither a connection nor an error is a failure.
func TestDialerGivesNothing(t *testing.T) {
	inWorld(t, "passthrough:///a", func(_ *world, cfg *Config) {
		cfg.Dial = func(context.Context, string) (net.Conn, error) { return nil, nil }
	}, func(t *testing.T, w *world) {
		_, err := w.within(time.Hour, false)
		wantStatus(t, err, codes.Unavailable, "cannot connect to a", "WithContextDialer")
	})
}

// The observer's error leads to the address and to the cause.
func TestConnectErrorIsFound(t *testing.T) {
	inWorld(t, "passthrough:///a", func(_ *world, cfg *Config) {
		cfg.Dial = func(context.Context, string) (net.Conn, error) { return nil, errBroken }
	}, func(t *testing.T, w *world) {
		w.ch.Connect()
		errs := w.wantMoves("IDLE>CONNECTING", "CONNECTING>TRANSIENT_FAILURE")
		var ce *ConnectError
		if !errors.As(errs[1], &ce) || ce.Address != "a" || ce.Permanent || !errors.Is(errs[1], errBroken) {
			t.Errorf("the observer was told %#v", errs[1])
		}
	})
}

// A peer that is no HTTP/2 server is told from one that is not there.
func TestPeerIsNoServer(t *testing.T) {
	inWorld(t, "passthrough:///a", nil, func(t *testing.T, w *world) {
		w.accept("a", func(_ *host, nc net.Conn) {
			nc.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			silent(nil, nc)
		})
		_, err := w.within(time.Minute, false)
		wantStatus(t, err, codes.Unavailable, "no HTTP/2 connection with a", "TLS", "WithTransportCredentials")
	})
}

// newCertificate makes a certificate for a name, which signs itself.
func newCertificate(t *testing.T, name string, from, to time.Time) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: from, NotAfter: to, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// serveTLS is serve behind TLS, with the certificate of the moment.
func (w *world) serveTLS(name string, cert *atomic.Pointer[tls.Certificate]) {
	creds := credentials.NewTLS(&tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return cert.Load(), nil },
	})
	w.accept(name, func(h *host, nc net.Conn) {
		secured, _, err := creds.ServerHandshake(nc)
		if err != nil {
			nc.Close()
			return
		}
		h.serve(secured)
	})
}

// Certificates that are refused are told as what they are, and tried again, as
// the server may get another.
func TestRefusedCertificate(t *testing.T) {
	tests := []struct {
		name    string
		trusted bool
		subject string
		age     time.Duration
		words   []string
	}{
		{"unknown authority", false, "svc", 0, []string{"unknown authority"}},
		{"another name", true, "other", 0, []string{"other", "svc"}},
		{"expired", true, "svc", 48 * time.Hour, []string{"expired"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var (
				good, bad *tls.Certificate
				cert      atomic.Pointer[tls.Certificate]
			)
			inWorld(t, "passthrough:///svc:80", func(_ *world, cfg *Config) {
				now := time.Now()
				good = newCertificate(t, "svc", now.Add(-time.Hour), now.Add(time.Hour))
				bad = newCertificate(t, tt.subject, now.Add(-time.Hour-tt.age), now.Add(time.Hour-tt.age))
				pool := x509.NewCertPool()
				pool.AddCert(good.Leaf)
				if tt.trusted {
					pool.AddCert(bad.Leaf)
				}
				cfg.Credentials = credentials.NewTLS(&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12})
			}, func(t *testing.T, w *world) {
				cert.Store(bad)
				w.serveTLS("svc:80", &cert)
				_, err := w.within(time.Minute, false)
				wantStatus(t, err, codes.Unavailable, append(tt.words, "svc:80", "refuse the server's certificate", "WithTransportCredentials")...)
				errs := w.wantMoves("IDLE>CONNECTING", "CONNECTING>TRANSIENT_FAILURE")
				var ce *ConnectError
				if !errors.As(errs[1], &ce) || !ce.Permanent {
					t.Errorf("%v is not told as permanent", errs[1])
				}
				cert.Store(good)
				elapsed(t, time.Second, func() { w.mustConnect() })
			})
		})
	}
}

// A server that wants a certificate of the client says so after the client's
// handshake, in TLS 1.3.
func TestServerRefusesClient(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			var cert *tls.Certificate
			inWorld(t, "passthrough:///svc:80", func(_ *world, cfg *Config) {
				cert = newCertificate(t, "svc", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
				pool := x509.NewCertPool()
				pool.AddCert(cert.Leaf)
				cfg.Credentials = credentials.NewTLS(&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12})
			}, func(t *testing.T, w *world) {
				// It does not close at once, so that what it says is read.
				w.accept("svc:80", func(_ *host, nc net.Conn) {
					secured := tls.Server(nc, &tls.Config{
						MinVersion: version, MaxVersion: version, NextProtos: []string{"h2"},
						Certificates: []tls.Certificate{*cert}, ClientAuth: tls.RequireAnyClientCert,
					})
					if secured.Handshake() == nil {
						t.Error("the handshake without a certificate succeeded")
					}
					silent(nil, nc)
				})
				_, err := w.within(time.Minute, false)
				wantStatus(t, err, codes.Unavailable, "svc:80", "certificate", "refuses the handshake", "WithTransportCredentials")
				if version == tls.VersionTLS13 {
					var lost *transport.ConnError
					if !errors.As(err, &lost) || lost.By != transport.ByPeer || !strings.Contains(err.Error(), "the peer sent a TLS alert: remote error: tls: ") {
						t.Errorf("the alert is not told as the server's: %v", err)
					}
				}
				errs := w.wantMoves("IDLE>CONNECTING", "CONNECTING>TRANSIENT_FAILURE")
				var ce *ConnectError
				if !errors.As(errs[1], &ce) || !ce.Permanent {
					t.Errorf("%v is not told as permanent", errs[1])
				}
			})
		})
	}
}

// A plain server behind TLS credentials.
func TestServerWithoutTLS(t *testing.T) {
	inWorld(t, "passthrough:///a", func(_ *world, cfg *Config) {
		cfg.Credentials = credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12})
	}, func(t *testing.T, w *world) {
		w.accept("a", func(_ *host, nc net.Conn) {
			nc.Write([]byte("\x00\x00\x00\x04\x00\x00\x00\x00\x00")) // SETTINGS
			silent(nil, nc)
		})
		_, err := w.within(time.Minute, false)
		wantStatus(t, err, codes.Unavailable, "no secure connection with a", "does not speak TLS", "insecure.NewCredentials")
	})
}

// ownTLS are credentials that leave ALPN to their tls.Config, and tell of the
// connection what they like.
type ownTLS struct {
	credentials.TransportCredentials
	cfg  *tls.Config
	info func(tls.ConnectionState) credentials.AuthInfo
}

func (c ownTLS) ClientHandshake(ctx context.Context, _ string, nc net.Conn) (net.Conn, credentials.AuthInfo, error) {
	secured := tls.Client(nc, c.cfg)
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, nil, err
	}
	return secured, c.info(secured.ConnectionState()), nil
}

// Row A23: a TLS connection that is not for HTTP/2 is refused, whoever's
// credentials made it, and the error says where "h2" is missing.
// https://www.rfc-editor.org/rfc/rfc9113#section-3.3
// Row B7: ALPN is checked before the first octet of HTTP/2.
func TestALPN(t *testing.T) {
	value := func(s tls.ConnectionState) credentials.AuthInfo { return credentials.TLSInfo{State: s} }
	pointer := func(s tls.ConnectionState) credentials.AuthInfo { return &credentials.TLSInfo{State: s} }
	other := func(tls.ConnectionState) credentials.AuthInfo { return nil }
	tests := []struct {
		name           string
		server, client []string
		info           func(tls.ConnectionState) credentials.AuthInfo // nil for credentials.NewTLS
		words          []string                                       // nil if it connects
	}{
		{"NewTLS", []string{"h2"}, nil, nil, nil},
		{"NewTLS, server without ALPN", nil, nil, nil, []string{"ALPN"}},
		{"NewTLS, server of another protocol", []string{"http/1.1"}, nil, nil, []string{"no application protocol"}},
		{"both know it", []string{"h2", "http/1.1"}, []string{"http/1.1", "h2"}, value, nil},
		{"server prefers another protocol", []string{"http/1.1", "h2"}, []string{"h2", "http/1.1"}, value, []string{`the protocol "http/1.1" by ALPN`}},
		{"server without ALPN", nil, []string{"h2"}, value, []string{"no protocol by ALPN"}},
		{"client without ALPN", []string{"h2"}, nil, value, []string{"no protocol by ALPN"}},
		{"neither", nil, nil, pointer, []string{"no protocol by ALPN"}},
		{"server of another protocol", []string{"http/1.1"}, []string{"h2", "http/1.1"}, value, []string{`the protocol "http/1.1" by ALPN`}},
		{"client of another protocol", []string{"h2", "http/1.1"}, []string{"http/1.1"}, pointer, []string{`the protocol "http/1.1" by ALPN`}},
		{"not said to be TLS", nil, nil, other, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var cert *tls.Certificate
			inWorld(t, "passthrough:///svc:80", func(_ *world, cfg *Config) {
				cert = newCertificate(t, "svc", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
				pool := x509.NewCertPool()
				pool.AddCert(cert.Leaf)
				secure := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, ServerName: "svc", NextProtos: tt.client}
				cfg.Credentials = credentials.NewTLS(secure)
				if tt.info != nil {
					cfg.Credentials = ownTLS{cfg.Credentials, secure, tt.info}
				}
			}, func(t *testing.T, w *world) {
				w.accept("svc:80", func(h *host, nc net.Conn) {
					secured := tls.Server(nc, &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: tt.server, Certificates: []tls.Certificate{*cert}})
					if secured.Handshake() != nil {
						silent(nil, nc)
						return
					}
					h.serve(secured)
				})
				if tt.words == nil {
					w.mustConnect()
					return
				}
				_, err := w.within(time.Minute, false)
				wantStatus(t, err, codes.Unavailable, append(tt.words, "no secure connection with svc:80", "NextProtos", "server's tls.Config", "WithTransportCredentials")...)
				errs := w.wantMoves("IDLE>CONNECTING", "CONNECTING>TRANSIENT_FAILURE")
				var ce *ConnectError
				if !errors.As(errs[1], &ce) || !ce.Permanent {
					t.Errorf("%v is not told as permanent", errs[1])
				}
			})
		})
	}
}

// stubborn are credentials that wait for the peer whatever the context says.
type stubborn struct {
	credentials.TransportCredentials
}

func (stubborn) ClientHandshake(_ context.Context, _ string, nc net.Conn) (net.Conn, credentials.AuthInfo, error) {
	_, err := nc.Read(make([]byte, 1))
	return nil, nil, err
}

// Row A24: the whole setup has one deadline, handshakes that ignore it too.
// Row B5: whoever ends the connection is joined before dialing returns.
func TestHandshakeThatHangs(t *testing.T) {
	inWorld(t, "passthrough:///a", func(_ *world, cfg *Config) { cfg.Credentials = stubborn{plain} }, func(t *testing.T, w *world) {
		w.accept("a", silent)
		elapsed(t, 20*time.Second, func() {
			_, err := w.within(time.Hour, false)
			wantStatus(t, err, codes.Unavailable, "no secure connection with a", "connect timeout of 20s")
		})
		w.wantState(connectivity.TransientFailure)
		elapsed(t, 0, func() { w.ch.Close() })
	})
}

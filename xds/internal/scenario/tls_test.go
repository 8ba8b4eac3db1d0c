package scenario

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/xds/internal/controlplane"
	"github.com/weir-rpc/weir/xds/internal/fleet"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/credentials/xds"
)

// identity is a certificate that signs itself, in files of PEM.
type identity struct {
	cert, key string
	pair      tls.Certificate
	pool      *x509.CertPool
}

func newIdentity(t *testing.T, name string) identity {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	id := identity{cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem"), pool: x509.NewCertPool()}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	if id.pair, err = tls.X509KeyPair(certPEM, keyPEM); err != nil {
		t.Fatal(err)
	}
	id.pool.AppendCertsFromPEM(certPEM)
	for path, text := range map[string][]byte{id.cert: certPEM, id.key: keyPEM} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return id
}

// Feature: xDS credentials
//
// A cluster says whether its connections have TLS, which roots and names count, and
// whether the client shows a certificate. One that says nothing has the credentials
// to fall back to.
func TestTLS_OfTheCluster(t *testing.T) {
	server, own := newIdentity(t, "server.example"), newIdentity(t, "client.example")
	oneWay := weir.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{server.pair}}))
	mutual := weir.Creds(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{server.pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: own.pool,
	}))
	for _, c := range []struct {
		name  string
		opts  []weir.ServerOption
		tls   *controlplane.TLS
		fails bool
	}{
		{"none", nil, nil, false},
		{"any name", []weir.ServerOption{oneWay}, &controlplane.TLS{}, false},
		{"its name", []weir.ServerOption{oneWay}, &controlplane.TLS{SANs: []string{"server.example"}}, false},
		{"another name", []weir.ServerOption{oneWay}, &controlplane.TLS{SANs: []string{"other.example"}}, true},
		{"mutual", []weir.ServerOption{mutual}, &controlplane.TLS{Identity: true}, false},
		{"a certificate is missing", []weir.ServerOption{mutual}, &controlplane.TLS{}, true},
		{"TLS is missing", []weir.ServerOption{oneWay}, nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(t *testing.T, w *world) {
				a := fleet.Start(t, "a", c.opts...)
				w.Set(simple(controlplane.Cluster{Name: "one", Localities: controlplane.At(a.Addr()), TLS: c.tls}))
				creds, err := xds.NewClientCredentials(xds.ClientOptions{FallbackCreds: insecure.NewCredentials()})
				if err != nil {
					t.Fatal(err)
				}
				w.open(how{creds: creds, bootstrap: w.Bootstrap(controlplane.Client{Roots: server.cert, Certificate: own.cert, Key: own.key})})
				if !c.fails {
					w.answered(3)
				} else if w.fails(codes.Unavailable); a.Calls() > 0 {
					t.Errorf("%d calls came", a.Calls())
				}
			})
		})
	}
}

package ecosystem

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/security/advancedtls"
	"google.golang.org/grpc/status"
)

// authority issues certificates, and revokes them.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return authority{certify(t, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}, nil, key, key), key}
}

// certify makes a certificate of a template, for an hour. A parent that is nil is
// the certificate itself.
func certify(t *testing.T, template, parent *x509.Certificate, of, by *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, of.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// issue gives a certificate for localhost.
func (a authority) issue(t *testing.T, serial int64) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := certify(t, &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, key, a.key)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

// revoke gives a list of the certificate that is revoked.
func (a authority) revoke(t *testing.T, serial int64) []byte {
	t.Helper()
	list, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour),
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: big.NewInt(serial), RevocationTime: time.Now().Add(-time.Minute)}},
	}, a.cert, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// Feature: TLS with certificate revocation lists (advancedtls)
//
// A certificate that is revoked ends the handshake, whichever side has it, and
// others do not.
func TestAdvancedTLS_Revocation(t *testing.T) {
	const good, revoked = 2, 3
	a := newAuthority(t)
	roots := advancedtls.RootCertificateOptions{RootCertificates: x509.NewCertPool()}
	roots.RootCertificates.AddCert(a.cert)
	lists := &advancedtls.RevocationOptions{CRLProvider: advancedtls.NewStaticCRLProvider([][]byte{a.revoke(t, revoked)}), DenyUndetermined: true}
	for _, tt := range []struct {
		name           string
		server, client int64
		code           codes.Code
		text           string
	}{
		{"neither", good, good, codes.OK, ""},
		{"the server's", revoked, good, codes.Unavailable, "revoked"},
		{"the client's", good, revoked, codes.Unavailable, "bad certificate"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server, err := advancedtls.NewServerCreds(&advancedtls.Options{
				IdentityOptions: advancedtls.IdentityCertificateOptions{GetIdentityCertificatesForServer: func(*tls.ClientHelloInfo) ([]*tls.Certificate, error) {
					cert := a.issue(t, tt.server)
					return []*tls.Certificate{&cert}, nil
				}},
				RootOptions: roots, RequireClientCert: true, VerificationType: advancedtls.CertVerification, RevocationOptions: lists,
			})
			if err != nil {
				t.Fatal(err)
			}
			client, err := advancedtls.NewClientCreds(&advancedtls.Options{
				IdentityOptions: advancedtls.IdentityCertificateOptions{Certificates: []tls.Certificate{a.issue(t, tt.client)}},
				RootOptions:     roots, RevocationOptions: lists,
			})
			if err != nil {
				t.Fatal(err)
			}
			srv := weir.NewServer(weir.Creds(server))
			testgrpc.RegisterTestServiceServer(srv, service{})
			lis := listen(t)
			start(t, srv, lis)
			cc, err := weir.NewClient(lis.Addr().String(), weir.WithTransportCredentials(client), weir.WithAuthority("localhost"))
			if err != nil {
				t.Fatal(err)
			}
			defer cc.Close()
			_, err = testgrpc.NewTestServiceClient(cc).UnaryCall(t.Context(), &testgrpc.SimpleRequest{})
			if status.Code(err) != tt.code || err != nil && !strings.Contains(err.Error(), tt.text) {
				t.Errorf("the call ended with %v, want %v, %q", err, tt.code, tt.text)
			}
		})
	}
}

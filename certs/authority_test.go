package certs_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/weir-rpc/weir/certs"
)

// authority signs certificates.
type authority struct {
	tb   testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(tb testing.TB, name string) *authority {
	tb.Helper()
	a := &authority{tb: tb}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.pem, _, a.cert, a.key = a.sign(template)
	return a
}

// sign makes a certificate, of itself if there is none yet.
func (a *authority) sign(template *x509.Certificate) (cert, keyPEM []byte, c *x509.Certificate, key *ecdsa.PrivateKey) {
	a.tb.Helper()
	// Clocks of tests may stand at the beginning of 2000.
	template.NotBefore, template.NotAfter = time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), time.Now().Add(time.Hour)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.tb.Fatal(err)
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		a.tb.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		a.tb.Fatal(err)
	}
	octets, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.tb.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: octets}), c, key
}

// issue makes a certificate and its key for svc.test, with a number.
func (a *authority) issue(number int64) (cert, key []byte) {
	cert, key, _, _ = a.sign(&x509.Certificate{
		SerialNumber: big.NewInt(number), Subject: pkix.Name{CommonName: "svc.test"}, DNSNames: []string{"svc.test"},
	})
	return cert, key
}

// side are the files of one side.
type side struct {
	tb testing.TB
	certs.Config
}

func newSide(tb testing.TB) *side {
	dir := tb.TempDir()
	return &side{tb, certs.Config{
		CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem"), CAFile: filepath.Join(dir, "ca.pem"),
		Every: -1,
	}}
}

func (s *side) put(name string, data ...[]byte) {
	s.tb.Helper()
	var all []byte
	for _, d := range data {
		all = append(all, d...)
	}
	if err := os.WriteFile(name, all, 0o600); err != nil {
		s.tb.Fatal(err)
	}
}

// renew writes another certificate, and tells between its two files.
func (s *side) renew(a *authority, number int64, between func()) {
	cert, key := a.issue(number)
	s.put(s.CertFile, cert)
	between()
	s.put(s.KeyFile, key)
}

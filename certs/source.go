package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/credentials"
)

const defaultEvery = time.Second

// source gives what was loaded last.
type source struct {
	cfg    Config
	loaded atomic.Pointer[loaded]

	looking sync.Mutex // held by who reads the files; the others do not wait
	looked  time.Time  // guarded by looking
}

// loaded is what the files had in them. It is immutable.
type loaded struct {
	pem         [3][]byte                        // of the certificate, the key and the authorities
	credentials credentials.TransportCredentials // one for all connections: sessions resume
}

func newSource(cfg Config) (*source, error) {
	if cfg.TLS == nil {
		cfg.TLS = new(tls.Config)
	}
	if cfg.Every == 0 {
		cfg.Every = defaultEvery
	}
	s := &source{cfg: cfg, looked: time.Now()}
	pem, err := s.read()
	if err != nil {
		return nil, err
	}
	l, err := s.load(pem)
	if err != nil {
		return nil, err
	}
	s.loaded.Store(l)
	return s, nil
}

// look gives what is to be used now.
func (s *source) look() *loaded {
	if !s.looking.TryLock() {
		return s.loaded.Load()
	}
	defer s.looking.Unlock()
	now := time.Now()
	if now.Sub(s.looked) < s.cfg.Every {
		return s.loaded.Load()
	}
	s.looked = now
	pem, err := s.read()
	if err == nil {
		if last := s.loaded.Load(); last.has(pem) {
			return last
		}
		var l *loaded
		if l, err = s.load(pem); err == nil {
			s.loaded.Store(l)
		}
	}
	if s.cfg.Changed != nil {
		s.cfg.Changed(err)
	}
	return s.loaded.Load()
}

func (s *source) read() (pem [3][]byte, err error) {
	for i, name := range []string{s.cfg.CertFile, s.cfg.KeyFile, s.cfg.CAFile} {
		if name == "" {
			continue
		}
		if pem[i], err = os.ReadFile(name); err != nil {
			return pem, fmt.Errorf("certs: %w", err)
		}
	}
	return pem, nil
}

func (l *loaded) has(pem [3][]byte) bool {
	for i := range pem {
		if !bytes.Equal(pem[i], l.pem[i]) {
			return false
		}
	}
	return true
}

func (s *source) load(pem [3][]byte) (*loaded, error) {
	cfg := s.cfg.TLS.Clone()
	if s.cfg.CertFile != "" {
		pair, err := tls.X509KeyPair(pem[0], pem[1])
		if err != nil {
			return nil, fmt.Errorf("certs: the certificate in %s with the key in %s: %w", s.cfg.CertFile, s.cfg.KeyFile, err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	if s.cfg.CAFile != "" {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem[2]) {
			return nil, fmt.Errorf("certs: %s has no certificate of an authority in it", s.cfg.CAFile)
		}
		cfg.RootCAs, cfg.ClientCAs = pool, pool
		if cfg.ClientAuth == tls.NoClientCert {
			cfg.ClientAuth = tls.RequireAndVerifyClientCert
		}
	}
	return &loaded{pem: pem, credentials: credentials.NewTLS(cfg)}, nil
}

package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"strings"
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
	files       [3][]byte                        // of the certificate, the key and the authorities
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
	files, err := s.read()
	if err != nil {
		return nil, err
	}
	l, err := s.load(files)
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
	files, err := s.read()
	if err == nil {
		if last := s.loaded.Load(); last.has(files) {
			return last
		}
		var l *loaded
		if l, err = s.load(files); err == nil {
			s.loaded.Store(l)
		}
	}
	if s.cfg.Changed != nil {
		s.cfg.Changed(err)
	}
	return s.loaded.Load()
}

func (s *source) read() (files [3][]byte, err error) {
	for i, name := range []string{s.cfg.CertFile, s.cfg.KeyFile, s.cfg.CAFile} {
		if name == "" {
			continue
		}
		if files[i], err = os.ReadFile(name); err != nil {
			return files, fmt.Errorf("certs: %w", err)
		}
	}
	return files, nil
}

func (l *loaded) has(files [3][]byte) bool {
	for i := range files {
		if !bytes.Equal(files[i], l.files[i]) {
			return false
		}
	}
	return true
}

func (s *source) load(files [3][]byte) (*loaded, error) {
	for i, name := range []string{s.cfg.CertFile, "", s.cfg.CAFile} {
		if breaksOff(files[i]) {
			return nil, fmt.Errorf("certs: %s breaks off in the middle of a block of PEM: it is half written, or damaged", name)
		}
	}
	cfg := s.cfg.TLS.Clone()
	if s.cfg.CertFile != "" {
		pair, err := tls.X509KeyPair(files[0], files[1])
		if err != nil {
			return nil, fmt.Errorf("certs: the certificate in %s with the key in %s: %w", s.cfg.CertFile, s.cfg.KeyFile, err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	if s.cfg.CAFile != "" {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(files[2]) {
			return nil, fmt.Errorf("certs: %s has no certificate of an authority in it", s.cfg.CAFile)
		}
		cfg.RootCAs, cfg.ClientCAs = pool, pool
		if cfg.ClientAuth == tls.NoClientCert {
			cfg.ClientAuth = tls.RequireAndVerifyClientCert
		}
	}
	return &loaded{files: files, credentials: credentials.NewTLS(cfg)}, nil
}

// breaksOff reports whether data ends in a block of PEM that has begun. What is
// before that would do by itself: a chain without its end, or some of the
// authorities.
func breaksOff(data []byte) bool {
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		data = rest
	}
	const begin = "-----BEGIN "
	last := data[bytes.LastIndexByte(data, '\n')+1:]
	return bytes.Contains(data, []byte(begin)) || len(last) > 0 && strings.HasPrefix(begin, string(last))
}

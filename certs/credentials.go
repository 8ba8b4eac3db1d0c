package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"google.golang.org/grpc/credentials"
)

// Config says what files there are. CertFile and KeyFile go together.
type Config struct {
	// CertFile has this side's certificate in PEM, then those that lead from it
	// to the authority's. A client that has none shows none.
	CertFile string
	// KeyFile has the private key of the first certificate, in PEM.
	KeyFile string
	// CAFile has the certificates, in PEM, of the authorities that the other
	// side's certificate must come from. If it is empty, a client trusts those of
	// TLS.RootCAs, or of the system, and a server asks clients for a certificate
	// only if TLS.ClientAuth says so. A server that has the file demands one of
	// its clients, unless TLS.ClientAuth says otherwise.
	CAFile string

	// TLS is the rest of the configuration. Nil is that of credentials.NewTLS.
	// It is not changed, and must not be changed later.
	TLS *tls.Config
	// Every is how often the files are looked at, at most. Zero means a second;
	// less than zero, with every connection.
	Every time.Duration
	// Changed, if it is not nil, is called each time that a look finds files which
	// changed: with nil if they are in use now, else with what is wrong with them,
	// at each look until that is mended. It is called by whoever makes a
	// connection, one at a time, and must not wait.
	Changed func(error)
}

// NewClient makes credentials of a client. It fails if the files cannot be
// loaded. Such credentials, and their Clones, can be used by several goroutines.
func NewClient(cfg Config) (credentials.TransportCredentials, error) {
	if cfg.CertFile == "" && cfg.CAFile == "" {
		return nil, errors.New("certs: NewClient with no files: credentials.NewTLS does without; or set CAFile, or CertFile and KeyFile")
	}
	return newCredentials(cfg)
}

// NewServer makes credentials of a server. See NewClient.
func NewServer(cfg Config) (credentials.TransportCredentials, error) {
	if cfg.CertFile == "" {
		return nil, errors.New("certs: NewServer without a certificate: set CertFile and KeyFile")
	}
	return newCredentials(cfg)
}

func newCredentials(cfg Config) (credentials.TransportCredentials, error) {
	if (cfg.CertFile == "") != (cfg.KeyFile == "") {
		return nil, errors.New("certs: a certificate needs its key: set both CertFile and KeyFile, or neither")
	}
	s, err := newSource(cfg)
	if err != nil {
		return nil, err
	}
	c := &reloaded{source: s}
	if cfg.TLS != nil {
		c.serverName = cfg.TLS.ServerName
	}
	return c, nil
}

// reloaded are the credentials of the moment. Clones share the source.
type reloaded struct {
	source     *source
	serverName string // overrides the authority that handshakes are made for; see Info
}

// Info implements credentials.TransportCredentials.
func (c *reloaded) Info() credentials.ProtocolInfo {
	info := c.source.loaded.Load().credentials.Info()
	info.ServerName = c.serverName //nolint:staticcheck // still how an override is told
	return info
}

// Clone implements credentials.TransportCredentials.
func (c *reloaded) Clone() credentials.TransportCredentials {
	clone := *c
	return &clone
}

// OverrideServerName implements credentials.TransportCredentials.
func (c *reloaded) OverrideServerName(name string) error {
	c.serverName = name
	return nil
}

// ClientHandshake implements credentials.TransportCredentials.
func (c *reloaded) ClientHandshake(ctx context.Context, authority string, nc net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return c.source.look().credentials.ClientHandshake(ctx, authority, nc)
}

// ServerHandshake implements credentials.TransportCredentials.
func (c *reloaded) ServerHandshake(nc net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return c.source.look().credentials.ServerHandshake(nc)
}

package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"google.golang.org/grpc/credentials"
)

// Config says which files there are. CertFile and KeyFile go together.
type Config struct {
	// CertFile is the path of this side's certificate in PEM, followed by the
	// intermediate certificates. A client without one shows none.
	CertFile string
	// KeyFile is the path of the private key of the first certificate, in PEM.
	KeyFile string
	// CAFile is the path of the certificates, in PEM, of the authorities that the
	// other side's certificate must come from. If it is empty, a client trusts
	// those of TLS.RootCAs, or of the system, and a server asks clients for a
	// certificate only if TLS.ClientAuth says so. A server that has the file
	// demands a certificate of its clients, unless TLS.ClientAuth says otherwise.
	CAFile string

	// TLS is the rest of the configuration. Nil means that of credentials.NewTLS.
	// It is not changed, and must not be changed later.
	TLS *tls.Config
	// Every is the least time between two looks at the files. Zero means a second;
	// with a negative value they are looked at with every connection.
	Every time.Duration
	// Changed, if it is not nil, is called each time that a look finds changed
	// files: with nil if they are in use from now on, else with what is wrong with
	// them, again at each look until that is mended. It is called on the goroutine
	// that makes a connection, one call at a time, and must not wait.
	Changed func(error)
}

// NewClient makes credentials of a client. It fails if the files cannot be
// loaded, or if there are none. Such credentials, and their Clones, may be used
// by several goroutines at a time.
func NewClient(cfg Config) (credentials.TransportCredentials, error) {
	if cfg.CertFile == "" && cfg.CAFile == "" {
		return nil, errors.New("certs: NewClient with no files: credentials.NewTLS does without; or set CAFile, or CertFile and KeyFile")
	}
	return newCredentials(cfg)
}

// NewServer makes credentials of a server. It fails if the files cannot be
// loaded, or without CertFile and KeyFile. See NewClient.
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

package checks

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"

	"github.com/weir-rpc/weir/cmd/weir/internal/demopb"
	"github.com/weir-rpc/weir/cmd/weir/internal/gauge"
	"github.com/weir-rpc/weir/cmd/weir/internal/peers"
)

// Gauge is a gauge that tells what it saw of calls to Wait.
type Gauge interface {
	demopb.GaugeServer
	Visits() <-chan gauge.Visit
}

// Station is a server on loopback that serves a gauge, and a client connected
// to it. Its methods are for one goroutine.
type Station struct {
	Pairing peers.Pairing

	service Gauge
	address string
	server  peers.Server
	conn    peers.Client
	client  demopb.GaugeClient
	served  chan error // what Serve returned

	patience time.Duration // of a check
	deadline time.Duration // of a call that is to exceed it: far enough to reach the handler on a busy machine
	grace    time.Duration // of a check that is late, of the ends that it waits for, and of Stop

	closed bool
	stuck  string // the check that does not return
}

// Open starts a server of the pairing on a free port of 127.0.0.1. Close ends
// it. All that checks wait for is part of their patience.
func Open(ctx context.Context, pairing peers.Pairing, service Gauge, patience time.Duration) (*Station, error) {
	lis, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Station{
		Pairing:  pairing,
		service:  service,
		address:  lis.Addr().String(),
		server:   pairing.Server.NewServer(),
		served:   make(chan error, 1),
		patience: patience,
		deadline: patience / 20,
		grace:    patience / 5,
	}
	demopb.RegisterGaugeServer(s.server, service)
	s.conn, err = pairing.Client.Dial(s.address)
	if err != nil {
		return nil, errors.Join(err, lis.Close())
	}
	s.client = demopb.NewGaugeClient(s.conn)
	go func() { s.served <- s.server.Serve(lis) }()
	return s, nil
}

// Close ends the client and the server. It fails when Stop does not end Serve,
// or leaves the port open. A second call does nothing.
func (s *Station) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	if err := s.conn.Close(); err != nil {
		return &MismatchError{"Close of the client", "no error", err.Error()}
	}
	stopped := make(chan struct{})
	go func() {
		s.server.Stop()
		close(stopped)
	}()
	patience := time.NewTimer(s.grace)
	defer patience.Stop()
	select {
	case <-stopped:
	case <-patience.C:
		return &MismatchError{"Stop", "to return", fmt.Sprintf("nothing in %v", s.grace)}
	}
	select {
	case err := <-s.served:
		if err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			return &MismatchError{"Serve after Stop", "no error", err.Error()}
		}
	case <-patience.C:
		return &MismatchError{"Serve", "to return", fmt.Sprintf("nothing in %v after Stop", s.grace)}
	}
	conn, err := (&net.Dialer{Timeout: s.grace}).DialContext(context.Background(), "tcp", s.address)
	if err == nil {
		conn.Close()
		return &MismatchError{"the port after Stop", "connection refused", "a connection"}
	}
	return nil
}

// dial makes one more client of the pairing. The function ends it.
func (s *Station) dial(address string, opts ...grpc.CallOption) (demopb.GaugeClient, func(), error) {
	conn, err := s.Pairing.Client.Dial(address, opts...)
	if err != nil {
		return nil, nil, err
	}
	return demopb.NewGaugeClient(conn), func() { _ = conn.Close() }, nil
}

package process

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"

	"github.com/weir-rpc/weir/bench/internal/peers"
	"github.com/weir-rpc/weir/bench/internal/scenario"
)

// serverSide is one server on as many addresses as the scenario says.
type serverSide struct {
	server    peers.Server
	listeners []net.Listener
	accepted  atomic.Int64
	idle      bool // what is idle is measured: the listeners are as users have them
	served    chan error
}

func newServerSide(ctx context.Context, s setup) (*serverSide, error) {
	peer, cfg, err := s.peer()
	if err != nil {
		return nil, err
	}
	srv, err := peer.Server.NewServer(cfg)
	if err != nil {
		return nil, err
	}
	me := &serverSide{server: srv, idle: s.Scenario.Idle()}
	if s.Scenario.Shape == scenario.IdleAddresses {
		me.listeners, err = listen(ctx, "0.0.0.0:0", 1) // all of the loopback's addresses
	} else {
		me.listeners, err = listen(ctx, loopback, max(1, s.Scenario.Addresses))
	}
	if err != nil {
		return nil, err
	}
	me.served = make(chan error, len(me.listeners))
	for _, lis := range me.listeners {
		if !me.idle {
			lis = &counting{lis, &me.accepted}
		}
		go func() { me.served <- srv.Serve(lis) }()
	}
	return me, nil
}

func (s *serverSide) hello() hello { return hello{Address: addresses(s.listeners)} }

func (s *serverSide) answer(_ context.Context, req request) (reply, error) {
	rep, err := look(req)
	rep.Connections = s.accepted.Load()
	if s.idle && req.Glance && err == nil {
		rep.Connections, err = established(s.listeners)
	}
	return rep, err
}

func (s *serverSide) close() error {
	s.server.Stop()
	var errs []error
	for range s.listeners {
		errs = append(errs, <-s.served)
	}
	return errors.Join(errs...)
}

// counting counts the connections and hands them on untouched.
type counting struct {
	net.Listener

	accepted *atomic.Int64
}

func (c *counting) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.accepted.Add(1)
	}
	return conn, err
}

const loopback = "127.0.0.1:0"

// listen listens on n ports.
func listen(ctx context.Context, at string, n int) (all []net.Listener, err error) {
	for range n {
		lis, err := new(net.ListenConfig).Listen(ctx, "tcp", at)
		if err != nil {
			for _, before := range all {
				err = errors.Join(err, before.Close())
			}
			return nil, err
		}
		all = append(all, lis)
	}
	return all, nil
}

// addresses are those of the listeners, with commas.
func addresses(all []net.Listener) string {
	var list []string
	for _, lis := range all {
		list = append(list, lis.Addr().String())
	}
	return strings.Join(list, ",")
}

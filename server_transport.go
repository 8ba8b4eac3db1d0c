package weir

import (
	"errors"

	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/stats"
)

// TransportConfig gives the configuration for a connection of this Server that
// is not made by Serve, but with transport.NewServerTransport or another
// ServerTransport. ServeTransport then serves it. AuthInfo is for the caller to
// set.
func (s *Server) TransportConfig() transport.ServerConfig {
	return transport.ServerConfig{
		ConnConfig:           s.cfg.conn,
		MaxConcurrentStreams: s.cfg.maxConcurrentStreams,
		MaxRecvMessageSize:   recvLimit(s.cfg.maxRecv),
		Keepalive:            s.cfg.keepalive,
		KeepaliveEnforcement: s.cfg.enforcement,
		Unary:                s.isUnary,
		ContextValue:         contextValue,
		Workers:              s.workers,
	}
}

// ServeTransport serves the calls of a connection that did not come from a
// listener, and owns tr from then on. It does not wait. The connection belongs
// to the Server as those of Serve do: Stop, GracefulStop and Shutdown end it. If
// one of them was called before, tr is closed and the error is ErrServerStopped;
// it is closed, too, if something is wrong with an option of the Server.
// It is not one of those that MaxConnections and MaxConnectionsPerIP bound, and
// does not count for them. grpc-go has no such method.
func (s *Server) ServeTransport(tr transport.ServerTransport) error {
	if tr == nil {
		return errors.New("weir: ServeTransport(nil)")
	}
	if s.fault != nil {
		tr.Close(s.fault.Error())
		return s.fault
	}
	c := s.newConn(nil, tr)
	s.mu.Lock()
	if s.closing.Load() {
		s.mu.Unlock()
		tr.Close("the server has stopped")
		return ErrServerStopped
	}
	s.serving = true
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	s.start(c)
	return nil
}

// start serves a connection that has its transport.
func (s *Server) start(c *ServerConn) {
	c.reach(ConnReady, nil)
	s.conn.Begins(c.tr)
	ctx := c.context()
	if s.stats == nil {
		c.tr.StartStreams(ctx, s.handlerFor(c.tr), func() { s.ended(c, c.tr.Err()) })
		return
	}
	p := c.tr.Peer()
	ctx = s.stats.TagConn(ctx, &stats.ConnTagInfo{RemoteAddr: p.Addr, LocalAddr: p.LocalAddr})
	s.stats.HandleConn(ctx, &stats.ConnBegin{})
	c.tr.StartStreams(ctx, s.handlerFor(c.tr), func() {
		s.stats.HandleConn(ctx, &stats.ConnEnd{})
		s.ended(c, c.tr.Err())
	})
}

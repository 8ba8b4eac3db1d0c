package weir

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-rpc/weir/inspect"
	"github.com/weir-rpc/weir/internal/binlog"
	"github.com/weir-rpc/weir/internal/channel"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/stats"
)

// A Server serves gRPC services. It is the grpc.ServiceRegistrar that
// generated code takes. Its methods may be called by several goroutines at a
// time; services are registered before Serve.
type Server struct {
	cfg     serverConfig
	workers *transport.Workers
	proto   codec
	calls   sync.Pool // *call
	running runningCalls
	closing atomic.Bool // no more connections: set before quit is closed

	quit     chan struct{} // closed when the server begins to stop
	finished chan struct{} // closed when it has stopped

	// The chains, made once; nil without interceptors.
	unaryInterceptor  grpc.UnaryServerInterceptor
	streamInterceptor grpc.StreamServerInterceptor

	stats stats.Handler // nil if there is none
	log   *binlog.Log
	conn  *channel.ConnLog
	fault error // of an option, for Serve and ServeTransport

	mu sync.Mutex
	// Guarded by mu.
	services  map[string]grpc.ServiceInfo
	listeners map[*listener]struct{}
	conns     map[*ServerConn]struct{}
	admission admission
	serving   bool
	stopped   bool
	draining  bool
	quiet     sync.Cond   // signalled when a connection has ended, and a handler if closing
	silent    *time.Timer // closes connections without calls
	inspect   serverInspection

	// Written by RegisterService, before Serve; then immutable.
	methods map[string]*method
	names   map[string]bool // of services
	health  interface{ Shutdown() }
}

var _ grpc.ServiceRegistrar = (*Server)(nil)

// NewServer makes a Server without services. What is wrong with an option, Serve
// and ServeTransport say.
func NewServer(opts ...ServerOption) *Server {
	s := &Server{
		cfg:       serverConfig{maxRecv: defaultMaxRecv, maxSend: defaultMaxSend, connectionTimeout: transport.DefaultConnectionTimeout},
		workers:   transport.NewWorkers(),
		quit:      make(chan struct{}),
		finished:  make(chan struct{}),
		services:  make(map[string]grpc.ServiceInfo),
		listeners: make(map[*listener]struct{}),
		conns:     make(map[*ServerConn]struct{}),
		methods:   make(map[string]*method),
		names:     make(map[string]bool),
	}
	s.quiet.L = &s.mu
	s.cfg.take(opts)
	s.cfg.sizes.into(&s.cfg.conn)
	s.workers.KeepIdle(s.cfg.sizes.workers)
	if s.cfg.creds == nil {
		s.cfg.creds = insecure.NewCredentials()
	}
	s.stats = s.cfg.stats.handler()
	s.conn = s.cfg.telemetry.conns("")
	log, err := s.cfg.telemetry.log("BinaryLog", false)
	s.log, s.fault = log, cmp.Or(s.cfg.fault.err, err)
	s.proto, _ = codecFor("proto") // grpc-go's own, which the codec's package registers, if no other
	s.proto.vt = s.cfg.messages.vt
	s.unaryInterceptor, s.streamInterceptor = s.cfg.chainInterceptors()
	s.inspect.begun = time.Now()
	s.inspect.begin(s.cfg.inspect)
	inspect.AddServer(s.inspect.registry, s.inspect.id, s)
	return s
}

// RegisterService adds a service and its implementation. Like grpc-go's it is
// for start-up: it panics if the implementation does not fit, if the service
// is there already, or after Serve.
func (s *Server) RegisterService(desc *grpc.ServiceDesc, impl any) {
	if impl != nil && desc.HandlerType != nil {
		if want := reflect.TypeOf(desc.HandlerType).Elem(); !reflect.TypeOf(impl).Implements(want) {
			panic(fmt.Sprintf("weir: RegisterService(%q): %T does not implement %v", desc.ServiceName, impl, want))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.serving {
		panic(fmt.Sprintf("weir: RegisterService(%q) after Serve", desc.ServiceName))
	}
	if s.names[desc.ServiceName] {
		panic(fmt.Sprintf("weir: RegisterService(%q): the service is registered already", desc.ServiceName))
	}
	s.names[desc.ServiceName] = true
	if h, ok := impl.(interface{ Shutdown() }); ok && desc.ServiceName == "grpc.health.v1.Health" {
		s.health = h
	}
	info := grpc.ServiceInfo{Metadata: desc.Metadata}
	for i := range desc.Methods {
		m := &desc.Methods[i]
		s.methods["/"+desc.ServiceName+"/"+m.MethodName] = &method{impl: impl, unary: m}
		info.Methods = append(info.Methods, grpc.MethodInfo{Name: m.MethodName})
	}
	for i := range desc.Streams {
		m := &desc.Streams[i]
		path := "/" + desc.ServiceName + "/" + m.StreamName
		s.methods[path] = streamMethod(impl, path, m)
		info.Methods = append(info.Methods, grpc.MethodInfo{Name: m.StreamName, IsClientStream: m.ClientStreams, IsServerStream: m.ServerStreams})
	}
	s.services[desc.ServiceName] = info
}

// GetServiceInfo tells the services that are registered, by name. The map and
// its slices are the caller's own.
func (s *Server) GetServiceInfo() map[string]grpc.ServiceInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := maps.Clone(s.services)
	for name, info := range all {
		info.Methods = slices.Clone(info.Methods)
		all[name] = info
	}
	return all
}

// ErrServerStopped is the error of a Serve or ServeTransport that is called
// after Stop, GracefulStop or Shutdown, and of a Shutdown that Stop has cut
// short.
var ErrServerStopped = grpc.ErrServerStopped

// Serve accepts connections on lis and serves them until lis fails or the
// server stops. It may be called for several listeners, and closes lis in the
// end. It returns nil when Stop, GracefulStop or Shutdown has ended,
// ErrServerStopped if one of them was called before, and else the error of lis
// or of an option that is wrong.
//
// The connections that a listener of package net accepts belong to the Server.
// If somebody else closes one, as credentials could, that may go unnoticed
// until it is used.
func (s *Server) Serve(lis net.Listener) error {
	if err := checkFrameSize("MaxFrameSize", s.cfg.conn.MaxFrameSize); err != nil {
		_ = lis.Close()
		return err
	}
	if s.fault != nil {
		_ = lis.Close()
		return s.fault
	}
	s.mu.Lock()
	if s.closing.Load() {
		s.mu.Unlock()
		_ = lis.Close()
		return ErrServerStopped
	}
	s.serving = true
	own := &listener{lis, inspect.NextID()}
	s.listeners[own] = struct{}{}
	s.mu.Unlock()
	defer func() {
		_ = lis.Close()
		s.mu.Lock()
		delete(s.listeners, own)
		s.mu.Unlock()
	}()
	s.cfg.telemetry.say(slog.LevelInfo, "server serves", slog.String("address", lis.Addr().String()))
	return s.accept(lis)
}

// listener is one of a call of Serve. What users have need not be comparable.
type listener struct {
	net.Listener
	id int64 // of package inspect
}

// The pause after a passing failure to accept, such as too many open files.
const (
	firstAcceptPause = 5 * time.Millisecond
	maxAcceptPause   = time.Second
)

func (s *Server) accept(lis net.Listener) error {
	exclusive := givesAway(lis)
	pause := firstAcceptPause
	for {
		nc, err := lis.Accept()
		if err == nil {
			pause = firstAcceptPause
			s.serve(nc, exclusive)
			continue
		}
		if s.closing.Load() {
			<-s.finished
			return nil
		}
		var passing interface{ Temporary() bool }
		if !errors.As(err, &passing) || !passing.Temporary() {
			return err
		}
		s.cfg.telemetry.say(slog.LevelWarn, "cannot accept connections", slog.Any("error", err), slog.Duration("pause", pause))
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-s.quit:
			t.Stop()
		}
		pause = min(2*pause, maxAcceptPause)
	}
}

// givesAway reports whether nobody has the connections of lis but who accepts
// them. A listener of the user may keep them, to close them.
func givesAway(lis net.Listener) bool {
	switch lis.(type) {
	case *net.TCPListener, *net.UnixListener:
		return true
	}
	return false
}

// serve serves one connection, on a goroutine of its own.
func (s *Server) serve(nc net.Conn, exclusive bool) {
	c := s.newConn(nc, nil)
	s.mu.Lock()
	if s.closing.Load() {
		s.mu.Unlock()
		_ = nc.Close()
		return
	}
	if err := s.admission.admitLocked(&s.cfg.intake); err != nil {
		tells := s.cfg.intake.connState != nil || s.conn != nil
		if tells {
			s.admission.refused++
		}
		s.mu.Unlock()
		_ = nc.Close()
		if tells {
			go s.refuse(c, err)
		}
		return
	}
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	go s.serveConn(c, exclusive)
}

// refuse tells of a connection that was not admitted, and has no other goroutine.
func (s *Server) refuse(c *ServerConn, err error) {
	s.keptOut(c, err)
	s.mu.Lock()
	s.admission.refused--
	s.quiet.Broadcast()
	s.mu.Unlock()
}

// keptOut tells of a connection that was not admitted.
func (s *Server) keptOut(c *ServerConn, err error) {
	c.reach(ConnClosed, err)
	s.conn.Refused(c.nc, err)
}

// ended forgets a connection.
func (s *Server) ended(c *ServerConn, err error) {
	last := lastLook(c.tr)
	c.reach(ConnClosed, err)
	s.conn.Over(c.tr, c.nc, err)
	s.forget(c, &last)
}

func (s *Server) forget(c *ServerConn, last *inspect.Conn) {
	s.mu.Lock()
	s.inspect.endedLocked(last)
	delete(s.conns, c)
	if c.nc != nil {
		s.admission.leaveLocked(c)
	}
	s.quiet.Broadcast()
	s.mu.Unlock()
}

// serveConn makes the security handshake, and does not stay: the stack that it
// takes would be held as long as the connection lives.
func (s *Server) serveConn(c *ServerConn, exclusive bool) {
	if err := s.admitFrom(c); err != nil {
		_ = c.nc.Close()
		s.keptOut(c, err)
		s.forget(c, new(inspect.Conn))
		return
	}
	c.reach(ConnNew, nil)
	tr, err := s.shakeHands(c, exclusive)
	if err != nil {
		s.ended(c, err)
		return
	}
	s.mu.Lock()
	c.tr = tr
	closed, reason := c.closed || s.stopped, c.draining
	switch {
	case s.stopped:
		reason = "the server has stopped"
	case s.draining && !closed:
		reason = "the server stops"
	}
	s.mu.Unlock()
	if closed { // before it had a call
		tr.Close(reason)
		s.ended(c, tr.Err())
		return
	}
	if reason != "" {
		tr.Drain(reason)
	}
	s.start(c)
}

// shakeHands makes a connection one of HTTP/2, or ends it.
func (s *Server) shakeHands(c *ServerConn, exclusive bool) (transport.ServerTransport, error) {
	nc := c.nc
	if s.cfg.connectionTimeout <= 0 {
		_ = nc.Close()
		return nil, errNoTime
	}
	channel.SetUserTimeout(nc, channel.ServerUserTimeout(s.cfg.keepalive))
	deadline := time.Now().Add(s.cfg.connectionTimeout)
	_ = nc.SetDeadline(deadline)
	secured, info, err := s.cfg.creds.ServerHandshake(nc)
	if err != nil {
		_ = nc.Close()
		return nil, err
	}
	if err := channel.CheckALPN(info); err != nil {
		_ = secured.Close()
		return nil, err
	}
	_ = secured.SetDeadline(time.Time{})
	cfg := s.TransportConfig()
	cfg.ConnectionTimeout = max(time.Until(deadline), 1) // zero would be the default
	cfg.AuthInfo, cfg.InspectID = info, c.id
	cfg.Exclusive = exclusive
	if s.cfg.intake.connState != nil {
		cfg.Draining = func() { c.reach(ConnDraining, nil) }
	}
	return transport.NewServerTransport(secured, cfg)
}

var errNoTime = errors.New("weir: there is no time for handshakes (option ConnectionTimeout)")

func (s *Server) isUnary(path string) bool {
	m := s.methods[path]
	return m != nil && m.unary != nil
}
